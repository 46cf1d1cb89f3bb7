"""Feature quality in the graph: the task of ``quality/<name>``, and its checks.

The task hands features and closes to :mod:`hf_plugins.feature_quality` and wraps what comes back;
what is rated, and how, belongs there. The checks read what is stored, so that their thresholds
recompute nothing. Like all checks of this platform they are about all partitions of an asset at
once.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
import numpy as np
import pandas as pd

from hf_assets import reports
from hf_assets.components import FeatureQuality
from hf_assets.partitions import partition_key
from hf_assets.resources import StoreResource
from hf_assets.tasks import Input, Job, Product, Task, column
from hf_plugins.base import BaseFeature
from hf_plugins.feature_quality import report as quality_reports
from hf_plugins.feature_quality.inputs import joined
from hf_plugins.feature_quality.pages import luck_sentence, quality_page
from hf_plugins.feature_quality.plots import stability_heat_map
from hf_plugins.feature_quality.report import QualityParams, QualityReport, quality_report
from hf_plugins.versioning import Implementation, implementation_of, sha256_hex
from hf_resources.datasets import Dataset, Definition
from hf_resources.store import DatasetStore

LAYER: Final = "quality"
BARS: Final = "market_data/enriched"
FEATURES_TABLE: Final = "features.parquet"
CHECKS: Final = {
    "luck": (
        "On shuffled targets, where nothing is to be found, the policy finds something no more "
        "often than its false discovery rate allows."
    ),
    "coverage": "Features that are null too often after their first value, or nearly constant.",
    "stability": "Kept features whose AUC differs between periods by more than chance explains.",
}
SURPRISING: Final = 0.01
"""Probability below which the policy's rate on shuffled targets does not explain what it found."""
SHOWN: Final = 200
"""Rows of a table in metadata; the counts are always complete."""


# -------------------------------------------------------------------------------------- the task


def quality_task(
    component: FeatureQuality, params: QualityParams, features: Mapping[str, BaseFeature]
) -> Task:
    """The task of one document.

    Args:
        component: the document.
        params: what its fields make, after defaults.
        features: the plugins of the features that it names.
    """
    item = component.item
    key = f"{LAYER}/{item.name}"

    def compute(job: Job) -> Mapping[str, Product]:
        values, target, origins = joined(
            {name: job.frames[f"features/{name}"] for name in features},
            column(job.frames[BARS], "close"),
            horizon=item.horizon,
        )
        job.log(f"{key}: rating {values.shape[1]} features on {len(values):,} rows")
        report = quality_report(values, target, families=origins, params=params, seed=_seed(job))
        return {key: _product(item.name, report, item.policy, params)}

    definition = Definition(
        layer=LAYER,
        name=item.name,
        plugin_key="feature_quality.report",
        parameters={
            "features": item.features,
            "policy": item.policy,
            "params": params.model_dump(mode="json"),
        },
        description=item.description
        or "What each feature says about the next close by itself, in which periods, and which of "
        "them a policy keeps: on the data, and on shuffled targets, where nothing is to be found.",
        family="report",
    )
    inputs = (
        *(Input("features", name, tuple(plugin.outputs)) for name, plugin in features.items()),
        Input("market_data", "enriched", ("close",)),
    )
    return Task((definition,), inputs, _implementation(), compute)


def _implementation() -> Implementation:
    libraries = ("numba", "numpy", "pandas", "scipy")
    parts = [
        implementation_of(module, libraries)
        for module in (quality_reports.__name__, joined.__module__)
    ]
    return Implementation(
        dict(sorted({**parts[0].modules, **parts[1].modules}.items())), parts[0].libraries
    )


def _seed(job: Job) -> int:
    """Seed of a partition: from what is computed, so that a new bar does not redraw all luck."""
    identity = f"{job.identity.code_version}|{job.symbol}|{job.timeframe}"
    return int(sha256_hex(identity)[:8], 16)


