"""Bars side by side: how kernels with long windows advance several sums with one instruction.

The inner loop of such a kernel runs over bars, :data:`BLOCK` at a time, and the loop around it over
the entries of their windows, oldest first. Bars do not depend on each other, so the compiler may
put them into the lanes of vector registers; within a window it may not reorder anything. Each bar
adds up the same numbers in the same order as in a block of its own, hence gets the same bits.

Inner loops index slices rather than whole arrays: an index that may be negative, as the compiler
must assume of ``i + bar - lag``, keeps it from using vectors.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.windows import FLATNESS, VARIATION, clip

BLOCK: Final = 128
"""Bars in a block: a few sums of that length stay in the first-level cache."""


@njit(cache=True, nogil=True)
def return_moments(
    log_return: np.ndarray,
    first: int,
    stop: int,
    size: int,
    mean: np.ndarray,
    variation: np.ndarray,
) -> None:
    """Moments of the windows of ``size`` returns that end at the rows ``first <= t < stop``.

    Args:
        log_return: shape (capacity,).
        first: last row of the first window.
        stop: row after the last window.
        size: returns in a window.
        mean: shape (stop - first,), filled.
        variation: shape (stop - first,), filled with the sum of squared deviations from the mean,
            exactly 0 where the returns do not vary.
    """
    bars = stop - first
    mean[:bars] = 0.0
    for delay in range(size - 1, -1, -1):
        delayed = log_return[first - delay : stop - delay]
        for bar in range(bars):
            mean[bar] += delayed[bar]
    for bar in range(bars):
        mean[bar] /= size
    variation[:bars] = 0.0
    energy = np.zeros(bars)
    for delay in range(size - 1, -1, -1):
        delayed = log_return[first - delay : stop - delay]
        for bar in range(bars):
            deviation = delayed[bar] - mean[bar]
            variation[bar] += deviation * deviation
            energy[bar] += delayed[bar] * delayed[bar]
    for bar in range(bars):
        if variation[bar] <= VARIATION * energy[bar]:
            variation[bar] = 0.0


@njit(cache=True, nogil=True)
def means(x: np.ndarray, first: int, stop: int, size: int, out: np.ndarray) -> None:
    """Means of the windows of ``size`` values that end at ``first <= t < stop``; fills ``out``."""
    bars = stop - first
    out[:bars] = 0.0
    for delay in range(size - 1, -1, -1):
        delayed = x[first - delay : stop - delay]
        for bar in range(bars):
            out[bar] += delayed[bar]
    for bar in range(bars):
        out[bar] /= size


@njit(cache=True, nogil=True)
def level_moments(
    level: np.ndarray,
    first: int,
    stop: int,
    size: int,
    mean: np.ndarray,
    variation: np.ndarray,
) -> None:
    """Moments of the windows of ``size`` levels that end at the rows ``first <= t < stop``.

    Args:
        level: shape (capacity,).
        first: last row of the first window.
        stop: row after the last window.
        size: levels in a window.
        mean: shape (stop - first,), filled.
        variation: shape (stop - first,), filled with the sum of squared deviations from the mean,
            exactly 0 where the levels are flat.
    """
    bars = stop - first
    mean[:bars] = 0.0
    low = np.full(bars, np.inf)
    high = np.full(bars, -np.inf)
    for delay in range(size - 1, -1, -1):
        delayed = level[first - delay : stop - delay]
        for bar in range(bars):
            mean[bar] += delayed[bar]
            low[bar] = min(low[bar], delayed[bar])
            high[bar] = max(high[bar], delayed[bar])
    for bar in range(bars):
        mean[bar] /= size
    variation[:bars] = 0.0
    for delay in range(size - 1, -1, -1):
        delayed = level[first - delay : stop - delay]
        for bar in range(bars):
            deviation = delayed[bar] - mean[bar]
            variation[bar] += deviation * deviation
    for bar in range(bars):
        if high[bar] - low[bar] <= FLATNESS * max(1.0, abs(low[bar]), abs(high[bar])):
            variation[bar] = 0.0


@njit(cache=True, nogil=True)
def covariations(
    y: np.ndarray,
    y_mean: np.ndarray,
    x: np.ndarray,
    x_mean: np.ndarray,
    first: int,
    stop: int,
    size: int,
    out: np.ndarray,
) -> None:
    """Sums of the products of deviations, of the windows that end at ``first <= t < stop``.

    Args:
        y: shape (capacity,).
        y_mean: shape (stop - first,), of the windows.
        x: shape (capacity,).
        x_mean: shape (stop - first,), of the windows.
        first: last row of the first window.
        stop: row after the last window.
        size: values in a window.
        out: shape (stop - first,), filled.
    """
    bars = stop - first
    out[:bars] = 0.0
    for delay in range(size - 1, -1, -1):
        y_delayed = y[first - delay : stop - delay]
        x_delayed = x[first - delay : stop - delay]
        for bar in range(bars):
            out[bar] += (x_delayed[bar] - x_mean[bar]) * (y_delayed[bar] - y_mean[bar])


@njit(cache=True, nogil=True)
def correlations(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, out: np.ndarray) -> None:
    """Pearson correlations from variations and covariations, in [-1, 1]; 0 without variation."""
    for bar in range(xy.size):
        if xx[bar] > 0.0 and yy[bar] > 0.0:
            out[bar] = clip(xy[bar] / np.sqrt(xx[bar] * yy[bar]), -1.0, 1.0)
        else:
            out[bar] = 0.0


@njit(cache=True, nogil=True)
def return_correlations(
    y: np.ndarray, x: np.ndarray, first: int, stop: int, size: int, out: np.ndarray
) -> None:
    """Correlations of the windows of returns that end at ``first <= t < stop``; fills ``out``."""
    moments = np.empty((5, stop - first))
    return_moments(y, first, stop, size, moments[0], moments[1])
    return_moments(x, first, stop, size, moments[2], moments[3])
    covariations(y, moments[0], x, moments[2], first, stop, size, moments[4])
    correlations(moments[3], moments[1], moments[4], out)


@njit(cache=True, nogil=True)
def standardised(
    level: np.ndarray,
    first: int,
    size: int,
    mean: np.ndarray,
    variation: np.ndarray,
    out: np.ndarray,
) -> None:
    """z-score of the level of each bar in its window of ``size``; 0 where that does not vary.

    ``mean``, ``variation`` and ``out`` are of the windows that end at row ``first`` and later.
    """
    for bar in range(out.size):
        spread = np.sqrt(variation[bar] / (size - 1))
        out[bar] = (level[first + bar] - mean[bar]) / spread if spread > 0.0 else 0.0


@njit(cache=True, nogil=True)
def z_scores(level: np.ndarray, first: int, stop: int, size: int, out: np.ndarray) -> None:
    """z-scores of the windows of levels that end at ``first <= t < stop``; fills ``out``."""
    mean = np.empty(stop - first)
    variation = np.empty(stop - first)
    level_moments(level, first, stop, size, mean, variation)
    standardised(level, first, size, mean, variation, out)
