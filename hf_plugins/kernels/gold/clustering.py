r"""Family *clustering*: does volatility persist, does it break out?

================== =============================================================== ========
value              formula, v the deviation of 30 returns                          bars
================== =============================================================== ========
vol_autocorr_10    correlation of the 120 pairs (v_s, v_{s-10}), s = t-119 .. t    160
vol_breakout_flag  1 if v_t exceeds mean + 2 sample deviations of the last 120     150
================== =============================================================== ========

Unit: none. Null: until the window is there. 0: flat volatility. Look-back: 160 bars.
Source: "107 Features for Gold".
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, correlations, covariations, level_moments

SIZE: Final = 120
LAG: Final = 10


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, volatility_30: np.ndarray, out: np.ndarray) -> None:
    """Fill the rows of the family; see the module."""
    lagged = np.empty((2, BLOCK + LAG))
    covariation = np.empty(BLOCK)
    for first in range(max(start, 149), stop, BLOCK):
        end = min(first + BLOCK, stop)
        # Windows from LAG bars earlier on: those of the delayed side of the pairs.
        earliest = max(first, 149 + LAG) - LAG
        mean = lagged[0, : end - earliest]
        variation = lagged[1, : end - earliest]
        level_moments(volatility_30, earliest, end, SIZE, mean, variation)
        for t in range(first, end):
            spread = np.sqrt(variation[t - earliest] / (SIZE - 1))
            threshold = mean[t - earliest] + 2.0 * spread
            out[1, t] = 1.0 if spread > 0.0 and volatility_30[t] > threshold else 0.0
        paired = earliest + LAG
        if paired >= end:
            continue
        covariations(
            volatility_30[LAG:],
            mean[LAG:],
            volatility_30,
            mean[: end - paired],
            earliest,
            end - LAG,
            SIZE,
            covariation,
        )
        correlations(
            variation[: end - paired],
            variation[LAG:],
            covariation[: end - paired],
            out[0, paired:end],
        )