def _product(name: str, report: QualityReport, policy: str, params: QualityParams) -> Product:
    rate = params.honest_policy.false_discovery_rate
    page = quality_page(name, report, chosen=policy, false_discovery_rate=rate)
    attachments = {
        "report.md": page.encode(),
        "stability.svg": stability_heat_map(report.stability.auc).encode(),
        FEATURES_TABLE: reports.table_bytes(report.features.rename_axis("feature")),
        "features.csv": report.features.to_csv(index_label="feature").encode(),
        "families.parquet": reports.table_bytes(report.families),
        "folds.parquet": reports.table_bytes(report.folds),
        "luck.parquet": reports.table_bytes(report.luck),
        "stability.parquet": reports.table_bytes(report.stability.auc.rename_axis("feature")),
    }
    return Product(attachments=attachments, summary=_summary(report, policy, rate))


def _summary(report: QualityReport, policy: str, rate: float) -> dict[str, Any]:
    kept = {"seed": report.seed_kept, "honest": report.honest_kept}
    given = report.policies.loc[report.policies["data"] == "as given"].set_index("policy")
    luck = {
        name: report.luck.loc[report.luck["policy"] == name, "kept"].to_numpy(np.int64)
        for name in kept
    }
    summary: dict[str, Any] = {
        "policy": policy,
        "features_tested": int(given["tests"].max()),
        "kept": list(kept[policy]),
        "shuffles": len(luck[policy]),
        "false_discovery_rate": rate if policy == "honest" else None,
        "heterogeneity_rate": rate,
        "luck": luck_sentence(report, rate),
    }
    for name, names in kept.items():
        row = given.loc[name]
        summary[f"{name}_kept"] = len(names)
        summary[f"{name}_kept_on_noise"] = float(luck[name].mean()) if luck[name].size else None
        summary[f"{name}_noise_with_finds"] = int((luck[name] > 0).sum())
        for figure in ("claimed_auc", "out_of_fold_auc", "low", "high"):
            value = float(row[figure])
            summary[f"{name}_pipeline_{figure}"] = None if np.isnan(value) else value
    return summary


# ------------------------------------------------------------------------------------ the checks


@dataclass(frozen=True)
class Rated:
    """One partition of a quality asset as it is stored."""

    partition: str
    summary: Mapping[str, Any]
    features: Sequence[Mapping[str, Any]]


def rated(store: DatasetStore, name: str) -> list[Rated]:
    """All partitions of a quality asset that are there."""
    heads: Mapping[Any, Dataset] = store.heads(LAYER, name)
    return [
        Rated(
            str(partition_key(*partition)),
            head.summary,
            _records(reports.read_table(store.attachment(head, FEATURES_TABLE))),
        )
        for partition, head in sorted(heads.items())
    ]


def _records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    return [
        {str(key): value for key, value in row.items()}
        for row in table.reset_index().to_dict("records")
    ]


def luck_result(found: Sequence[Rated]) -> dg.AssetCheckResult:
    """Whether the policy finds something in nothing more often than it states.

    On a shuffled target every find is a false one, so that a policy with a false discovery rate
    finds anything on at most that share of the targets. How many of them had a find is set against
    the binomial distribution; a policy that states no rate may not find anything.
    """
    from scipy.special import bdtrc

    rows, failed = [], []
    for each in found:
        policy, draws = each.summary["policy"], each.summary["shuffles"]
        rate = each.summary["false_discovery_rate"] or 0.0
        finds = each.summary[f"{policy}_noise_with_finds"]
        chance = float(bdtrc(finds - 1, draws, rate)) if finds else 1.0
        if chance < SURPRISING:
            failed.append(each.partition)
        rows.append(
            {
                "partition": each.partition,
                "policy": policy,
                "shuffled_targets": draws,
                "with_finds": finds,
                "kept_on_average": each.summary[f"{policy}_kept_on_noise"] or 0.0,
                "stated_rate": rate,
                "probability": chance,
            }
        )
    told = (
        f"{len(failed)} of {len(found)} partitions keep more features on shuffled targets than the "
        "policy states"
        if failed
        else "no partition keeps more features on shuffled targets than the policy states"
    )
    return _result("luck", found, not failed, dg.AssetCheckSeverity.WARN, told, rows)


