"""How the tone of the news compares with that of the bars before."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, cast

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import BaseFeature, Memory, Params, Side
from hf_plugins.features.news.scores import NAME
from hf_plugins.kernels.known import known_moments
from hf_plugins.registry import features

SCORE: Final = "sentiment_score"


class TrailingParams(Params):
    """What the parameters of this module share."""

    feature: Annotated[
        str,
        Field(
            pattern=NAME,
            description="Name of the feature whose sentiment_score is read, as in YAML: one of "
            "the plugin news.sentiment.",
        ),
    ] = "news_sentiment"


class SentimentMomentumParams(TrailingParams):
    """Parameters of the momentum of the sentiment."""

    window: Annotated[
        int, Field(ge=1, le=100_000, description="Bars of the window, the current one included.")
    ] = 5
    min_count: Annotated[
        int,
        Field(
            ge=1,
            validate_default=True,
            description="Bars with news needed among them; at most window.",
        ),
    ] = 1

    @field_validator("min_count")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        return fits(value, info)


class SentimentDivergenceParams(TrailingParams):
    """Parameters of the divergence of the sentiment."""

    normalise: Annotated[
        bool, Field(description="Whether to give it in standard deviations of its own past.")
    ] = True
    window: Annotated[
        int, Field(ge=2, le=100_000, description="Bars of the window, the current one included.")
    ] = 20
    min_count: Annotated[
        int,
        Field(
            ge=2,
            validate_default=True,
            description="Bars with news needed among them; at most window.",
        ),
    ] = 5

    @field_validator("min_count")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        return fits(value, info)


def fits(value: int, info: ValidationInfo) -> int:
    """Refuse a count that the window cannot hold."""
    window = info.data.get("window")
    if window is not None and value > window:
        raise ValueError(f"must not exceed window ({window})")
    return value


class TrailingSentiment(BaseFeature):
    """What the two features of this module read: the sentiment of the same bars."""

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing of the own bars but when they are."""
        return ()

    @property
    def sides(self) -> tuple[Side, ...]:
        """The score of the same bar, or none: never that of an earlier one in its place."""
        feature = cast(TrailingParams, self.params).feature
        return (Side("news", (SCORE,), feature=feature, join="inner"),)


@features.register("news.sentiment_momentum")
class SentimentMomentum(TrailingSentiment):
    r"""Mean sentiment of the last bars, over those of them that have news.

    .. math::
        M_t = \frac{1}{|K_t|} \sum_{i \in K_t} S_i, \quad
        K_t = \{i : t - w < i \le t, S_i \text{ known}\}

    Unit: that of the score, in [-1, 1]. Each bar with news counts once, however many articles it
    has. Shape: one column ``sentiment_momentum_{window}``.

    Null: where fewer than ``min_count`` bars of the window have news. A bar without news has a
    value where those before it had some.
    """

    Params: ClassVar[type[Params]] = SentimentMomentumParams

    @property
    def _typed(self) -> SentimentMomentumParams:
        return cast(SentimentMomentumParams, self.params)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``sentiment_momentum_{window}``."""
        return (f"sentiment_momentum_{self._typed.window}",)

    @property
    def memory(self) -> Memory:
        """The window."""
        return Memory.finite(self._typed.window)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the mean; see the class."""
        score = np.array(data[f"news_{SCORE}"], dtype=np.float64)
        mean, _ = known_moments(score, self._typed.window, self._typed.min_count, 1)
        return pd.DataFrame({self.outputs[0]: mean}, index=data.index)


@features.register("news.sentiment_divergence")
class SentimentDivergence(TrailingSentiment):
    r"""By how much the good tone of a bar exceeds the bad one, against what is usual.

    .. math::
        D_t = S_t = \bar p_t - \bar n_t, \quad \text{normalised} \quad
        Z_t = \frac{S_t - m_t}{s_t}, \quad
        s_t^2 = \frac{1}{|K_t| - 1} \sum_{i \in K_t} (S_i - m_t)^2

    with the mean :math:`m_t` of the bars :math:`K_t` with news among the last ``window``, the
    current one included. What is read is ``sentiment_score``, the mean over a bar's articles of
    positive minus negative share, which is the difference of the means of the two: so every scorer
    will do.

    Unit: that of the score, in [-1, 1]; normalised: standard deviations, at most
    :math:`(|K_t| - 1) / \sqrt{|K_t|}`. Shape: one column, ``sentiment_divergence``, or
    ``sentiment_divergence_{window}`` where it is normalised.

    Null: in a bar without news; normalised also where fewer than ``min_count`` bars of the window
    have news, or where these do not differ (by more than 1e-12 of the largest score).
    """

    Params: ClassVar[type[Params]] = SentimentDivergenceParams

    @property
    def _typed(self) -> SentimentDivergenceParams:
        return cast(SentimentDivergenceParams, self.params)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``sentiment_divergence``, or ``sentiment_divergence_{window}``."""
        name = "sentiment_divergence"
        return (f"{name}_{self._typed.window}" if self._typed.normalise else name,)

    @property
    def memory(self) -> Memory:
        """The window; the bar alone where nothing is compared."""
        return Memory.finite(self._typed.window if self._typed.normalise else 1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the divergence; see the class."""
        params = self._typed
        values = np.array(data[f"news_{SCORE}"], dtype=np.float64)
        if params.normalise:
            mean, deviation = known_moments(values, params.window, params.min_count, 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(deviation > 0.0, (values - mean) / deviation, np.nan)
        return pd.DataFrame({self.outputs[0]: values}, index=data.index)
