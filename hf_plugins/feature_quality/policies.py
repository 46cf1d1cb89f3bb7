r"""How a set of features is chosen: the bands of the gold paper, or an honest way.

Both policies :meth:`~Policy.learn` from the rows that they are given and from nothing else. What a
policy claims for itself there and what its choice is worth on later rows are two figures; the
second one comes from :func:`walk_forward_worth`, the same for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.feature_quality.auc import Placements, Ranked
from hf_plugins.feature_quality.bootstrap import Estimate, bootstrap_auc, unknown_estimate
from hf_plugins.feature_quality.selection import (
    FalseDiscoveryMethod,
    Pipelines,
    adjusted_p_values,
    forward_selection,
)
from hf_plugins.validation.walk_forward import WalkForwardParams, fold_seed, split


@dataclass(frozen=True)
class Choice:
    """What a policy learned.

    Attributes:
        kept: bool of shape (n_features,).
        signs: of the same shape, -1 where the feature is to be inverted, else 1.
        pipeline: columns of the pipeline, among those kept, in the order in which they entered.
        claimed_auc: AUC of the pipeline on the rows by which it was chosen; null without a
            pipeline. Flattering: it is what the choice was made by.
        table: one row per feature, the policy's own figures.
    """

    kept: np.ndarray
    signs: np.ndarray
    pipeline: tuple[int, ...]
    claimed_auc: float
    table: pd.DataFrame


class Policy(Protocol):
    """A way to choose."""

    @property
    def name(self) -> str:
        """As in YAML."""
        ...

    @property
    def min_rows(self) -> int:
        """Rows that a feature needs to be rated at all."""
        ...

    def learn(self, columns: Ranked, y: np.ndarray, *, horizon: int, seed: int) -> Choice:
        """Choose by the given rows alone.

        Args:
            columns: features in time order, before any inversion.
            y: shape (n_rows,), 1, 0 or null.
            horizon: bars that the target of a row covers.
            seed: of what is random.
        """
        ...


class SeedPolicy(Params):
    """The bands of the gold paper, learned and scored on the same last rows.

    Validation rows are the last fifth of the rows with a target. By their AUC a feature is
    ``strong`` (beyond ``strong_distance`` from 0.5), ``noise`` (within ``noise_distance``) or
    ``marginal``. Inverted is what lies below 0.5 there and in at least ``consistent`` of ``slices``
    equal slices of the other rows. Noise is removed; marginal features enter a logistic regression
    of the strong ones, in the order of their distance from 0.5, where they raise its AUC on the
    validation rows by ``min_gain``. In the regression a null counts as the mean of the training
    rows.
    """

    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    strong_distance: Annotated[float, Field(gt=0, lt=0.5)] = 0.015
    noise_distance: Annotated[float, Field(ge=0, lt=0.5)] = 0.005
    slices: Annotated[int, Field(ge=1)] = 5
    consistent: Annotated[int, Field(ge=0)] = 4
    min_gain: Annotated[float, Field(ge=0)] = 1e-4
    min_rows: Annotated[int, Field(ge=2)] = 1_000

    @property
    def name(self) -> str:
        """``seed``."""
        return "seed"

    def learn(self, columns: Ranked, y: np.ndarray, *, horizon: int, seed: int) -> Choice:
        """Choose; see the class. Nothing is random and nothing is purged."""
        del horizon, seed
        labelled = np.flatnonzero(~np.isnan(y))
        cut = math.floor(round((1.0 - self.validation_share) * len(labelled), 6))
        parts = [part for part in np.array_split(labelled[:cut], self.slices) if part.size]
        slices = [(columns.rows(p[0], p[-1] + 1), y[p[0] : p[-1] + 1]) for p in parts]
        start = int(labelled[cut]) if cut < len(labelled) else len(y)
        validated, validated_y = columns.rows(start, len(y)), y[start:]
        rows = []
        for i in range(len(columns)):
            validation = validated.score(i, validated_y)
            rated = validation.rows >= self.min_rows and not math.isnan(validation.auc)
            auc = validation.auc if rated else float("nan")
            below = sum(part.score(i, part_y).auc < 0.5 for part, part_y in slices)
            inverted = rated and auc < 0.5 and below >= self.consistent
            rows.append(
                {
                    "auc": auc,
                    "null_standard_error": validation.null_standard_error,
                    "inverted": inverted,
                    "band": self.band(1.0 - auc if inverted else auc),
                }
            )
        table = pd.DataFrame(rows)
        signs = np.where(table["inverted"], -1.0, 1.0)
        band = table["band"].to_numpy()
        strong = np.flatnonzero(band == "strong")
        distance = np.abs(table["auc"].to_numpy() - 0.5)
        marginal = np.flatnonzero(band == "marginal")
        marginal = marginal[np.argsort(-distance[marginal], kind="stable")]
        together = _Together(columns, y, np.concatenate((strong, marginal)), start, start)
        pipeline, claimed = forward_selection(
            strong.tolist(), marginal.tolist(), together.auc, self.min_gain
        )
        kept = np.isin(np.arange(len(columns)), pipeline)
        return Choice(kept, signs, tuple(pipeline), claimed if pipeline else float("nan"), table)

    def band(self, auc: float) -> str:
        """``strong``, ``marginal``, ``noise``, or ``not rated`` for null.

        The bounds of the noise band belong to it, those of the strong band do not: at a bound a
        feature is marginal or noise. Distances count to twelve decimals.
        """
        if math.isnan(auc):
            return "not rated"
        distance = round(abs(auc - 0.5), 12)
        if distance > self.strong_distance:
            return "strong"
        return "noise" if distance <= self.noise_distance else "marginal"


class HonestPolicy(Params):
    """Discoveries at a controlled rate of false ones.

    A feature is kept if its AUC differs from 0.5 by more than chance explains: two-sided p-values
    from the block bootstrap, adjusted for the number of features tested. It is inverted if it is
    kept and its AUC is below 0.5. The pipeline takes the kept features in the order of their
    significance where they raise the AUC on the last ``validation_share`` of the given rows by
    ``min_gain``; the rows before these that reach into them are purged.

    ``benjamini_yekutieli`` holds under any dependence between the features,
    ``benjamini_hochberg`` has more power and needs them independent or positively dependent.
    """

    false_discovery_rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    method: FalseDiscoveryMethod = "benjamini_yekutieli"
    replicates: Annotated[int, Field(ge=100)] = 1_000
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    min_gain: Annotated[float, Field(ge=0)] = 1e-4
    min_rows: Annotated[int, Field(ge=2)] = 1_000

    @property
    def name(self) -> str:
        """``honest``."""
        return "honest"

    def learn(self, columns: Ranked, y: np.ndarray, *, horizon: int, seed: int) -> Choice:
        """Choose; see the class. The seed is that of the bootstrap's draws."""
        estimates = [
            estimate_of(columns, i, y, self, confidence=self.confidence, seed=seed)
            for i in range(len(columns))
        ]
        table = estimates_table(estimates)
        adjusted = adjusted_p_values(table["p_value"].to_numpy(np.float64), self.method)
        table["adjusted_p_value"] = adjusted
        kept = adjusted <= self.false_discovery_rate  # false for null
        auc = table["auc"].to_numpy(np.float64)
        signs = np.where(auc < 0.5, -1.0, 1.0)
        table["inverted"] = kept & (signs < 0)

        order = np.flatnonzero(kept)
        error = table["standard_error"].to_numpy(np.float64)
        with np.errstate(divide="ignore"):  # no error at all: infinitely significant
            significance = np.abs(auc[order] - 0.5) / error[order]
        order = order[np.argsort(-significance, kind="stable")]
        cut = math.floor(round((1.0 - self.validation_share) * len(y), 6))
        together = _Together(columns, y, order, max(cut - horizon, 0), cut)
        pipeline, claimed = forward_selection([], order.tolist(), together.auc, self.min_gain)
        return Choice(kept, signs, tuple(pipeline), claimed if pipeline else float("nan"), table)


