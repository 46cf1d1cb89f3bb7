"""Compiled loops of the enrichment.

Windows are summed anew for each row and recursions are carried in a state, so a tail computed alone
has the same bits as the tail of the whole. Times are int64 microseconds UTC, strictly increasing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

EMPTY_AVERAGE: Final = (0.0, 0.0)
"""State of :func:`ema_continue` before the first row: values seen, average (or sum)."""


def empty_pivots(width: int) -> np.ndarray:
    """State of :func:`structure_continue` before the first row: shape (4 + 4 * width,), all NaN."""
    return np.full(4 + 4 * width, np.nan)


@njit(cache=True)
def log_return_since(times: np.ndarray, close: np.ndarray, lag: int, tolerance: int) -> np.ndarray:
    """Log return against the last close at or before ``lag`` microseconds earlier.

    NaN handling: NaN without such a bar, where it is more than ``tolerance`` older than that, and
    where either close is not a positive number.
    """
    rows = close.size
    values = np.full(rows, np.nan)
    base = -1
    for row in range(rows):
        target = times[row] - lag
        while base + 1 < rows and times[base + 1] <= target:
            base += 1
        if base < 0 or target - times[base] > tolerance:
            continue
        now, then = close[row], close[base]
        if 0.0 < now < np.inf and 0.0 < then < np.inf:
            values[row] = np.log(now / then)
    return values


@njit(cache=True)
def trailing_deviation(values: np.ndarray, window: int) -> np.ndarray:
    """Sample deviation of the last ``window`` values, the current one included, in two passes.

    NaN handling: NaN until there are ``window`` values, and while one of them is NaN.
    """
    result = np.full(values.size, np.nan)
    for row in range(window - 1, values.size):
        total = 0.0
        low, high = np.inf, -np.inf
        for each in range(row - window + 1, row + 1):
            total += values[each]
            low, high = min(low, values[each]), max(high, values[each])
        if not np.isfinite(total):
            continue
        if low == high:  # a mean that is off by a rounding would invent some dispersion
            result[row] = 0.0
            continue
        mean = total / window
        squares = 0.0
        for each in range(row - window + 1, row + 1):
            squares += (values[each] - mean) ** 2
        result[row] = np.sqrt(squares / (window - 1))
    return result


@njit(cache=True)
def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the last ``window`` values, the current one included.

    NaN handling: NaN until there are ``window`` values, and while one of them is not finite.
    """
    result = np.full(values.size, np.nan)
    for row in range(window - 1, values.size):
        total = 0.0
        for each in range(row - window + 1, row + 1):
            total += values[each]
        if np.isfinite(total):
            result[row] = total / window
    return result


