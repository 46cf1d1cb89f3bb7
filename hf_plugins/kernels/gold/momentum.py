r"""Family *momentum*: relative strength, and momentum over 60 bars and against 5.

================ ================================================================ =========
value            formula                                                          bars
================ ================================================================ =========
rsi_14           :math:`100\, G / (G + L)`, G and L Wilder's averages             400
mom_divergence   :math:`m_5 - m_{60}`, :math:`m_k = C_t / C_{t-k} - 1`            61
mom_60           :math:`m_{60}`                                                   61
================ ================================================================ =========

Unit: none. Null: the first 14 bars; the first 60. 50: neither gains nor losses. Look-back: 400
bars, after which the start of the averages weighs less than 1e-12.
Source: "107 Features for Gold"; Wilder (1978).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    average_gain: np.ndarray,
    average_loss: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(max(start, 14), stop):
        movement = average_gain[t] + average_loss[t]
        out[0, t] = 50.0 if movement == 0.0 else 100.0 * average_gain[t] / movement
        if t >= 60:
            long = close[t] / close[t - 60] - 1.0
            out[1, t] = (close[t] / close[t - 5] - 1.0) - long
            out[2, t] = long
