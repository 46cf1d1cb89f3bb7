"""What each check leads to, and its thresholds: typed, flat, made for YAML."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import Field

from hf_plugins.bar_quality.faults import CHECKS, Action
from hf_plugins.base import Params

Fatal = Literal["quarantine", "block"]
"""For rows that cannot stand in a series at all: they are put aside in any case."""


class QualityPolicy(Params):
    """Per check: ``warn`` keeps the row and flags it, ``quarantine`` puts it aside with its reason,
    ``block`` does that and refuses the whole batch. Then the thresholds.
    """  # noqa: D205  (one sentence)

    no_timestamp: Annotated[Fatal, Field(description="A row without a timestamp.")] = "quarantine"
    duplicate: Annotated[Fatal, Field(description="A row that is there twice.")] = "quarantine"
    conflict: Annotated[
        Fatal, Field(description="Two rows of one time that differ; the first is kept.")
    ] = "quarantine"
    order: Annotated[Action, Field(description="A row that arrived after a later bar.")] = "block"
    off_grid: Annotated[
        Action, Field(description="An open time that no bar of the timeframe can have.")
    ] = "quarantine"
    outside_session: Annotated[
        Action, Field(description="A bar of a time when the market is closed.")
    ] = "quarantine"
    unfinished: Annotated[Action, Field(description="A bar taken before its close.")] = "quarantine"
    non_finite: Annotated[Fatal, Field(description="A null price or an infinite value.")] = (
        "quarantine"
    )
    non_positive: Annotated[
        Fatal, Field(description="A price, adjustment or split factor of 0 or less.")
    ] = "quarantine"
    ohlc: Annotated[
        Action, Field(description="A high below, or a low above, another price of the bar.")
    ] = "quarantine"
    negative_amount: Annotated[Fatal, Field(description="A volume or other amount below 0.")] = (
        "quarantine"
    )
    taker_volume: Annotated[Action, Field(description="More taker volume than volume.")] = "warn"
    vwap: Annotated[Action, Field(description="An average price outside low and high.")] = "warn"
    stale: Annotated[Action, Field(description="A run of identical bars.")] = "warn"
    outlier: Annotated[Action, Field(description="A price far from the closes before it.")] = "warn"
    volume_anomaly: Annotated[
        Action, Field(description="A volume far above the usual, or none where there is some.")
    ] = "warn"
    missing: Annotated[
        Literal["warn", "block"], Field(description="Bars of the calendar that are not there.")
    ] = "warn"
    late: Annotated[Action, Field(description="A bar that arrived long after its close.")] = "warn"

    stale_bars: Annotated[
        int, Field(ge=2, le=10_000, description="Identical bars, the first included, for a run.")
    ] = 5
    window: Annotated[
        int,
        Field(ge=10, le=10_000, description="Earlier bars whose median is the usual movement."),
    ] = 100
    minimum_history: Annotated[
        int, Field(ge=5, le=10_000, description="Earlier bars without which none is judged.")
    ] = 30
    outlier_multiple: Annotated[
        float, Field(gt=1, description="Times the usual movement that make an outlier.")
    ] = 25.0
    outlier_floor: Annotated[
        float, Field(gt=0, lt=1, description="Log move below which nothing is an outlier.")
    ] = 0.01
    volume_multiple: Annotated[
        float, Field(gt=1, description="Times the usual volume that make an anomaly.")
    ] = 25.0
    vwap_tolerance: Annotated[
        float, Field(ge=0, lt=1, description="Fraction of price that the average may overshoot.")
    ] = 1e-6
    late_minutes: Annotated[
        float, Field(gt=0, description="Minutes after its close from which on a bar is late.")
    ] = 60.0

    def action(self, check: str) -> Action:
        """What the check leads to."""
        return cast(Action, getattr(self, check))


def context_rows(policy: QualityPolicy) -> int:
    """Earlier kept bars that a batch needs for the same flags as in one batch with them."""
    # A movement looks back over two closes.
    return max(policy.window + 2, policy.stale_bars)


def markdown_table() -> str:
    """All checks as a Markdown table, one row a check."""
    rows = [("Check", "The row, or bar", "Weight", "Default", "About"), ("---",) * 5]
    default = QualityPolicy()
    rows += [
        (
            f"`{name}`",
            check.note,
            f"{check.weight:g}",
            default.action(name),
            "the series" if check.of_series else "the row",
        )
        for name, check in CHECKS.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
