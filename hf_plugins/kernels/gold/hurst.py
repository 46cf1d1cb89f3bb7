r"""Hurst exponent by rescaled range analysis [1]_ of the last 60 log returns: ``hurst_60``.

Of a block of n returns, let Z_k be the sum of the first k deviations from the mean of the block.
Then

.. math:: R/S = \frac{\max_k Z_k - \min_k Z_k}{S}, \quad k = 1 \dots n,

with S the standard deviation of the block (ddof 0). For each size n of :data:`SIZES` that fits, the
newest returns are cut into adjacent blocks that end at the current bar and R/S is averaged over
them; H is the least-squares slope of ln(mean R/S) on ln n, clipped to [0, 1].

There is no correction for the bias of small blocks: independent noise has a mean H of about 0.575
at this window, not 0.5.

R/S of a block depends on its size and its last bar only. :func:`range_rows` computes it once per
size and bar; the windows of all later bars pick from what it wrote. It works on bars side by side:
see :mod:`~hf_plugins.kernels.gold.blocks`.

Look-back: 60 returns (61 bars). Until there are as many, the returns there are; below
:data:`FLOOR` returns NaN. Blocks without variation are left out; fewer than two sizes with a usable
block say nothing about scaling and give 0.5.

.. [1] B. B. Mandelbrot and J. R. Wallis, "Robustness of the rescaled range R/S in the measurement
   of noncyclic long run statistical dependence", Water Resources Research 5, 1969.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, return_moments
from hf_plugins.kernels.gold.forward_fill import forward_fill
from hf_plugins.kernels.gold.scaling import slope
from hf_plugins.kernels.gold.windows import clip

WINDOW: Final = 60
FLOOR: Final = 20
SIZES: Final = np.array([10, 12, 15, 20, 30, 60])
LOG_SIZES: Final = np.log(SIZES)


@njit(cache=True, nogil=True)
def block_ranges(log_return: np.ndarray, first: int, stop: int, size: int, out: np.ndarray) -> None:
    """R/S of the blocks of ``size`` returns that end at the rows ``first <= t < stop``.

    Writes ``out`` of shape (stop - first,); NaN where the returns of a block do not vary.
    """
    bars = stop - first
    mean = np.empty(bars)
    variation = np.empty(bars)
    return_moments(log_return, first, stop, size, mean, variation)
    total = np.zeros(bars)
    highest = np.full(bars, -np.inf)
    lowest = np.full(bars, np.inf)
    for delay in range(size - 1, -1, -1):
        delayed = log_return[first - delay : stop - delay]
        for bar in range(bars):
            total[bar] += delayed[bar] - mean[bar]
            highest[bar] = max(highest[bar], total[bar])
            lowest[bar] = min(lowest[bar], total[bar])
    for bar in range(bars):
        if variation[bar] > 0.0:
            out[bar] = (highest[bar] - lowest[bar]) / np.sqrt(variation[bar] / size)
        else:
            out[bar] = np.nan


@njit(cache=True, nogil=True)
def range_rows(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """R/S of the blocks that end at the rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        out: shape (6, capacity), a row per entry of :data:`SIZES`; NaN where the block is not
            complete or does not vary.
    """
    for k in range(SIZES.size):
        for first in range(max(start, SIZES[k]), stop, BLOCK):
            end = min(first + BLOCK, stop)
            block_ranges(log_return, first, end, SIZES[k], out[k, first:end])


@njit(cache=True, nogil=True)
def row(t: int, rescaled_ranges: np.ndarray, out: np.ndarray) -> None:
    """Write ``out[0, t]``: see :func:`rows`."""
    returns = min(t, WINDOW)
    if returns < FLOOR:
        out[0, t] = np.nan
        return
    log_sizes = np.empty(SIZES.size)
    log_ranges = np.empty(SIZES.size)
    usable = 0
    for k in range(SIZES.size):
        total = 0.0
        blocks = 0
        for block in range(returns // SIZES[k]):
            value = rescaled_ranges[k, t - block * SIZES[k]]
            if not np.isnan(value):
                total += value
                blocks += 1
        if blocks > 0:
            log_sizes[usable] = LOG_SIZES[k]
            log_ranges[usable] = np.log(total / blocks)
            usable += 1
    exponent = slope(log_sizes, log_ranges, usable) if usable >= 2 else 0.5
    out[0, t] = clip(exponent, 0.0, 1.0)


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, rescaled_ranges: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        rescaled_ranges: shape (6, capacity), from :func:`range_rows`.
        out: shape (1, capacity); its row ``start - 1`` is what the forward fill continues from.
    """
    for t in range(start, stop):
        row(t, rescaled_ranges, out)
    forward_fill(start, stop, out[0])
