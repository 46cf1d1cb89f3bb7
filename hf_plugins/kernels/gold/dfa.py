r"""Detrended fluctuation analysis [1]_ of the last 60 log returns: ``dfa_60``.

The profile is the cumulative sum of the deviations from the mean. For each size s of :data:`SIZES`
up to half the window, the newest values of the profile are cut into adjacent boxes that end at the
current bar, and

.. math:: F(s)^2 = \text{mean over boxes of } \frac{1}{s} \sum_{i=1}^{s} e_i^2,

with e the residuals of the least-squares line through the s values of a box. The exponent is the
slope of ln F(s) on ln s, clipped to [0, 2]. Independent noise has a mean of about 0.587 at this
window, not 0.5: there is no correction for the bias of small boxes.

The mean that the profile subtracts and the sum it has reached add a straight line to a box, which
the residuals do not see. So they depend on the size of the box and its last bar only, and are
computed once per size and bar by :func:`box_rows`, from the s - 1 returns within the box.
The moments of the window are taken of bars side by side: see
:mod:`~hf_plugins.kernels.gold.blocks`.

Look-back: 60 returns (61 bars). Until there are as many, the returns there are; below
:data:`FLOOR` returns NaN. A window without variation, or fewer than two sizes that fluctuate, gives
0.5.

.. [1] C.-K. Peng et al., "Mosaic organization of DNA nucleotides", Physical Review E 49, 1994.
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
FLOOR: Final = 16
SIZES: Final = np.array([4, 5, 6, 10, 12, 15])
LOG_SIZES: Final = np.log(SIZES)
STILL: Final = 1e-15
"""Fluctuation F(s) at or below which a size is left out: a straight profile but for rounding."""


@njit(cache=True, nogil=True)
def mean_squared_residual(
    log_return: np.ndarray, last: int, size: int, profile: np.ndarray
) -> float:
    """Mean squared residual of the box of ``size`` profile values that ends at row ``last``.

    ``profile`` is scratch space of at least ``size`` values.
    """
    first = last - size + 1
    profile[0] = 0.0
    total = 0.0
    for i in range(1, size):
        profile[i] = profile[i - 1] + log_return[first + i]
        total += profile[i]
    mean = total / size
    centre = (size - 1) / 2
    covariation = 0.0
    for i in range(size):
        covariation += (i - centre) * (profile[i] - mean)
    gradient = covariation / (size * (size * size - 1) / 12)
    squares = 0.0
    for i in range(size):
        residual = profile[i] - mean - gradient * (i - centre)
        squares += residual * residual
    return squares / size


@njit(cache=True, nogil=True)
def box_rows(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Mean squared residuals of the boxes that end at the rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        out: shape (6, capacity), a row per entry of :data:`SIZES`; NaN where the box is not
            complete.
    """
    profile = np.empty(SIZES.max())
    for k in range(SIZES.size):
        size = SIZES[k]
        for t in range(start, stop):
            if t >= size:
                out[k, t] = mean_squared_residual(log_return, t, size, profile)
            else:
                out[k, t] = np.nan


@njit(cache=True, nogil=True)
def exponent(t: int, returns: int, box_residuals: np.ndarray) -> float:
    """Scaling exponent of the window of ``returns`` that ends at row ``t``, in [0, 2]."""
    log_sizes = np.empty(SIZES.size)
    log_fluctuations = np.empty(SIZES.size)
    usable = 0
    for k in range(SIZES.size):
        size = SIZES[k]
        if 2 * size > returns:
            break
        boxes = returns // size
        total = 0.0
        for box in range(boxes):
            total += box_residuals[k, t - box * size]
        fluctuation = np.sqrt(total / boxes)
        if fluctuation > STILL:
            log_sizes[usable] = LOG_SIZES[k]
            log_fluctuations[usable] = np.log(fluctuation)
            usable += 1
    if usable < 2:
        return 0.5
    return clip(slope(log_sizes, log_fluctuations, usable), 0.0, 2.0)


@njit(cache=True, nogil=True)
def block(
    first: int,
    stop: int,
    returns: int,
    log_return: np.ndarray,
    box_residuals: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write ``out[0, first:stop]``: see :func:`rows`. All windows have ``returns`` returns."""
    mean = np.empty(stop - first)
    variation = np.empty(stop - first)
    return_moments(log_return, first, stop, returns, mean, variation)
    for t in range(first, stop):
        out[0, t] = exponent(t, returns, box_residuals) if variation[t - first] > 0.0 else 0.5


@njit(cache=True, nogil=True)
def rows(
    start: int, stop: int, log_return: np.ndarray, box_residuals: np.ndarray, out: np.ndarray
) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        box_residuals: shape (6, capacity), from :func:`box_rows`.
        out: shape (1, capacity); its row ``start - 1`` is what the forward fill continues from.
    """
    for t in range(start, min(stop, WINDOW)):  # each of these windows has a size of its own
        if t < FLOOR:
            out[0, t] = np.nan
        else:
            block(t, t + 1, t, log_return, box_residuals, out)
    for first in range(max(start, WINDOW), stop, BLOCK):
        block(first, min(first + BLOCK, stop), WINDOW, log_return, box_residuals, out)
    forward_fill(start, stop, out[0])
