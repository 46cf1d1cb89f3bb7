"""Both policies side by side, on the data and on the same data with nothing to find in it.

The noise beside the data is the data itself with its target shuffled: the same features with the
same dependence, the same share of ups, and no relation between them. Whatever a policy keeps there
it keeps by luck. Shuffling also removes the dependence between targets that overlap: with a horizon
above 1 bar the shuffled run shows less luck than the data allow.

One shuffled target is one draw of luck. The choices alone are therefore repeated on several; how
often a policy keeps anything there is the rate at which it would have found something in nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.feature_quality.auc import Ranked, checked
from hf_plugins.feature_quality.bootstrap import Estimate, unknown_estimate
from hf_plugins.feature_quality.policies import (
    Choice,
    Everything,
    FoldParams,
    HonestPolicy,
    Policy,
    SeedPolicy,
    Worth,
    feature_worth,
    walk_forward_worth,
)
from hf_plugins.feature_quality.selection import adjusted_p_values
from hf_plugins.feature_quality.stability import (
    Period,
    Stability,
    calendar_periods,
    stability_of,
)
from hf_plugins.validation.walk_forward import fold_seed


class QualityParams(Params):
    """All that a report depends on, besides the data and the seed."""

    seed_policy: SeedPolicy = SeedPolicy()
    honest_policy: HonestPolicy = HonestPolicy()
    folds: FoldParams = FoldParams()
    horizon: Annotated[int, Field(ge=1, description="Bars that a target covers.")] = 1
    shuffles: Annotated[
        int, Field(ge=0, le=1000, description="Shuffled targets; the first is walked forward, too.")
    ] = 10
    period: Annotated[Period, Field(description="Calendar period of the stability.")] = "month"


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
            ``out_of_fold_high``: with the sign learned before each test block. ``null_share``: of
            the rows from its first value on (1 without any). ``top_share``: of its most common
            value among its known rows; null without any. ``periods``, ``same_side``,
            ``heterogeneity_p``: see
            :meth:`~hf_plugins.feature_quality.stability.Stability.summary`;
            ``adjusted_heterogeneity_p``: allowing for as many tests as features.
        policies: one row per ``data`` (``as given``, ``shuffled target``) and ``policy``:
            ``tests`` (features rated), ``kept``, ``inverted``, ``pipeline``, ``claimed_auc`` (on
            the rows that it was chosen by) and ``out_of_fold_auc`` with ``low`` and ``high``.
        luck: one row per shuffled target and policy: ``shuffle`` (from 1 on), ``policy``, ``kept``,
            ``pipeline``, ``claimed_auc``.
        folds: the folds of each policy on the data as given, with a column ``policy``.
        families: one row per family: ``features``, ``seed_kept``, ``honest_kept``,
            ``mean_distance`` and ``largest_distance`` of the AUCs from 0.5, and ``out_of_fold_auc``
            with ``low``, ``high`` and ``p_value`` of a regression of all its features, fitted
            before each test block; null where too few rows have one of them.
        stability: AUC by period.
        seed_kept, honest_kept: the names that each policy keeps, in the order of the features.
    """

    features: pd.DataFrame
    policies: pd.DataFrame
    luck: pd.DataFrame
    folds: pd.DataFrame
    families: pd.DataFrame
    stability: Stability
    seed_kept: tuple[str, ...]
    honest_kept: tuple[str, ...]


