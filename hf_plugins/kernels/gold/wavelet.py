r"""Energy share of the finest Haar band of the last 60 log returns: ``wavelet_energy_ratio``.

The newest returns are paired, (x[t-1], x[t]), (x[t-3], x[t-2]) and so on; an odd oldest one is left
out. The finest detail coefficient of the orthonormal Haar transform [1]_ of a pair (a, b) is
(a - b)/sqrt(2), and the transform keeps the energy, so whatever the depth of the decomposition

.. math:: \text{ratio} = \frac{\sum (a - b)^2 / 2}{\sum x^2}.

White noise has 0.5 on average, returns of the same sign less, alternating ones more.

Look-back: 60 returns (61 bars). Until there are as many, the returns there are. Below two returns,
and where the energy is at most :data:`NO_ENERGY`, 0.5: equal energy at all scales.

.. [1] S. Mallat, "A Wavelet Tour of Signal Processing", 3rd edition, 2009, chapter 7.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

WINDOW: Final = 60
NO_ENERGY: Final = 1e-24


@njit(cache=True, nogil=True)
def row(t: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Write ``out[0, t]``: see :func:`rows`."""
    detail = 0.0
    energy = 0.0
    for pair in range(min(t, WINDOW) // 2):
        newer = log_return[t - 2 * pair]
        older = log_return[t - 2 * pair - 1]
        detail += (older - newer) * (older - newer)
        energy += older * older + newer * newer
    # A sum of exact parts of the energy may exceed it by a rounding.
    out[0, t] = min(detail / 2 / energy, 1.0) if energy > NO_ENERGY else 0.5


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        out: shape (1, capacity), in [0, 1], never NaN.
    """
    for t in range(start, stop):
        row(t, log_return, out)
