r"""Where the price stands among the levels in force.

With v the levels (:mod:`~hf_plugins.kernels.gold.level_fit`), v* the nearest one (the lower of two
equally near) and ATR* the average true range of 14 bars, at least a millionth of the close:

======================== =============================================== ===========================
Column                   Value                                           Unit, range
======================== =============================================== ===========================
``dist_nearest``         \|C - v*\|                                      price, >= 0
``dist_support``         C - max{v <= C}; v_max - v_min if there is none price, >= 0
``dist_resistance``      min{v >= C} - C; v_max - v_min if there is none price, >= 0
``dist_*_norm``          the three divided by ATR*                       >= 0
``level_rank``           rank of v* from below                           1 ... 7
``near_level_flag``      1 if dist_nearest <= ATR*/2                     0 or 1
======================== =============================================== ===========================

A level that equals the close is support and resistance. Look-back: 7259 bars (and the fading memory
of the ATR). NaN where no levels are in force.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

LEAST_RANGE: Final = 1e-6
"""Least average true range, as a fraction of the close."""
NEAR: Final = 0.5
"""Half-width of the zone around a level, in average true ranges."""


@njit(cache=True)
def bounded_range(average_true_range: float, close: float) -> float:
    """ATR*; NaN stays NaN."""
    least = LEAST_RANGE * close
    return least if average_true_range < least else average_true_range


@njit(cache=True)
def nearest(levels: np.ndarray, t: int, price: float) -> int:
    """Row of ``levels`` that holds the level nearest to a price, the lower one of two."""
    best = 1
    for k in range(2, int(levels[0, t]) + 1):
        if abs(price - levels[k, t]) < abs(price - levels[best, t]):
            best = k
    return best


@njit(cache=True, nogil=True)
def row(t: int, close: np.ndarray, atr: np.ndarray, levels: np.ndarray, out: np.ndarray) -> None:
    """Write ``out[0, t]`` to ``out[7, t]``: see :func:`rows`."""
    if not levels[0, t] > 0.0:
        return
    count = int(levels[0, t])
    price = close[t]
    support = resistance = levels[count, t] - levels[1, t]
    for k in range(1, count + 1):
        level = levels[k, t]
        if level <= price:
            support = price - level
    for k in range(count, 0, -1):
        level = levels[k, t]
        if level >= price:
            resistance = level - price
    rank = nearest(levels, t, price)
    distance = abs(price - levels[rank, t])
    average = bounded_range(atr[t], price)
    out[0, t] = distance
    out[1, t] = support
    out[2, t] = resistance
    out[3, t] = distance / average
    out[4, t] = support / average
    out[5, t] = resistance / average
    out[6, t] = rank
    out[7, t] = 1.0 if distance <= NEAR * average else 0.0


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    atr: np.ndarray,
    levels: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        close: shape (capacity,), positive.
        atr: shape (capacity,), from :mod:`hf_plugins.kernels.gold.averages`.
        levels: shape (8, capacity), from :func:`hf_plugins.kernels.gold.level_fit.in_force`.
        out: shape (8, capacity), filled with NaN; columns in the order of the table above.
    """
    for t in range(start, stop):
        row(t, close, atr, levels, out)
