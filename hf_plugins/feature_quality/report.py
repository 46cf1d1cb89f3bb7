"""Both policies side by side, on the data and on the same data with nothing to find in it.

The noise beside the data is the data itself with its target shuffled: the same features with the
same dependence, the same share of ups, and no relation between them. Whatever a policy keeps there
it keeps by luck. Shuffling also removes the dependence between targets that overlap: with a horizon
above 1 bar the shuffled run shows less luck than the data allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError
from hf_plugins.feature_quality.auc import Ranked, checked
from hf_plugins.feature_quality.policies import (
    Choice,
    FoldParams,
    HonestPolicy,
    Policy,
    SeedPolicy,
    Worth,
    feature_worth,
    walk_forward_worth,
)
from hf_plugins.validation.walk_forward import fold_seed


class QualityParams(Params):
    """All that a report depends on, besides the data and the seed."""

    seed_policy: SeedPolicy = SeedPolicy()
    honest_policy: HonestPolicy = HonestPolicy()
    folds: FoldParams = FoldParams()
    horizon: Annotated[int, Field(ge=1, description="Bars that a target covers.")] = 1
    noise: Annotated[bool, Field(description="Run the same on a shuffled target.")] = True


@dataclass(frozen=True)
class QualityReport:
    """The result of :func:`quality_report`.

    Attributes:
        features: one row per feature. ``auc``, ``standard_error``, ``low``, ``high``, ``p_value``,
            ``adjusted_p_value``, ``block_length``, ``rows``: of all rows, by the block bootstrap.
            ``validation_auc``, ``validation_flipped_auc``, ``validation_null_standard_error``,
            ``band``: of the seed policy's validation rows. ``seed_kept``, ``seed_inverted``,
            ``honest_kept``, ``honest_inverted``, ``honest_pipeline``: the choices by all rows.
            ``seed_folds_kept``, ``honest_folds_kept``: in how many training folds.
            ``out_of_fold_auc``, ``out_of_fold_standard_error``, ``out_of_fold_low``,
            ``out_of_fold_high``: with the sign learned before each test block.
        policies: one row per ``data`` (``as given``, ``shuffled target``) and ``policy``:
            ``tests`` (features rated), ``kept``, ``inverted``, ``pipeline``, ``claimed_auc`` (on
            the rows that it was chosen by) and ``out_of_fold_auc`` with ``low`` and ``high``.
        folds: the folds of each policy on the data as given, with a column ``policy``.
        seed_kept, honest_kept: the names that each policy keeps, in the order of the features.
    """

    features: pd.DataFrame
    policies: pd.DataFrame
    folds: pd.DataFrame
    seed_kept: tuple[str, ...]
    honest_kept: tuple[str, ...]

    def by_family(self, families: Mapping[str, str]) -> pd.DataFrame:
        """One row per family: features, kept by each policy, mean and largest distance from 0.5.

        Args:
            families: of each feature, by its name.

        Raises:
            ConfigurationError: a feature has no family.
        """
        missing = [str(name) for name in self.features.index if name not in families]
        if missing:
            raise ConfigurationError(f"no family is given for {', '.join(missing)}")
        table = self.features.assign(
            family=[families[str(name)] for name in self.features.index],
            distance=(self.features["auc"] - 0.5).abs(),
            out_of_fold_distance=self.features["out_of_fold_auc"] - 0.5,
        )
        return table.groupby("family", sort=False).agg(
            features=("auc", "size"),
            seed_kept=("seed_kept", "sum"),
            honest_kept=("honest_kept", "sum"),
            mean_distance=("distance", "mean"),
            largest_distance=("distance", "max"),
            mean_out_of_fold_distance=("out_of_fold_distance", "mean"),
        )


def quality_report(
    features: pd.DataFrame, target: pd.Series, *, params: QualityParams | None = None, seed: int
) -> QualityReport:
    """Rate features by both policies.

    Args:
        features: shape (n_rows, n_features), before any inversion, in time order.
        target: 1, 0 or null, indexed alike; see
            :func:`~hf_plugins.feature_quality.auc.next_close_above`.
        params: of the report; the defaults where None.
        seed: of the bootstrap's draws and of the shuffled target.

    Raises:
        DataError: see :func:`~hf_plugins.feature_quality.auc.checked`.
        ConfigurationError: too few rows for the folds.
    """
    chosen = params or QualityParams()
    columns, y = checked(features, target)
    names = features.columns
    seed_run = _Run.of(chosen.seed_policy, columns, y, chosen, seed)
    honest_run = _Run.of(chosen.honest_policy, columns, y, chosen, seed)
    rows = [seed_run.summary("as given"), honest_run.summary("as given")]
    if chosen.noise:
        shuffled = _shuffled(y, fold_seed(seed, "shuffled target"))
        for policy in (chosen.seed_policy, chosen.honest_policy):
            run = _Run.of(policy, columns, shuffled, chosen, seed)
            rows.append(run.summary("shuffled target"))
    return QualityReport(
        features=_features_table(
            names,
            seed_run,
            honest_run,
            feature_worth(honest_run.worth, columns, y, inference=chosen.honest_policy, seed=seed),
        ),
        policies=pd.DataFrame(rows),
        folds=pd.concat(
            [run.worth.folds.assign(policy=run.policy.name) for run in (seed_run, honest_run)],
            ignore_index=True,
        ),
        seed_kept=tuple(map(str, names[seed_run.choice.kept])),
        honest_kept=tuple(map(str, names[honest_run.choice.kept])),
    )


@dataclass(frozen=True)
class _Run:
    """One policy on one target: its choice by all rows, and what its choices are worth."""

    policy: Policy
    choice: Choice
    worth: Worth

    @classmethod
    def of(
        cls, policy: Policy, columns: Ranked, y: np.ndarray, params: QualityParams, seed: int
    ) -> _Run:
        horizon = params.horizon
        choice = policy.learn(columns, y, horizon=horizon, seed=fold_seed(seed, "all rows"))
        worth = walk_forward_worth(
            policy,
            columns,
            y,
            horizon=horizon,
            folds=params.folds,
            inference=params.honest_policy,
            seed=seed,
        )
        return cls(policy, choice, worth)

    def summary(self, data: str) -> dict[str, object]:
        pipeline = self.worth.pipeline
        return {
            "data": data,
            "policy": self.policy.name,
            "tests": int(np.isfinite(self.choice.table["auc"].to_numpy(np.float64)).sum()),
            "kept": int(self.choice.kept.sum()),
            "inverted": int((self.choice.kept & (self.choice.signs < 0)).sum()),
            "pipeline": len(self.choice.pipeline),
            "claimed_auc": self.choice.claimed_auc,
            "out_of_fold_auc": pipeline.auc,
            "low": pipeline.low,
            "high": pipeline.high,
        }


def _features_table(
    names: pd.Index, seed_run: _Run, honest_run: _Run, outside: pd.DataFrame
) -> pd.DataFrame:
    bands, estimates = seed_run.choice.table, honest_run.choice.table
    pipeline = np.isin(np.arange(len(names)), honest_run.choice.pipeline)
    table = pd.DataFrame(
        {
            **{name: estimates[name] for name in estimates if name != "inverted"},
            "validation_auc": bands["auc"],
            "validation_flipped_auc": 1.0 - bands["auc"],
            "validation_null_standard_error": bands["null_standard_error"],
            "band": bands["band"],
            "seed_kept": seed_run.choice.kept,
            "seed_inverted": bands["inverted"],
            "honest_kept": honest_run.choice.kept,
            "honest_inverted": estimates["inverted"],
            "honest_pipeline": pipeline,
            "seed_folds_kept": seed_run.worth.kept.sum(axis=0),
            "honest_folds_kept": honest_run.worth.kept.sum(axis=0),
            "out_of_fold_auc": outside["auc"],
            "out_of_fold_standard_error": outside["standard_error"],
            "out_of_fold_low": outside["low"],
            "out_of_fold_high": outside["high"],
        }
    )
    return table.set_index(names)


def _shuffled(y: np.ndarray, seed: int) -> np.ndarray:
    """The known targets in a random order, null where they were."""
    result = y.copy()
    known = ~np.isnan(y)
    result[known] = np.random.default_rng(seed).permutation(y[known])
    return result