@njit(cache=True)
def ema_continue(
    values: np.ndarray, length: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Exponential moving average of weight 2 / (length + 1), seeded with a simple mean.

    Args:
        values: shape (n_rows,), float64.
        length: of the average.
        state: shape (2,), values seen and average; not changed.

    Returns:
        Values of shape (n_rows,) and the state after the last row. NaN until ``length`` values are
        seen. A value that is not finite is NaN and starts the average anew.
    """
    result = np.full(values.size, np.nan)
    weight = 2.0 / (length + 1)
    seen, average = int(state[0]), state[1]
    for row in range(values.size):
        value = values[row]
        if not np.isfinite(value):
            seen, average = 0, 0.0
            continue
        if seen < length:
            average += value  # a sum until it is complete
            seen += 1
            if seen < length:
                continue
            average /= length
        else:
            average += weight * (value - average)
        if np.isfinite(average):
            result[row] = average
        else:  # beyond the range of float64: start anew
            seen, average = 0, 0.0
    return result, np.array([float(seen), average])


@njit(cache=True)
def structure_continue(
    high: np.ndarray, low: np.ndarray, width: int, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Market structure from the last two confirmed pivots of each kind.

    A high is a pivot when it lies above the ``width`` highs before it and not below the ``width``
    highs after it; it is known at the last of those, and used from that row on. Lows mirror that.

    Args:
        high: shape (n_rows,), float64.
        low: shape (n_rows,), float64.
        width: bars on each side.
        state: shape (4 + 4 * width,): older and newer pivot high, older and newer pivot low, then
            the last ``2 * width`` highs and lows; not changed.

    Returns:
        Values of shape (n_rows,): 1 for a higher high and a higher low, -1 for a lower high and a
        lower low, 0 otherwise, NaN until there are two pivots of each kind; and the state after the
        last row. A bar whose high or low is not finite keeps the bars within ``width`` of it from
        being pivots of that kind.
    """
    rows = high.size
    span = 2 * width
    # NaN alone makes every comparison below false; an infinity would not.
    highs = np.concatenate((state[4 : 4 + span], np.where(np.isfinite(high), high, np.nan)))
    lows = np.concatenate((state[4 + span :], np.where(np.isfinite(low), low, np.nan)))
    older_high, newer_high, older_low, newer_low = state[0], state[1], state[2], state[3]
    values = np.full(rows, np.nan)
    for row in range(rows):
        pivot = row + width  # of the extended arrays, whose row `row + span` is the current one
        top, bottom = True, True
        for side in range(1, width + 1):
            if not (highs[pivot - side] < highs[pivot] >= highs[pivot + side]):
                top = False
            if not (lows[pivot - side] > lows[pivot] <= lows[pivot + side]):
                bottom = False
            if not top and not bottom:
                break
        if top:
            older_high, newer_high = newer_high, highs[pivot]
        if bottom:
            older_low, newer_low = newer_low, lows[pivot]
        if np.isnan(older_high) or np.isnan(older_low):
            continue
        if newer_high > older_high and newer_low > older_low:
            values[row] = 1.0
        elif newer_high < older_high and newer_low < older_low:
            values[row] = -1.0
        else:
            values[row] = 0.0
    after = np.empty(state.size)
    after[0], after[1], after[2], after[3] = older_high, newer_high, older_low, newer_low
    after[4 : 4 + span] = highs[rows:]
    after[4 + span :] = lows[rows:]
    return values, after


@njit(cache=True)
def percentile_rank(
    times: np.ndarray, ranks: np.ndarray, distinct: int, window: int, minimum: int
) -> np.ndarray:
    """Percentile rank of each value among those of a trailing window of time.

    Counts are kept in a Fenwick tree over the ranks [1]_: whole numbers, so that nothing depends on
    how the window came about.

    Args:
        times: shape (n_rows,).
        ranks: shape (n_rows,), int64: position of the value among the distinct values of the
            series, -1 where it is unknown.
        distinct: number of distinct values.
        window: microseconds; the values of ``(time - window, time]`` count.
        minimum: microseconds that the known values of the window must reach back.

    Returns:
        Per cent of known values below the current one, values equal to it counting half, in
        (0, 100). NaN where the value is unknown, and until the window reaches back far enough.

    .. [1] P. M. Fenwick, "A New Data Structure for Cumulative Frequency Tables", 1994.
    """
    rows = times.size
    result = np.full(rows, np.nan)
    tree = np.zeros(distinct + 1, dtype=np.int64)
    equal = np.zeros(distinct, dtype=np.int64)
    known = 0
    start = 0
    for row in range(rows):
        if ranks[row] >= 0:
            known += 1
            equal[ranks[row]] += 1
            node = ranks[row] + 1
            while node <= distinct:
                tree[node] += 1
                node += node & -node
        # Unknown rows at the front leave too, so that `start` is the oldest known value.
        while start <= row and (times[start] <= times[row] - window or ranks[start] < 0):
            if ranks[start] >= 0:
                known -= 1
                equal[ranks[start]] -= 1
                node = ranks[start] + 1
                while node <= distinct:
                    tree[node] -= 1
                    node += node & -node
            start += 1
        if ranks[row] < 0 or times[row] - times[start] < minimum:
            continue
        below = 0
        node = ranks[row]
        while node > 0:
            below += tree[node]
            node -= node & -node
        result[row] = 100.0 * (below + 0.5 * equal[ranks[row]]) / known
    return result
