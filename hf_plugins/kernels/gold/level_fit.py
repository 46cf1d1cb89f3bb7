r"""Price levels: the globally optimal one-dimensional k-means of one window of closes.

Here: from closes to the levels in force. Distances to them are in
:mod:`~hf_plugins.kernels.gold.level_distances`, what happens at them is in
:mod:`~hf_plugins.kernels.gold.level_events`.

A fit is due at the first bar of each UTC hour, once there are :data:`WINDOW` bars. It includes that
bar and is in force from it to the bar before the next fit.

**Integers.** Closes enter as :math:`q = \mathrm{rint}(10^5\, C)`. A level is the mean of its
cluster, an integer sum divided by the count and then by :math:`10^5`: two correctly rounded
divisions, so a cluster of one price is that price, bit for bit.

**Optimum.** The least sum of squared distances is the largest sum of :math:`S^2 / W` over the
clusters, with S the sum of the cluster's prices as offsets from the window's mean and W its count.
Clusters of an optimal partition are runs of the sorted distinct prices, hence a dynamic programme
[1]_: with :math:`F_k(j)` the best value of the first j distinct prices in k clusters,

.. math:: F_k(j) = \max_{i < j} F_{k-1}(i) + \frac{(S_j - S_i)^2}{W_j - W_i}

Two properties of this cost (it obeys the quadrangle inequality) save nearly all of the work:

* the best i never falls as j grows, so the rows between two solved rows search only between the
  answers of these two (divide and conquer);
* the boundaries of the best partitions into m - 1 and into m clusters interleave:
  :math:`b_{k-1}^{m-1} \le b_k^m \le b_k^{m-1}`. Solving for m = 2, 3, ... in turn therefore needs
  :math:`F_k` from :math:`b_{k-1}^{m-1}` upwards only.

**Arithmetic.** Offsets, sums and counts are integers below :math:`2^{53}`, exact in float64; the
squares are rounded. The partition found is optimal to about 1e-13 of the objective; of two
partitions closer than that either may be returned, always the same one for the same window.

**Range.** Below :data:`PRICE_LIMIT` the sum over a window stays below
:math:`7200 \cdot 10^7 \cdot 10^5 < 2^{53}`. A window that reaches it, or holds a close that is not
finite or negative, has no levels.

Look-back: 7259 bars (a fit is in force for 60 at most). NaN before the first fit.

.. [1] H. Wang and M. Song, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic
   Programming", The R Journal 3(2), 2011.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

WINDOW: Final = 7200
"""Closes in a fit: five days of minutes."""

CLUSTERS: Final = 7
"""Levels of a fit, as long as the window holds that many distinct prices."""

UNITS: Final = 100_000.0
"""Integer price units in one unit of price."""

PRICE_LIMIT: Final = 1e7
"""Prices from here on are outside the exact range."""

ROWS: Final = CLUSTERS + 1
"""Rows of a block of levels: their number, and the levels in ascending order, NaN where fewer."""

_HOUR: Final = 60
_DIGIT_BITS: Final = 9
_DIGITS: Final = 1 << _DIGIT_BITS


@njit(cache=True)
def workspace(window: int, clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scratch memory for :func:`fit`, to be reused from fit to fit.

    Returns:
        Sorted integers of shape (2, window); cumulated counts and offsets of shape
        (2, window + 1); value and choice of the dynamic programme, (clusters + 1, window + 1) each.
    """
    return (
        np.empty((2, window), dtype=np.int64),
        np.empty((2, window + 1)),
        np.empty((clusters + 1, window + 1)),
        np.empty((clusters + 1, window + 1), dtype=np.int64),
    )


@njit(cache=True)
def _sort(values: np.ndarray) -> int:
    """Sort the non-negative integers of one row by their digits; returns the row with the result.

    Args:
        values: shape (2, n), int64: one row to sort (row 0) and one to work in.
    """
    n = values.shape[1]
    highest = 0
    for i in range(n):
        highest |= values[0, i]
    position = np.empty(_DIGITS, dtype=np.int64)
    row = 0
    shift = 0
    while highest >> shift > 0:
        source, target = values[row], values[1 - row]
        position[:] = 0
        for value in source:
            position[(value >> shift) & (_DIGITS - 1)] += 1
        below = 0
        for digit in range(_DIGITS):
            count = position[digit]
            position[digit] = below
            below += count
        for value in source:
            digit = (value >> shift) & (_DIGITS - 1)
            target[position[digit]] = value
            position[digit] += 1
        row = 1 - row
        shift += _DIGIT_BITS
    return row


@njit(cache=True)
def _best_split(
    row: int,
    first: int,
    last: int,
    weight: np.ndarray,
    total: np.ndarray,
    shorter: np.ndarray,
) -> tuple[float, int]:
    """Best start of the last cluster of the first ``row`` prices, between ``first`` and ``last``.

    A candidate is better if ``shorter + sum**2 / count > best``; multiplied out, so that only an
    improvement costs a division. Of equal ones the lowest start is kept.
    """
    best = -np.inf
    where = first
    row_total, row_weight = total[row], weight[row]
    for i in range(first, last + 1):
        offset = row_total - total[i]
        count = row_weight - weight[i]
        if offset * offset > (best - shorter[i]) * count:
            best = shorter[i] + offset * offset / count
            where = i
    return best, where


