r"""Exponential averages and the two indicators that compare a fast one with a slow one.

.. math:: e_t = e_{t-1} + \frac{2}{n + 1} (v_t - e_{t-1})

The mean of the first n values starts the recursion. Seeding and order of operations are those of
TA-Lib, so the results agree to rounding.

Each indicator is one loop that starts from a state and returns the state after its last row, so its
values have the same bits wherever the series is split.

NaN handling: a close that is not finite breaks the recursion. Its row is NaN, and the averages are
seeded anew from the rows after it, as if the series began there; so they are where a sum leaves the
range of float64.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FLAT: Final = 1e-12
"""Distance of two averages, as a fraction of the price, at or below which they count as equal."""

MACD_STATE: Final = ("values_seen", "fast_average", "slow_average", "lines_seen", "signal_average")
"""The numbers of the state of :func:`macd_continue`, all float64; an average in the making is the
sum of the values seen."""

CROSS_STATE: Final = ("values_seen", "fast_average", "slow_average", "side")
"""The numbers of the state of :func:`cross_continue`; the side is 1 where the fast average was
above the slow one, -1 below, 0 equal, null before both are known."""


def empty_macd() -> np.ndarray:
    """The state of :func:`macd_continue` before the first row: shape (5,)."""
    return np.zeros(len(MACD_STATE))


def empty_cross() -> np.ndarray:
    """The state of :func:`cross_continue` before the first row: shape (4,)."""
    return np.array([0.0, 0.0, 0.0, np.nan])


@njit(cache=True)
def _enter(average: float, seen: int, value: float, length: int, weight: float) -> float:
    """Let ``value`` enter; until ``length`` values are seen, ``average`` holds their sum."""
    if seen < length:
        average += value
        return average / length if seen + 1 == length else average
    return (value - average) * weight + average


@njit(cache=True)
def macd_continue(
    close: np.ndarray, fast: int, slow: int, signal: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Moving average convergence/divergence of the rows that follow ``state``.

    Args:
        close: shape (n_rows,), float64.
        fast: values of the fast average.
        slow: values of the slow average; more than ``fast``.
        signal: values of the average of the line.
        state: shape (5,), from :func:`empty_macd` or from an earlier call; not changed.

    Returns:
        Line, signal and histogram of shape (n_rows,) each, in price units, and the state after the
        last row. The line is NaN in the first ``slow - 1`` rows, the others in the ``signal - 1``
        rows after these too. The fast average is seeded by the last ``fast`` of the first ``slow``
        values, as TA-Lib does, so that both averages start at the same row.
    """
    rows = close.shape[0]
    line = np.full(rows, np.nan)
    average = np.full(rows, np.nan)
    histogram = np.full(rows, np.nan)
    seen, lines = int(state[0]), int(state[3])
    quick, lazy, smooth = state[1], state[2], state[4]
    weights = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (signal + 1)
    for row in range(rows):
        price = close[row]
        if seen >= slow - fast:
            quick = _enter(quick, seen - (slow - fast), price, fast, weights[0])
        lazy = _enter(lazy, seen, price, slow, weights[1])
        seen = min(seen + 1, slow)
        known = np.nan
        if seen == slow:
            known = quick - lazy
            smooth = _enter(smooth, lines, known, signal, weights[2])
            lines = min(lines + 1, signal)
        if not np.isfinite(quick + lazy + smooth):
            seen, lines = 0, 0
            quick, lazy, smooth = 0.0, 0.0, 0.0
            continue
        line[row] = known
        if lines == signal:
            average[row] = smooth
            histogram[row] = known - smooth
    return line, average, histogram, np.array([float(seen), quick, lazy, float(lines), smooth])


@njit(cache=True)
def cross_continue(
    close: np.ndarray, fast: int, slow: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two averages and their crossings in the rows that follow ``state``.

    Args:
        close: shape (n_rows,), float64.
        fast: values of the fast average.
        slow: values of the slow average; more than ``fast``.
        state: shape (4,), from :func:`empty_cross` or from an earlier call; not changed.

    Returns:
        Fast and slow average (in price units, NaN in the first ``fast - 1`` and ``slow - 1`` rows)
        and crossings of shape (n_rows,) each, and the state after the last row. A crossing is 1
        where the fast average is above the slow one and was not in the row before, -1 where it is
        below and was not, 0 elsewhere; NaN in the first ``slow`` rows. Averages that differ by at
        most :data:`FLAT` of the slow one are equal.
    """
    rows = close.shape[0]
    above = np.full(rows, np.nan)
    below = np.full(rows, np.nan)
    crossing = np.full(rows, np.nan)
    seen = int(state[0])
    quick, lazy, side = state[1], state[2], state[3]
    weights = 2.0 / (fast + 1), 2.0 / (slow + 1)
    for row in range(rows):
        price = close[row]
        quick = _enter(quick, min(seen, fast), price, fast, weights[0])
        lazy = _enter(lazy, seen, price, slow, weights[1])
        seen = min(seen + 1, slow)
        if not np.isfinite(quick + lazy):
            seen, quick, lazy, side = 0, 0.0, 0.0, np.nan
            continue
        if seen >= fast:
            above[row] = quick
        if seen < slow:
            continue
        below[row] = lazy
        before = side
        distance = quick - lazy
        side = 0.0 if abs(distance) <= FLAT * abs(lazy) else np.sign(distance)
        if not np.isnan(before):
            crossing[row] = side if side != before else 0.0
    return above, below, crossing, np.array([float(seen), quick, lazy, side])