@dataclass(frozen=True)
class Everything:
    """No choice at all: what features are worth together, with the sign that a regression gives.

    Left out are those with fewer than ``min_rows`` known rows.
    """

    min_rows: int = 1_000
    name: str = "everything"

    def learn(self, columns: Ranked, y: np.ndarray, *, horizon: int, seed: int) -> Choice:
        """Keep all; see the class."""
        del horizon, seed
        kept = ((columns.codes >= 0) & ~np.isnan(y)).sum(axis=1) >= self.min_rows
        pipeline = tuple(int(i) for i in np.flatnonzero(kept))
        return Choice(kept, np.ones(len(columns)), pipeline, float("nan"), pd.DataFrame())


def estimate_of(
    columns: Ranked, i: int, y: np.ndarray, policy: HonestPolicy, *, confidence: float, seed: int
) -> Estimate:
    """Bootstrapped AUC of feature ``i``; null where it is not rated."""
    placements = columns.place(i, y)
    if len(placements.upper) < policy.min_rows:
        return unknown_estimate(len(placements.upper))
    return bootstrap_auc(placements, replicates=policy.replicates, seed=seed, confidence=confidence)


def estimates_table(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """One row per estimate, columns as the fields of :class:`Estimate`."""
    return pd.DataFrame([vars(estimate) for estimate in estimates])


class _Together:
    """AUC of sets of features, fitted before one row and scored from another one on.

    All sets share the rows in which one of the features that may be used is known.
    """

    def __init__(
        self, columns: Ranked, y: np.ndarray, used: np.ndarray, train_stop: int, test_start: int
    ) -> None:
        some = ~np.isnan(y) & (columns.codes[used] >= 0).any(axis=0)
        rows = np.arange(len(y))
        train = np.flatnonzero(some & (rows < train_stop))
        test = np.flatnonzero(some & (rows >= test_start))
        self._counts = len(train), len(test)
        self._position = {int(column): i for i, column in enumerate(used)}
        both = all(len(np.unique(y[part])) == 2 for part in (train, test))
        self._pipelines = (
            Pipelines(
                columns.values[np.ix_(used, train)],
                y[train],
                columns.values[np.ix_(used, test)],
                y[test],
            )
            if both and len(used)
            else None
        )

    def placements(self, chosen: Sequence[int]) -> Placements:
        if self._pipelines is None:
            raise DataError(
                f"too few rows to score {len(chosen)} features together: {self._counts[0]} "
                f"training and {self._counts[1]} validation rows have one of them, and both need "
                "both classes"
            )
        return self._pipelines.placements([self._position[int(column)] for column in chosen])

    def auc(self, chosen: Sequence[int]) -> float:
        return self.placements(chosen).auc


class FoldParams(Params):
    """Walk-forward folds: an expanding training window, then consecutive test blocks."""

    count: Annotated[int, Field(ge=1, description="Test blocks.")] = 5
    first_train_share: Annotated[
        float, Field(gt=0, lt=1, description="Share of the rows before the first test block.")
    ] = 0.5


@dataclass(frozen=True)
class Worth:
    """What a policy's choices are worth on rows that it did not see.

    Attributes:
        folds: one row per fold: ``train_stop``, ``test_start``, ``test_stop`` (row numbers, ends
            exclusive), ``kept``, ``inverted``, ``pipeline`` (numbers of features),
            ``claimed_auc``, ``auc`` and ``standard_error`` of the pipeline on the test block; null
            where nothing was kept.
        kept: bool of shape (n_folds, n_features).
        signs: of the same shape, -1 where inverted, else 1.
        pipeline: estimate over all test blocks that had a pipeline.
    """

    folds: pd.DataFrame
    kept: np.ndarray
    signs: np.ndarray
    pipeline: Estimate


def walk_forward_worth(
    policy: Policy,
    columns: Ranked,
    y: np.ndarray,
    *,
    horizon: int,
    folds: FoldParams,
    inference: HonestPolicy,
    seed: int,
) -> Worth:
    """Learn in every training fold, score on the test block that follows.

    The last rows of a training fold, whose targets reach into the test block, are purged. AUCs of
    several blocks are averaged with the blocks' rows as weights, since a sign or a set of features
    that changes between folds makes values of two folds incomparable; their errors are those of
    independent blocks.

    Args:
        policy: the way to choose.
        columns: features in time order.
        y: shape (n_rows,), 1, 0 or null.
        horizon: bars that the target of a row covers.
        folds: the scheme.
        inference: how errors and intervals are computed, whatever the policy.
        seed: of what is random.
    """
    everywhere = np.ones(len(y), dtype=bool)
    min_train = max(round(folds.first_train_share * len(y)), 2)
    span = len(y) - min_train - horizon
    if span < folds.count:
        raise ConfigurationError(
            f"{len(y)} rows are too few for {folds.count} test blocks after {min_train} training "
            "rows"
        )
    scheme = WalkForwardParams(min_train=min_train, refit_every=math.ceil(span / folds.count))
    blocks = split(everywhere, everywhere, horizon=horizon, params=scheme)

    choices, pipelines, rows = [], [], []
    for block in blocks:
        stop = int(block.train[-1]) + 1
        choice = policy.learn(
            columns.rows(0, stop), y[:stop], horizon=horizon, seed=fold_seed(seed, block.number)
        )
        test = slice(block.test_start, block.test_stop)
        draws = _draws(seed, block.number)
        result = _test_pipeline(choice, columns, y, stop, test, inference, draws)
        choices.append(choice)
        pipelines.append(result)
        rows.append(
            {
                "fold": block.number,
                "train_stop": stop,
                "test_start": block.test_start,
                "test_stop": block.test_stop,
                "kept": int(choice.kept.sum()),
                "inverted": int((choice.kept & (choice.signs < 0)).sum()),
                "pipeline": len(choice.pipeline),
                "claimed_auc": choice.claimed_auc,
                "auc": result.auc,
                "standard_error": result.standard_error,
            }
        )
    return Worth(
        folds=pd.DataFrame(rows),
        kept=np.array([choice.kept for choice in choices]),
        signs=np.array([choice.signs for choice in choices]),
        pipeline=_averaged(pipelines, inference),
    )


def feature_worth(
    worth: Worth, columns: Ranked, y: np.ndarray, *, inference: HonestPolicy, seed: int
) -> pd.DataFrame:
    """AUC of each feature by itself on the test blocks, with the sign learned before each block.

    Args:
        worth: of the policy that learned the signs.
        columns: as given to :func:`walk_forward_worth`.
        y: likewise.
        inference: likewise.
        seed: likewise.

    Returns:
        One row per feature, columns as the fields of :class:`Estimate`.
    """
    by_fold = [
        [
            bootstrap_auc(
                columns.rows(start, stop).place(i, y[start:stop], sign=sign),
                replicates=inference.replicates,
                seed=_draws(seed, number),
                confidence=inference.confidence,
            )
            for i, sign in enumerate(signs)
        ]
        for number, start, stop, signs in zip(
            worth.folds["fold"],
            worth.folds["test_start"],
            worth.folds["test_stop"],
            worth.signs,
            strict=True,
        )
    ]
    return estimates_table(
        [_averaged(estimates, inference) for estimates in zip(*by_fold, strict=True)]
    )


def _draws(seed: int, fold: int) -> int:
    return fold_seed(seed, f"test {fold}")


def _test_pipeline(
    choice: Choice,
    columns: Ranked,
    y: np.ndarray,
    train_stop: int,
    test: slice,
    inference: HonestPolicy,
    seed: int,
) -> Estimate:
    if not choice.pipeline:
        return unknown_estimate()
    seen = columns.rows(0, test.stop)
    together = _Together(seen, y[: test.stop], np.array(choice.pipeline), train_stop, test.start)
    return bootstrap_auc(
        together.placements(choice.pipeline),
        replicates=inference.replicates,
        seed=seed,
        confidence=inference.confidence,
    )


def _averaged(estimates: Sequence[Estimate], inference: HonestPolicy) -> Estimate:
    """Mean of the estimates that are known, weighted by their rows; normal interval."""
    from scipy.special import ndtr, ndtri

    known = [estimate for estimate in estimates if not math.isnan(estimate.auc)]
    rows = sum(estimate.rows for estimate in known)
    if not rows:
        return unknown_estimate()
    auc = sum(estimate.auc * estimate.rows for estimate in known) / rows
    error = math.sqrt(sum((e.standard_error * e.rows) ** 2 for e in known)) / rows
    margin = float(ndtri(0.5 + inference.confidence / 2.0)) * error
    distance = abs(auc - 0.5)
    if error > 0.0:
        p_value = 2.0 * float(ndtr(-distance / error))
    else:
        p_value = 0.0 if distance > 0.0 else 1.0
    longest = max(cast(int, estimate.block_length) for estimate in known)
    return Estimate(
        auc, error, max(auc - margin, 0.0), min(auc + margin, 1.0), p_value, longest, rows
    )
