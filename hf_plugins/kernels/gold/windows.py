r"""Statistics of one window, and the two tests that decide that a window says nothing.

A window is the entries ``first .. last`` of an array, both included. Every sum is taken anew, from
the oldest entry to the newest, in two passes (mean first, then squared deviations), so a value
depends on the numbers in its window and on nothing else. Many windows at once:
:mod:`hf_plugins.kernels.gold.blocks`.

The tests come before anything is divided:

* *flat*, for levels (prices, volumes, volatilities):
  :math:`\max x - \min x \le 10^{-12} \max(1, \max |x|)`;
* *no variation*, for returns: :math:`\sum (x - \bar x)^2 \le 10^{-6} \sum x^2`: all zero, or a run
  of equal tick moves, whose returns differ in the tenth digit only and would make a slope of noise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FLATNESS: Final = 1e-12
"""Range of a flat window of levels, as a fraction of its largest level or of 1."""
VARIATION: Final = 1e-6
"""Share of the energy of returns up to which their variation counts as none."""


@njit(cache=True)
def is_flat(x: np.ndarray, first: int, last: int) -> bool:
    """Whether levels do not move within the window."""
    low = x[first]
    high = x[first]
    for i in range(first + 1, last + 1):
        low = min(low, x[i])
        high = max(high, x[i])
    return high - low <= FLATNESS * max(1.0, abs(low), abs(high))


@njit(cache=True)
def mean(x: np.ndarray, first: int, last: int) -> float:
    """Arithmetic mean."""
    total = 0.0
    for i in range(first, last + 1):
        total += x[i]
    return total / (last - first + 1)


@njit(cache=True)
def clip(value: float, low: float, high: float) -> float:
    """``value`` within its bounds; NaN stays NaN."""
    if value < low:
        return low
    if value > high:
        return high
    return value
