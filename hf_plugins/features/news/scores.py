"""What the articles of a bar said on average, and how many there were."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params, Side
from hf_plugins.registry import features

NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"


class ScoredParams(Params):
    """Parameters of the features that read scores of articles."""

    scores: Annotated[
        str, Field(pattern=NAME, description="Name of the scores of the articles, as in YAML.")
    ] = "news_scores"
    lag_minutes: Annotated[
        int,
        Field(
            ge=0,
            le=10_080,
            description="Minutes after its publication at which an article can be had.",
        ),
    ] = 0


class ScoredArticles(BaseFeature):
    """What the two features of this module share: sums over a bar, and the number of articles."""

    Params: ClassVar[type[Params]] = ScoredParams
    scored: ClassVar[tuple[str, ...]] = ()
    made_by: ClassVar[str] = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing of the own bars but when they are."""
        return ()

    @property
    def sides(self) -> tuple[Side, ...]:
        """Sums of the scores of the articles of a bar, and how many articles have one."""
        params = cast(ScoredParams, self.params)

        def side(join: Literal["sum", "count"], columns: tuple[str, ...]) -> Side:
            return Side(
                join,
                columns,
                table=params.scores,
                join=join,
                lag_minutes=params.lag_minutes,
                made_by=self.made_by,
            )

        return side("sum", self.scored), side("count", self.scored[:1])

    @property
    def memory(self) -> Memory:
        """The articles of the bar alone."""
        return Memory.finite(1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Divide the sums by the number of articles; see the class."""
        count = data[f"count_{self.scored[0]}"].to_numpy(dtype=np.float64)
        there = np.where(count > 0, count, np.nan)
        means = [data[f"sum_{name}"].to_numpy(dtype=np.float64) / there for name in self.scored]
        values = np.column_stack([*means, count])
        return pd.DataFrame(values, columns=list(self.outputs), index=data.index)


@features.register("news.finbert_sentiment")
class FinbertSentiment(ScoredArticles):
    r"""What FinBERT says of the articles of a bar: mean shares, and the number of articles.

    .. math:: \text{positive}_t = \frac{1}{n_t} \sum_{i=1}^{n_t} p_i

    over the :math:`n_t` articles that became known after the close before and up to the close of
    bar t, and likewise for the others. The scores must have been made by ``text.finbert``.

    Shape: five columns. ``positive_score``, ``negative_score`` and ``neutral_score`` are shares in
    [0, 1] that add up to 1; ``uncertainty_score`` is the mean entropy of an article over its
    maximum ln 3, in [0, 1]; ``article_volume`` is :math:`n_t`.

    Null: the four scores where there was no article; all five before the first article of the
    table, when it is not known whether there was any. ``article_volume`` is 0 where there was none.

    Source: Araci (2019), arXiv 1908.10063, for the model.
    """

    scored: ClassVar[tuple[str, ...]] = ("positive", "negative", "neutral", "uncertainty")
    made_by: ClassVar[str] = "text.finbert"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Four means, and the number of articles."""
        return (*(f"{name}_score" for name in self.scored), "article_volume")


@features.register("news.sentiment")
class Sentiment(ScoredArticles):
    r"""What the articles of a bar say on balance, by whatever scorer.

    .. math:: S_t = \frac{1}{n_t} \sum_{i=1}^{n_t} (p_i - n_i)

    over the :math:`n_t` articles that became known after the close before and up to the close of
    bar t, with the positive and negative shares that the scorer gave each.

    Shape: two columns, ``sentiment_score`` in [-1, 1], above 0 where the tone is good, and
    ``sentiment_count``, the number of articles.

    Null: the score where there was no article; both before the first article of the table, when it
    is not known whether there was any. The count is 0 where there was none.
    """

    scored: ClassVar[tuple[str, ...]] = ("sentiment",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The mean, and the number of articles."""
        return "sentiment_score", "sentiment_count"
