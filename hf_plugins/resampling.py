"""Coarser bars from finer ones, inside the sessions of a calendar.

A coarse bar is made of the finer bars of one slot of one session, so none of them reaches over a
close, a weekend or a change of the clocks. Nothing is filled: a slot without finer bars gives no
bar, and a slot that lacks some gives one that says so.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numba import njit

from hf_plugins.enrichment.frames import bar_times, column
from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.sessions import Sessions, microseconds, require_located

RULES: Final[dict[str, str]] = {
    "open": "first",
    "high": "max",
    "low": "min",
    "close": "last",
    "volume": "sum",
    "vwap": "volume-weighted mean",
    "trades": "sum",
    "taker_buy_volume": "sum",
    "taker_sell_volume": "sum",
    "liquidations_long": "sum",
    "liquidations_short": "sum",
    "exchange_inflow": "sum",
    "dividend": "sum",
    "split_factor": "product",
    "adjustment": "last",
    "open_interest": "last",
    "funding_rate": "last",
    "long_short_account_ratio": "last",
}
"""How each column is combined. Amounts of the bar are summed; what is a state at its close (open
interest, the funding rate in force) is that of the last bar."""

MARKS: Final = ("is_complete", "is_final")

_SUM: Final = ("sum", "product", "max", "min")


def resample(bars: pd.DataFrame, *, source: str, target: str, sessions: Sessions) -> pd.DataFrame:
    """Combine finer bars into coarser ones.

    A null among the finer values of a sum, product or extreme makes the coarse value null: a part
    of a day's volume is not the day's volume. ``vwap`` is null where a bar with volume lacks it and
    where the volume is 0. ``first`` and ``last`` take the value of that bar, null or not.

    Args:
        bars: shape (n_bars, n_columns), columns out of :data:`RULES` and perhaps :data:`MARKS`,
            indexed by UTC open time, strictly increasing, at least a timeframe apart.
        source: timeframe of ``bars``.
        target: a coarser timeframe.
        sessions: those of the calendar that cover the bars.

    Returns:
        One row for each slot with a finer bar, labelled by :meth:`Sessions.grid`, in the columns of
        ``bars``; then ``is_complete``, whether all finer bars of the slot that the calendar implies
        are there and complete themselves, and ``is_final``, whether that is so and each of them is
        final (bars without such a mark count as complete and final).

    Raises:
        ConfigurationError: a timeframe is unknown, or the target is not coarser than the source.
        DataError: a column has no rule, a bar lies outside every session, or the index breaks its
            contract.
    """
    if microseconds(target) <= microseconds(source):
        raise ConfigurationError(
            f"target is '{target}', which is not coarser than the source '{source}'"
        )
    for name in bars.columns:
        if name not in RULES and name not in MARKS:
            raise DataError(f"bars cannot be resampled: {unknown('column', name, RULES)}")
    times = bar_times(bars, source)
    labels = _labels(times, source, target, sessions)
    starts = np.flatnonzero(np.diff(labels, prepend=-1 if not len(labels) else labels[0] - 1))
    # Slots are few and in order: count the finer bars that the calendar puts into each.
    implied = _labels(sessions.grid(source), source, target, sessions)
    slots = labels[starts]
    wanted = np.searchsorted(implied, slots, side="right") - np.searchsorted(implied, slots)
    counts = np.diff(np.append(starts, len(times)))

    values: dict[str, np.ndarray] = {}
    for name in bars.columns:
        if name in RULES:
            values[str(name)] = _combine(bars, str(name), starts)
    values["is_complete"] = (counts >= wanted) & _all(bars, "is_complete", starts)
    values["is_final"] = values["is_complete"] & _all(bars, "is_final", starts)
    index = pd.DatetimeIndex(slots.view("datetime64[us]"), tz="UTC", name="timestamp")
    return pd.DataFrame(values, index=index)


def _labels(times: np.ndarray, source: str, target: str, sessions: Sessions) -> np.ndarray:
    """Label of the coarse bar that each finer bar belongs to."""
    session = sessions.locate(times, source)
    require_located(times, session, source)
    if target == "1d":
        return sessions.labels[session]
    step = microseconds(target)
    anchors = sessions.anchors[session]
    return anchors + (times - anchors) // step * step


def _all(bars: pd.DataFrame, mark: str, starts: np.ndarray) -> np.ndarray:
    """Whether all bars of each slot have the mark; bars without such a column have it."""
    if mark not in bars.columns or not len(starts):
        return np.ones(len(starts), dtype=bool)
    return np.logical_and.reduceat(bars[mark].to_numpy("bool", na_value=False), starts)


def _combine(bars: pd.DataFrame, name: str, starts: np.ndarray) -> np.ndarray:
    values, rule = column(bars, name), RULES[name]
    if rule == "first":
        return values[starts]
    if rule == "last":
        ends = np.append(starts[1:], len(values))[: len(starts)]
        return values[ends - 1]
    if rule in _SUM:
        return _fold(values, starts, _SUM.index(rule))
    return _weighted_mean(values, column(bars, "volume"), starts)


@njit(cache=True)
def _fold(values: np.ndarray, starts: np.ndarray, rule: int) -> np.ndarray:
    """Fold each slot from its first bar to its last; NaN where any value is NaN."""
    result = np.empty(starts.size)
    for slot in range(starts.size):
        end = starts[slot + 1] if slot + 1 < starts.size else values.size
        total = values[starts[slot]]
        for row in range(starts[slot] + 1, end):
            value = values[row]
            if np.isnan(value) or np.isnan(total):
                total = np.nan
            elif rule == 0:
                total += value
            elif rule == 1:
                total *= value
            elif rule == 2:
                total = max(total, value)
            else:
                total = min(total, value)
        result[slot] = total
    return result


@njit(cache=True)
def _weighted_mean(values: np.ndarray, weights: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mean of each slot by weight; bars of weight 0 do not count, NaN elsewhere makes NaN."""
    result = np.full(starts.size, np.nan)
    for slot in range(starts.size):
        end = starts[slot + 1] if slot + 1 < starts.size else values.size
        total, weight = 0.0, 0.0
        for row in range(starts[slot], end):
            if weights[row] != 0.0:
                total += values[row] * weights[row]
                weight += weights[row]
        if weight > 0.0:
            result[slot] = total / weight
    return result
