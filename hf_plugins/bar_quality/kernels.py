"""Compiled loops over kept bars in time order; each value depends on earlier rows only."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def _put(ordered: np.ndarray, count: int, value: float) -> None:
    """Insert into the first ``count`` places of an ordered array."""
    place = np.searchsorted(ordered[:count], value)
    for each in range(count, place, -1):
        ordered[each] = ordered[each - 1]
    ordered[place] = value


@njit(cache=True)
def _take(ordered: np.ndarray, count: int, value: float) -> None:
    """Remove a value that is among the first ``count`` places of an ordered array."""
    for each in range(np.searchsorted(ordered[:count], value), count - 1):
        ordered[each] = ordered[each + 1]


@njit(cache=True)
def past_median(values: np.ndarray, window: int, minimum: int) -> np.ndarray:
    """Median of the values in the ``window`` rows before each, the row itself excluded.

    NaN handling: NaN values are left out; NaN where fewer than ``minimum`` are left.
    """
    rows = values.size
    result = np.full(rows, np.nan)
    ordered = np.empty(window + 1)
    count = 0
    for row in range(rows):
        if count >= minimum:
            half = count // 2
            result[row] = ordered[half] if count % 2 else 0.5 * (ordered[half - 1] + ordered[half])
        if row >= window and not np.isnan(values[row - window]):
            _take(ordered, count, values[row - window])
            count -= 1
        if not np.isnan(values[row]):
            _put(ordered, count, values[row])
            count += 1
    return result


@njit(cache=True)
def excursions(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, split: np.ndarray
) -> np.ndarray:
    """How far each bar strays from what came before, as a log move; prices are positive.

    The larger of the moves to the high and to the low, measured from whichever of the last two
    closes is nearer: after a single bad close, the next good bar is no outlier. An earlier close is
    put on the footing of the bar by the splits in between, so that a split that is known is no
    move. NaN in the first row.

    Args:
        high: shape (n_rows,), and so are the others.
        low: as above.
        close: as above.
        split: shares after the bar's open for each one before it, 1 where nothing was split.
    """
    rows = close.size
    result = np.full(rows, np.nan)
    for row in range(1, rows):
        nearest = np.inf
        shares = 1.0
        for back in range(1, min(row, 2) + 1):
            shares *= split[row - back + 1]
            base = close[row - back] / shares
            move = max(abs(np.log(high[row] / base)), abs(np.log(low[row] / base)))
            nearest = min(nearest, move)
        result[row] = nearest
    return result


@njit(cache=True)
def identical_run(columns: np.ndarray) -> np.ndarray:
    """Length of the run of identical rows that each row ends, at least 1; NaN equals NaN.

    Args:
        columns: shape (n_columns, n_rows), float64.
    """
    rows = columns.shape[1]
    result = np.ones(rows, dtype=np.int64)
    for row in range(1, rows):
        same = True
        for each in range(columns.shape[0]):
            now, before = columns[each, row], columns[each, row - 1]
            if now != before and not (np.isnan(now) and np.isnan(before)):
                same = False
                break
        if same:
            result[row] = result[row - 1] + 1
    return result