def coverage_result(
    found: Sequence[Rated], *, max_null_share: float, max_top_share: float
) -> dg.AssetCheckResult:
    """Features that are null, or one value, for more than the allowed share of the rows."""
    rows, dead = [], 0
    for each in found:
        for row in each.features:
            nulls, top = row["null_share"], row["top_share"]
            if nulls > max_null_share or top > max_top_share:
                dead += nulls == 1.0 or top == 1.0
                rows.append(
                    {
                        "partition": each.partition,
                        "feature": row["feature"],
                        "null_share": nulls,
                        "most_common_value": 0.0 if np.isnan(top) else top,
                    }
                )
    told = (
        f"{len(rows)} features are null for more than {max_null_share:.0%} of the rows after their "
        f"first value, or one value for more than {max_top_share:.0%}; {dead} of them say nothing "
        "at all"
        if rows
        else "no feature is null or constant more than is allowed"
    )
    severity = dg.AssetCheckSeverity.ERROR if dead else dg.AssetCheckSeverity.WARN
    return _result("coverage", found, not rows, severity, told, rows)


def stability_result(found: Sequence[Rated]) -> dg.AssetCheckResult:
    """Kept features whose periods do not share one AUC, at the rate of the honest policy."""
    rows, unstable = [], 0
    for each in found:
        kept = set(each.summary["kept"])
        for row in each.features:
            p_value = row["adjusted_heterogeneity_p"]
            if p_value > each.summary["heterogeneity_rate"] or np.isnan(p_value):
                continue
            unstable += 1
            if row["feature"] in kept:
                rows.append(
                    {
                        "partition": each.partition,
                        "feature": row["feature"],
                        "auc": row["auc"],
                        "periods": row["periods"],
                        "periods_on_its_side": row["same_side"],
                        "p_adjusted": p_value,
                    }
                )
    told = (
        f"{len(rows)} kept features change between periods by more than chance explains"
        if rows
        else "no kept feature changes between periods by more than chance explains"
    )
    told += f"; so do {unstable - len(rows)} others" if unstable > len(rows) else ""
    return _result("stability", found, not rows, dg.AssetCheckSeverity.WARN, told, rows)


def _result(
    name: str,
    found: Sequence[Rated],
    passed: bool,
    severity: dg.AssetCheckSeverity,
    told: str,
    rows: Sequence[Mapping[str, Any]],
) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"partitions": len(found), "findings": len(rows)}
    if rows:
        metadata["table"] = dg.MetadataValue.table(
            [dg.TableRecord(dict(row)) for row in rows[:SHOWN]]
        )
    if not found:
        told = "nothing is rated yet"
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=severity, description=told, metadata=metadata
    )


def _checks(component: FeatureQuality) -> dg.AssetChecksDefinition:
    item = component.item
    specs = [
        dg.AssetCheckSpec(name, asset=dg.AssetKey([LAYER, item.name]), description=text)
        for name, text in CHECKS.items()
    ]
    evaluate: Mapping[str, Callable[[Sequence[Rated]], dg.AssetCheckResult]] = {
        "luck": luck_result,
        "coverage": lambda found: coverage_result(
            found, max_null_share=item.max_null_share, max_top_share=item.max_constant_share
        ),
        "stability": stability_result,
    }

    @dg.multi_asset_check(name=f"{LAYER}__{item.name}__checks", specs=specs, can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[StoreResource]
    ) -> Iterator[dg.AssetCheckResult]:
        found = rated(store.store(), item.name)
        asked = {key.name for key in context.selected_asset_check_keys}
        for name, result in evaluate.items():
            if name in asked:
                yield result(found)

    return checks


def quality_definitions(components: Iterable[FeatureQuality]) -> dg.Definitions:
    """The checks of all documents, and the schedule that evaluates them; nothing without any."""
    checks = [_checks(component) for component in components]
    if not checks:
        return dg.Definitions()
    job = dg.define_asset_job("feature_quality_checks", selection=dg.AssetSelection.checks(*checks))
    hourly = dg.ScheduleDefinition(
        name="feature_quality_checks_hourly",
        job=job,
        cron_schedule="15 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Which features are luck, null, constant or unstable.",
    )
    return dg.Definitions(asset_checks=checks, jobs=[job], schedules=[hourly])
