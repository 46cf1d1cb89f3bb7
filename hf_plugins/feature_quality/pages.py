"""A report as Markdown: both policies beside each other, and what luck looks like.

Numbers arrive computed; only words and tables are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from hf_plugins.feature_quality.report import QualityReport

_CLAIMS = (
    "The claimed AUC is that of the rows by which the pipeline was chosen; the AUC out of fold is "
    "of rows that come after everything it was chosen and fitted by."
)
SHOWN = 40
"""Features in the table of a page; all of them are in the table beside it."""


def quality_page(
    title: str, report: QualityReport, *, chosen: str, false_discovery_rate: float
) -> str:
    """Page of a report.

    Args:
        title: heading.
        report: what is told.
        chosen: the policy whose choice counts.
        false_discovery_rate: that the honest policy states.
    """
    kept = {"seed": report.seed_kept, "honest": report.honest_kept}
    features = features_table(report.features, most=SHOWN)
    told = (
        f"The {SHOWN} most significant of {len(report.features)}.\n\n"
        if len(report.features) > SHOWN
        else ""
    )
    parts = [
        f"### {title}",
        luck_sentence(report, false_discovery_rate),
        "#### The two policies",
        policies_table(report),
        _CLAIMS,
        f"#### Kept ({chosen} counts)",
        "\n\n".join(
            f"**{policy}** ({len(names)}): {_names(names)}" for policy, names in kept.items()
        ),
    ]
    if len(report.families) > 1:
        parts += ["#### Families", families_table(report.families)]
    parts += ["#### Features", told + features]
    return "\n\n".join(parts) + "\n"


def luck_sentence(report: QualityReport, false_discovery_rate: float) -> str:
    """What either policy finds where nothing is to be found, in words."""
    if report.luck.empty:
        return "No shuffled target was tried, so nothing is known of luck."
    tests = int(report.policies["tests"].to_numpy().max())
    of_policy = {str(name): part for name, part in report.luck.groupby("policy")}
    seed, honest = of_policy["seed"], of_policy["honest"]
    counts = seed["kept"].to_numpy(np.int64)
    claimed = seed["claimed_auc"].to_numpy(np.float64)
    claim = (
        f" and claimed an AUC of {np.nanmean(claimed):.4f} for them"
        if np.isfinite(claimed).any()
        else ""
    )
    found = int((honest["kept"].to_numpy(np.int64) > 0).sum())
    return (
        f"This is what luck looks like: on {len(seed)} shuffled target{'s' * (len(seed) != 1)}, "
        f"where nothing is to be found, the seed policy kept {counts.mean():.1f} of {tests} "
        f"features on average ({counts.min()} to {counts.max()}){claim}; the honest policy kept "
        f"something on {found}, with a stated false discovery rate of {false_discovery_rate:g}."
    )


def policies_table(report: QualityReport) -> str:
    """Both policies, on the data and on the first shuffled target."""
    header = ["data", "policy", "tested", "kept", "inverted", "in the pipeline"]
    header += ["claimed AUC", "AUC out of fold"]
    rows = [
        [
            str(row["data"]),
            str(row["policy"]),
            *(f"{int(row[name])}" for name in ("tests", "kept", "inverted", "pipeline")),
            _figure(row["claimed_auc"]),
            _interval(row["out_of_fold_auc"], row["low"], row["high"]),
        ]
        for row in report.policies.to_dict("records")
    ]
    return table(header, rows)


def families_table(families: pd.DataFrame) -> str:
    """Families, by what all features of each are worth together."""
    header = ["family", "features", "kept by seed", "kept by honest", "farthest from 0.5"]
    header += ["AUC out of fold, all together", "p"]
    rows = [
        [
            str(row["family"]),
            *(f"{int(row[name])}" for name in ("features", "seed_kept", "honest_kept")),
            _figure(row["largest_distance"]),
            _interval(row["out_of_fold_auc"], row["low"], row["high"]),
            _p_value(row["p_value"]),
        ]
        for row in families.reset_index().to_dict("records")
    ]
    return table(header, rows)


def features_table(features: pd.DataFrame, *, most: int | None = None) -> str:
    """Features, the most significant first."""
    header = ["feature", "rows", "AUC", "p adjusted", "band (last fifth)", "kept by"]
    header += ["AUC out of fold", "periods on its side"]
    ordered = features.sort_values("p_value", kind="stable").iloc[:most]
    rows = [
        [
            f"`{name}`",
            f"{int(row['rows']):,}",
            _interval(row["auc"], row["low"], row["high"]),
            _p_value(row["adjusted_p_value"]),
            f"{_figure(row['validation_auc'])} {row['band']}",
            ", ".join(policy for policy in ("seed", "honest") if row[f"{policy}_kept"]) or "-",
            _interval(row["out_of_fold_auc"], row["out_of_fold_low"], row["out_of_fold_high"]),
            "-" if np.isnan(row["same_side"]) else f"{row['same_side']:.0%} of {row['periods']}",
        ]
        for name, row in zip(ordered.index, ordered.to_dict("records"), strict=True)
    ]
    return table(header, rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join('---' for _ in header)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"


def _interval(value: float, low: float, high: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f} ({low:.4f} to {high:.4f})"


def _p_value(value: float) -> str:
    if np.isnan(value):
        return "-"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