@njit(cache=True)
def _extend(
    layer: int,
    low: int,
    high: int,
    lowest_split: int,
    weight: np.ndarray,
    total: np.ndarray,
    value: np.ndarray,
    choice: np.ndarray,
) -> None:
    """Solve rows ``low <= j < high`` of a layer, whose row ``high`` is solved.

    Rows are visited at halving strides; the two solved neighbours at the double stride bound each
    search.
    """
    rows = high - low
    if rows <= 0:
        return
    highest_split = choice[layer, high]
    shorter = value[layer - 1]
    before = low - 1
    stride = 1
    while 2 * stride <= rows:
        stride *= 2
    while stride > 0:
        for step in range(stride, rows + 1, 2 * stride):
            row = before + step
            first = choice[layer, row - stride] if step > stride else lowest_split
            last = choice[layer, row + stride] if step + stride <= rows else highest_split
            value[layer, row], choice[layer, row] = _best_split(
                row, first, min(last, row - 1), weight, total, shorter
            )
        stride //= 2


@njit(cache=True)
def partition(
    weight: np.ndarray,
    total: np.ndarray,
    clusters: int,
    value: np.ndarray,
    choice: np.ndarray,
) -> np.ndarray:
    """Boundaries of the optimal partition of sorted distinct values into runs.

    Args:
        weight: shape (n + 1,), float64: how many observations are among the first j values.
        total: shape (n + 1,), float64: their sum, taken from any origin; the nearer the mean the
            better conditioned.
        clusters: at least 1, at most n.
        value: scratch of shape (clusters + 1, n + 1) or larger.
        choice: scratch of shape (clusters + 1, n + 1) or larger, int64.

    Returns:
        Shape (clusters + 1,), int64, strictly ascending from 0 to n: cluster k holds the values
        ``boundary[k - 1] <= j < boundary[k]``.
    """
    n = weight.size - 1
    for row in range(1, n + 1):
        value[1, row] = total[row] * total[row] / weight[row]
    solved_from = np.full(clusters + 1, n)
    boundary = np.zeros(clusters + 1, dtype=np.int64)
    boundary[1] = n
    for m in range(2, clusters + 1):
        for layer in range(2, m):
            low = max(boundary[layer - 1], layer)
            lowest_split = max(boundary[layer - 2], layer - 1)
            _extend(layer, low, solved_from[layer], lowest_split, weight, total, value, choice)
            solved_from[layer] = min(low, solved_from[layer])
        value[m, n], choice[m, n] = _best_split(
            n, max(boundary[m - 2], m - 1), n - 1, weight, total, value[m - 1]
        )
        boundary[m] = n
        for layer in range(m, 1, -1):
            boundary[layer - 1] = choice[layer, boundary[layer]]
    return boundary


@njit(cache=True)
def fit(
    close: np.ndarray,
    clusters: int,
    levels: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """Levels of a window of closes.

    Args:
        close: shape (window,), in any order.
        clusters: number of levels wanted.
        levels: shape (clusters,) or longer; the levels found are written to its head, ascending.
        scratch: from :func:`workspace` for this window and number of clusters.

    Returns:
        How many levels there are: ``clusters``, or the number of distinct prices if that is less;
        0 if a close is outside [0, :data:`PRICE_LIMIT`).
    """
    values, cumulated, value, choice = scratch
    window = close.size
    lowest = np.int64(PRICE_LIMIT * UNITS)
    mean = 0
    for i in range(window):
        if not 0.0 <= close[i] < PRICE_LIMIT:
            return 0
        price = np.int64(np.rint(close[i] * UNITS))
        values[0, i] = price
        lowest = min(lowest, price)
        mean += price
    mean //= window
    for i in range(window):
        values[0, i] -= lowest
    ordered = values[_sort(values)]

    weight, total = cumulated[0], cumulated[1]
    weight[0] = total[0] = 0.0
    distinct = 0
    centre = mean - lowest
    offset_sum = 0
    for i in range(window):
        offset_sum += ordered[i] - centre
        if i + 1 == window or ordered[i + 1] != ordered[i]:
            distinct += 1
            weight[distinct] = i + 1
            total[distinct] = offset_sum

    found = min(clusters, distinct)
    boundary = partition(weight[: distinct + 1], total[: distinct + 1], found, value, choice)
    for k in range(found):
        count = weight[boundary[k + 1]] - weight[boundary[k]]
        offset = total[boundary[k + 1]] - total[boundary[k]]
        levels[k] = (offset + mean * count) / count / UNITS
    return found


@njit(cache=True, nogil=True)
def fits(start: int, stop: int, minute: np.ndarray, close: np.ndarray, out: np.ndarray) -> None:
    """Levels of the fits that are due in rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        minute: shape (capacity,), int64: epoch minutes of the bars, UTC.
        close: shape (capacity,).
        out: shape (ROWS, capacity), filled with NaN; a column is written where a fit is due.
    """
    scratch = (
        np.empty((0, 0), dtype=np.int64),
        np.empty((0, 0)),
        np.empty((0, 0)),
        np.empty((0, 0), dtype=np.int64),
    )
    found = np.empty(CLUSTERS)
    for t in range(max(start, WINDOW - 1), stop):
        if minute[t] // _HOUR == minute[t - 1] // _HOUR:
            continue
        if scratch[0].size == 0:  # most single bars need none
            scratch = workspace(WINDOW, CLUSTERS)
        count = fit(close[t - WINDOW + 1 : t + 1], CLUSTERS, found, scratch)
        out[0, t] = count
        for k in range(count):
            out[1 + k, t] = found[k]


@njit(cache=True, nogil=True)
def in_force(start: int, stop: int, fitted_levels: np.ndarray, out: np.ndarray) -> None:
    """Levels in force in rows ``start <= t < stop``: those of the last fit.

    Args:
        start: first row to fill.
        stop: row after the last.
        fitted_levels: shape (ROWS, capacity), from :func:`fits`.
        out: shape (ROWS, capacity); its row ``start - 1`` is what this continues from.
    """
    for t in range(start, stop):
        if not np.isnan(fitted_levels[0, t]):
            out[:, t] = fitted_levels[:, t]
        elif t > 0:
            out[:, t] = out[:, t - 1]