def quality_report(
    features: pd.DataFrame,
    target: pd.Series,
    *,
    families: Mapping[str, str] | None = None,
    params: QualityParams | None = None,
    seed: int,
) -> QualityReport:
    """Rate features by both policies.

    Args:
        features: shape (n_rows, n_features), before any inversion, indexed by time, in its order.
        target: 1, 0 or null, indexed alike; see
            :func:`~hf_plugins.feature_quality.auc.next_close_above`.
        families: of each feature, by its name; without them there is no table of families.
        params: of the report; the defaults where None.
        seed: of the bootstrap's draws and of the shuffled targets.

    Raises:
        DataError: see :func:`~hf_plugins.feature_quality.auc.checked`; or too few rows have one of
            the features of a pipeline.
        ConfigurationError: too few rows for the folds, or a feature without a family.
    """
    chosen = params or QualityParams()
    columns, y = checked(features, target)
    names = features.columns
    if not isinstance(features.index, pd.DatetimeIndex):
        raise DataError("the features must be indexed by time")
    seed_run = _Run.of(chosen.seed_policy, columns, y, chosen, seed)
    honest_run = _Run.of(chosen.honest_policy, columns, y, chosen, seed)
    rows = [seed_run.summary("as given"), honest_run.summary("as given")]
    luck = []
    for number in range(1, chosen.shuffles + 1):
        shuffled = _shuffled(y, fold_seed(seed, f"shuffled target {number}"))
        for policy in (chosen.seed_policy, chosen.honest_policy):
            if number == 1:
                run = _Run.of(policy, columns, shuffled, chosen, seed)
                rows.append(run.summary("shuffled target"))
                choice = run.choice
            else:
                choice = _choice(policy, columns, shuffled, chosen, seed)
            luck.append(
                {
                    "shuffle": number,
                    "policy": policy.name,
                    "kept": int(choice.kept.sum()),
                    "pipeline": len(choice.pipeline),
                    "claimed_auc": choice.claimed_auc,
                }
            )
    stability = stability_of(columns, y, names, calendar_periods(features.index, chosen.period))
    table = _features_table(
        names,
        seed_run,
        honest_run,
        feature_worth(honest_run.worth, columns, y, inference=chosen.honest_policy, seed=seed),
    )
    table = table.join(_coverage(columns, names)).join(_steadiness(stability, chosen))
    return QualityReport(
        features=table,
        policies=pd.DataFrame(rows),
        luck=pd.DataFrame(luck, columns=["shuffle", "policy", "kept", "pipeline", "claimed_auc"]),
        folds=pd.concat(
            [run.worth.folds.assign(policy=run.policy.name) for run in (seed_run, honest_run)],
            ignore_index=True,
        ),
        families=_families_table(table, columns, y, families or {}, chosen, seed),
        stability=stability,
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
        choice = _choice(policy, columns, y, params, seed)
        worth = walk_forward_worth(
            policy,
            columns,
            y,
            horizon=params.horizon,
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


def _choice(
    policy: Policy, columns: Ranked, y: np.ndarray, params: QualityParams, seed: int
) -> Choice:
    """The choice by all rows."""
    return policy.learn(columns, y, horizon=params.horizon, seed=fold_seed(seed, "all rows"))


def _coverage(columns: Ranked, names: pd.Index) -> pd.DataFrame:
    rows = []
    for codes in columns.codes:
        known = np.flatnonzero(codes >= 0)
        counted = codes[known[0] :] if known.size else codes
        rows.append(
            {
                "null_share": float(np.mean(counted < 0)) if counted.size else 1.0,
                "top_share": np.bincount(codes[known]).max() / known.size if known.size else np.nan,
            }
        )
    return pd.DataFrame(rows, index=names)


def _steadiness(stability: Stability, params: QualityParams) -> pd.DataFrame:
    table = stability.summary().loc[:, ["periods", "same_side", "heterogeneity_p"]]
    p_values = table["heterogeneity_p"].to_numpy(np.float64)
    adjusted = adjusted_p_values(p_values, params.honest_policy.method)
    return table.assign(adjusted_heterogeneity_p=adjusted)


def _families_table(
    table: pd.DataFrame,
    columns: Ranked,
    y: np.ndarray,
    families: Mapping[str, str],
    params: QualityParams,
    seed: int,
) -> pd.DataFrame:
    missing = [str(name) for name in table.index if name not in families]
    if families and missing:
        raise ConfigurationError(f"no family is given for {', '.join(missing)}")
    members: dict[str, list[int]] = {}
    for i, name in enumerate(table.index):
        if families:
            members.setdefault(families[str(name)], []).append(i)
    rows = {}
    for family, chosen in members.items():
        theirs = table.iloc[chosen]
        distance = (theirs["auc"] - 0.5).abs()
        together = _family_worth(columns.only(chosen), y, params, seed)
        rows[family] = {
            "features": len(chosen),
            "seed_kept": int(theirs["seed_kept"].sum()),
            "honest_kept": int(theirs["honest_kept"].sum()),
            "mean_distance": distance.mean(),
            "largest_distance": distance.max(),
            "out_of_fold_auc": together.auc,
            "low": together.low,
            "high": together.high,
            "p_value": together.p_value,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("family")


def _family_worth(columns: Ranked, y: np.ndarray, params: QualityParams, seed: int) -> Estimate:
    try:
        return walk_forward_worth(
            Everything(params.honest_policy.min_rows),
            columns,
            y,
            horizon=params.horizon,
            folds=params.folds,
            inference=params.honest_policy,
            seed=seed,
        ).pipeline
    except DataError:  # too few rows have one of them, which is a null in the table
        return unknown_estimate()


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
