r"""Fractal dimension by Higuchi's method [1]_ of the last 60 closes: ``fractal_dim_60``.

Of N closes x(1) .. x(N), every k-th, from the m-th on, makes a curve of s = floor((N - m)/k) steps
and normalised length

.. math:: L_m(k) = \frac{1}{k} \cdot \frac{N - 1}{s k} \sum_{i=1}^{s} |x(m + ik) - x(m + (i-1)k)|.

L(k) is the mean over m = 1 .. k, for k = 1 .. k_max with k_max = N/6, at least 2 and at most 10. D
is the least-squares slope of ln L(k) on ln(1/k), clipped to [1, 2]: 1 for a smooth path, 2 for one
that fills the plane, about 1.5 for a random walk.

Bars are worked on side by side: see :mod:`~hf_plugins.kernels.gold.blocks`.

Look-back: 60 closes. Until there are as many, the closes there are; below :data:`FLOOR` closes NaN.
Lengths that vanish against the price are left out; fewer than two left give 1: a path that does not
move is smooth.

.. [1] T. Higuchi, "Approach to an irregular time series on the basis of the fractal theory",
   Physica D 31, 1988.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK
from hf_plugins.kernels.gold.forward_fill import forward_fill
from hf_plugins.kernels.gold.scaling import slope
from hf_plugins.kernels.gold.windows import clip

WINDOW: Final = 60
FLOOR: Final = 12
LONGEST_STEP: Final = 10
LOG_FREQUENCIES: Final = -np.log(np.arange(1, LONGEST_STEP + 1))
"""ln(1/k) of step k in entry k - 1."""
NO_LENGTH: Final = 1e-9
"""Curve length, as a fraction of the highest price, at or below which a step is left out."""


@njit(cache=True, nogil=True)
def curve_lengths(
    close: np.ndarray, first: int, stop: int, closes: int, step: int, lengths: np.ndarray
) -> None:
    """L(step) of the windows of ``closes`` values that end at the rows ``first <= t < stop``.

    Args:
        close: shape (capacity,).
        first: last row of the first window.
        stop: row after the last window.
        closes: N.
        step: k.
        lengths: shape (stop - first,), filled.
    """
    bars = stop - first
    moves = np.zeros(closes - 1 + bars)  # |x(i) - x(i - step)|, x(1) of the first window in entry 0
    newer = close[first - closes + 1 + step : stop]
    older = close[first - closes + 1 : stop - step]
    for i in range(newer.size):
        moves[step + i] = abs(newer[i] - older[i])
    path = np.empty(bars)
    lengths[:] = 0.0
    for offset in range(step):  # m - 1
        steps = (closes - 1 - offset) // step
        path[:] = 0.0
        for i in range(offset + step, offset + steps * step + 1, step):
            delayed = moves[i : i + bars]
            for bar in range(bars):
                path[bar] += delayed[bar]
        normalisation = (closes - 1) / (steps * step) / step / step  # the last one: mean over m
        for bar in range(bars):
            lengths[bar] += path[bar] * normalisation


@njit(cache=True, nogil=True)
def block(first: int, stop: int, closes: int, close: np.ndarray, out: np.ndarray) -> None:
    """Write ``out[0, first:stop]``: see :func:`rows`. All windows have ``closes`` values."""
    bars = stop - first
    longest_step = min(LONGEST_STEP, max(2, closes // 6))
    lengths = np.empty((longest_step, bars))
    for k in range(longest_step):
        curve_lengths(close, first, stop, closes, k + 1, lengths[k])
    highest = np.zeros(bars)
    for delay in range(closes - 1, -1, -1):
        delayed = close[first - delay : stop - delay]
        for bar in range(bars):
            highest[bar] = max(highest[bar], delayed[bar])
    log_frequencies = np.empty(longest_step)
    log_lengths = np.empty(longest_step)
    for bar in range(bars):
        usable = 0
        for k in range(longest_step):
            if lengths[k, bar] > NO_LENGTH * highest[bar]:
                log_frequencies[usable] = LOG_FREQUENCIES[k]
                log_lengths[usable] = np.log(lengths[k, bar])
                usable += 1
        dimension = slope(log_frequencies, log_lengths, usable) if usable >= 2 else 1.0
        out[0, first + bar] = clip(dimension, 1.0, 2.0)


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, close: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        close: shape (capacity,), positive.
        out: shape (1, capacity); its row ``start - 1`` is what the forward fill continues from.
    """
    for t in range(start, min(stop, WINDOW - 1)):  # each of these windows has a size of its own
        if t + 1 < FLOOR:
            out[0, t] = np.nan
        else:
            block(t, t + 1, t + 1, close, out)
    for first in range(max(start, WINDOW - 1), stop, BLOCK):
        block(first, min(first + BLOCK, stop), WINDOW, close, out)
    forward_fill(start, stop, out[0])
