"""What the Hurst exponent says about the regime: its class, how long it lasts, how often it turns.

* ``trend_mr_class``: 1 (trending) where ``hurst_60`` exceeds 0.5, else 0 (mean reverting).
* ``regime_persistence``: number of consecutive bars of the same class, the current one included,
  looked for in the last 1440 bars.
* ``regime_change_rate``: number of changes of class over the last 120 bars.

The last two count the classes of full windows only, those of row 60 and later: an estimate from
fewer returns is of another kind.

Look-back: 61, 1500 and 181 bars. NaN while the exponent is NaN (class) and until the bars to be
looked at are there (the other two).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FULL: Final = 60
"""First row whose exponent rests on a full window."""
TRENDING: Final = 0.5
LONGEST: Final = 1440
CHANGES: Final = 120


@njit(cache=True, nogil=True)
def row(t: int, hurst_60: np.ndarray, out: np.ndarray) -> None:
    """Write ``out[0, t]`` to ``out[2, t]``: see :func:`rows`."""
    if np.isnan(hurst_60[t]):
        return
    trending = hurst_60[t] > TRENDING
    out[0, t] = 1.0 if trending else 0.0
    if t >= FULL + LONGEST - 1:
        bars = 1
        while bars < LONGEST and (hurst_60[t - bars] > TRENDING) == trending:
            bars += 1
        out[1, t] = bars
    if t >= FULL + CHANGES:
        exponents = hurst_60[t - CHANGES : t + 1]
        changes = 0
        for i in range(CHANGES):
            changes += (exponents[i] > TRENDING) != (exponents[i + 1] > TRENDING)
        out[2, t] = changes


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, hurst_60: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        hurst_60: shape (capacity,), from :mod:`hf_plugins.kernels.gold.hurst`.
        out: shape (3, capacity): class, persistence, change rate.
    """
    for t in range(start, stop):
        row(t, hurst_60, out)
