"""Family *risk*: is gold a risk asset, and how afraid is the market?

========================= ======================================================== ========
value                     formula                                                  bars
========================= ======================================================== ========
gold_equity_corr_regime   sign of the correlation of 60 returns with US500: +1     61
                          risk asset, -1 safe haven
vix_level                 close of VIX                                             1
vix_change                change of VIX over 60 bars                               61
========================= ======================================================== ========

Unit: none; index points. Null: until the window is there. 0: returns without variation (first).
Look-back: 61 bars. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, return_correlations


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    log_return: np.ndarray,
    us500_return: np.ndarray,
    vix_close: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        out[1, t] = vix_close[t]
        if t >= 60:
            out[2, t] = vix_close[t] - vix_close[t - 60]
    for first in range(max(start, 60), stop, BLOCK):
        end = min(first + BLOCK, stop)
        return_correlations(log_return, us500_return, first, end, 60, out[0, first:end])
        for t in range(first, end):
            out[0, t] = np.sign(out[0, t])
