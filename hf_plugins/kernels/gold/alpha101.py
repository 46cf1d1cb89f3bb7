r"""Family *alpha101*: numbers 24 and 83 of "101 Formulaic Alphas" (Kakushadze, 2016).

Alpha 24: with :math:`\Delta` the change over 100 bars of the 100-bar mean close, over the close of
100 bars ago: minus the close above its 100-bar low where :math:`\Delta \le 0.05`, else minus the
3-bar change of the close.

Alpha 83, on one instrument: with :math:`q = (H - L) / SMA_5`, the rank of q two bars ago times the
rank of the volume, times :math:`(T - C) / q`, where the typical price :math:`T = (H + L + C) / 3`
stands for the volume-weighted one. A rank is the average-tie percentile among the last 60 bars;
q is ranked after rounding to twelve decimals, so that equal ranges rank equal.

Unit: price. Null: the first 199, the first 65 bars. 0: a bar without range (alpha 83). Look-back:
200 bars.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.windows import mean


@njit(cache=True, nogil=True)
def relative_ranges(
    start: int, stop: int, high: np.ndarray, low: np.ndarray, close: np.ndarray, out: np.ndarray
) -> None:
    """Range over the mean close of five bars, and the same rounded to twelve decimals.

    Unit: none; 1e-12. Look-back: 5 bars. Null: the first four bars.
    """
    for t in range(max(start, 4), stop):
        out[0, t] = (high[t] - low[t]) / mean(close, t - 4, t)
        out[1, t] = np.rint(out[0, t] * 1e12)


@njit(cache=True)
def rank(x: np.ndarray, t: int) -> float:
    """Average-tie percentile rank of x[t] among the 60 values that end with it."""
    below = 0
    equal = 0
    for i in range(t - 59, t + 1):
        below += x[i] < x[t]
        equal += x[i] == x[t]
    return (below + (equal + 1) / 2.0) / 60.0


@njit(cache=True)
def alpha024(t: int, close: np.ndarray) -> float:
    """Reversal towards the 100-bar low; see the module."""
    rise = (mean(close, t - 99, t) - mean(close, t - 199, t - 100)) / close[t - 100]
    if rise > 0.05:
        return close[t - 3] - close[t]
    lowest = close[t]
    for i in range(t - 99, t):
        lowest = min(lowest, close[i])
    return lowest - close[t]


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    relative_range: np.ndarray,
    rounded_range: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(max(start, 65), stop):
        if t >= 199:
            out[0, t] = alpha024(t, close)
        if high[t] == low[t]:
            out[1, t] = 0.0
            continue
        ranks = rank(rounded_range, t - 2) * rank(volume, t)
        typical = (high[t] + low[t] + close[t]) / 3.0
        out[1, t] = ranks * (typical - close[t]) / relative_range[t]
