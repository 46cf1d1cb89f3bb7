r"""Wilder's smoothing and the two indicators that rest on it.

The average of the first ``length`` values starts the recursion [1]_, every later value enters with
weight ``1 / length``:

.. math:: s_t = s_{t-1} + \frac{1}{n} (v_t - s_{t-1})

Seeding is that of TA-Lib, so the results agree to rounding from the first one on.

Each indicator is one loop that starts from a state and returns the state after its last row. The
batch form starts from :func:`empty_state`; continuing from a returned state runs the same
instructions on the same numbers, hence gives the same bits, wherever the series is split.

NaN handling: an input that is not finite breaks the recursion. Rows that need it are NaN, and the
smoothing is seeded anew from the rows after it, as if the series began there. A missing bar
therefore never leaks into later values through a stale average, and never poisons them for ever.

.. [1] J. W. Wilder, "New Concepts in Technical Trading Systems", 1978.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FLAT: Final = 1e-12
"""Average movement, as a fraction of the price, at or below which a series counts as flat."""

STATE: Final = ("previous_close", "values_seen", "first_average", "second_average")
"""The numbers of a state, all float64. ATR has no second average; RSI's are gain and loss."""


def empty_state() -> np.ndarray:
    """The state before the first row: shape (4,)."""
    return np.array([np.nan, 0.0, 0.0, 0.0])


@njit(cache=True)
def _smooth(average: float, seen: int, value: float, length: int, weight: float) -> float:
    """Let ``value`` enter; until ``length`` values are seen, ``average`` holds their sum."""
    if seen < length:
        average += value
        return average / length if seen + 1 == length else average
    return average + (value - average) * weight


@njit(cache=True)
def rsi_continue(
    close: np.ndarray, length: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Relative strength index of the rows that follow ``state``.

    Args:
        close: shape (n_rows,), float64.
        length: of the smoothing.
        state: shape (4,), from :func:`empty_state` or from an earlier call; not changed.

    Returns:
        Values of shape (n_rows,) in [0, 100], and the state after the last row. NaN during the
        first ``length`` rows, and where the average movement is at most :data:`FLAT` of the price:
        the ratio of two vanished averages says nothing.
    """
    rows = close.shape[0]
    values = np.full(rows, np.nan)
    previous, gain, loss = state[0], state[2], state[3]
    seen = int(state[1])
    weight = 1.0 / length  # a division in the loop would be most of its time
    for row in range(rows):
        price = close[row]
        change = price - previous
        previous = price
        if not np.isfinite(change):
            seen, gain, loss = 0, 0.0, 0.0
            continue
        gain = _smooth(gain, seen, max(change, 0.0), length, weight)
        loss = _smooth(loss, seen, max(-change, 0.0), length, weight)
        seen = min(seen + 1, length)
        movement = gain + loss
        if not np.isfinite(movement):  # beyond the range of float64: start anew
            seen, gain, loss = 0, 0.0, 0.0
        elif seen == length and movement > FLAT * abs(price):
            values[row] = 100.0 * (gain / movement)
    return values, np.array([previous, float(seen), gain, loss])


@njit(cache=True)
def atr_continue(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, length: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average true range of the rows that follow ``state``.

    Args:
        high: shape (n_rows,), float64.
        low: shape (n_rows,), float64.
        close: shape (n_rows,), float64.
        length: of the smoothing.
        state: shape (4,), from :func:`empty_state` or from an earlier call; not changed.

    Returns:
        Values of shape (n_rows,), in price units, and the state after the last row. NaN during the
        first ``length`` rows: the first row has no previous close, hence no true range.
    """
    rows = close.shape[0]
    values = np.full(rows, np.nan)
    previous, average = state[0], state[2]
    seen = int(state[1])
    weight = 1.0 / length  # a division in the loop would be most of its time
    for row in range(rows):
        true_range = high[row] - low[row]
        above, below = abs(high[row] - previous), abs(low[row] - previous)
        previous = close[row]
        if not np.isfinite(true_range + above + below):
            seen, average = 0, 0.0
            continue
        average = _smooth(average, seen, max(true_range, above, below), length, weight)
        seen = min(seen + 1, length)
        if not np.isfinite(average):  # beyond the range of float64: start anew
            seen, average = 0, 0.0
        elif seen == length:
            values[row] = average
    return values, np.array([previous, float(seen), average, 0.0])


def rsi(close: np.ndarray, length: int) -> np.ndarray:
    """Relative strength index of a whole series: see :func:`rsi_continue`."""
    return rsi_continue(close, length, empty_state())[0]


def atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, length: int) -> np.ndarray:
    """Average true range of a whole series: see :func:`atr_continue`."""
    return atr_continue(high, low, close, length, empty_state())[0]
