r"""Family *tick proxies*: order flow as far as bars show it.

===================== ============================================================ ========
value                 formula over the last 60 bars                                bars
===================== ============================================================ ========
tick_direction_ratio  bars that closed higher, of those that closed higher or      61
                      lower than the bar before
tick_intensity        mean volume (tick volume counts price changes)               60
bar_tick_vol_ratio    deviation of returns over Parkinson's volatility             61
===================== ============================================================ ========

Unit: none; volume; none. Null: until the window is there. 0.5: the close never changed. 1:
Parkinson's volatility is at most 1e-12. Look-back: 61 bars. Source: "107 Features for Gold".
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.windows import mean

NO_RANGE: Final = 1e-12


@njit(cache=True)
def direction(t: int, close: np.ndarray) -> float:
    """Share of rises among the changes of 60 bars."""
    up = 0
    down = 0
    for i in range(t - 59, t + 1):
        up += close[i] > close[i - 1]
        down += close[i] < close[i - 1]
    return 0.5 if up + down == 0 else up / (up + down)


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    volume: np.ndarray,
    volatility_60: np.ndarray,
    parkinson_vol: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(max(start, 59), stop):
        out[1, t] = mean(volume, t - 59, t)
        if t >= 60:
            out[0, t] = direction(t, close)
            out[2, t] = 1.0 if parkinson_vol[t] <= NO_RANGE else volatility_60[t] / parkinson_vol[t]
