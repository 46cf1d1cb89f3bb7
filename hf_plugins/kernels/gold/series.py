r"""Series that several families share: returns, ranges, realised volatility, gaps.

They are outputs like any other, but of no family: rows of an array that later kernels read.

Source: "107 Features for Gold", with windows in joined bars.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, return_moments


@njit(cache=True, nogil=True)
def returns(start: int, stop: int, close: np.ndarray, out: np.ndarray) -> None:
    r"""One-bar log returns :math:`\ln (C_t / C_{t-1})`, the log of the ratio.

    Unit: none. Look-back: 2 bars. Null: the first bar.
    """
    for t in range(max(start, 1), stop):
        out[0, t] = np.log(close[t] / close[t - 1])


@njit(cache=True, nogil=True)
def squares(
    start: int,
    stop: int,
    opened: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    out: np.ndarray,
) -> None:
    r"""Squared log range and body, :math:`\ln^2(H/L)` and :math:`\ln^2(C/O)`.

    Unit: none. Look-back: 1 bar. Never null.
    """
    for t in range(start, stop):
        out[0, t] = np.log(high[t] / low[t]) ** 2
        out[1, t] = np.log(close[t] / opened[t]) ** 2


@njit(cache=True, nogil=True)
def realised(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Sample deviation of the last 30 and of the last 60 returns, not annualised.

    Unit: return per square root of a bar. Look-back: 31 and 61 bars. Null: the first 30 and 60
    bars. Exactly 0 where returns do not vary.
    """
    mean = np.empty(BLOCK)
    variation = np.empty(BLOCK)
    for k in range(2):
        size = (30, 60)[k]
        for first in range(max(start, size), stop, BLOCK):
            end = min(first + BLOCK, stop)
            return_moments(log_return, first, end, size, mean, variation)
            for t in range(first, end):
                out[k, t] = np.sqrt(variation[t - first] / (size - 1))


@njit(cache=True, nogil=True)
def gaps(
    start: int,
    stop: int,
    close: np.ndarray,
    volatility_30: np.ndarray,
    volatility_60: np.ndarray,
    out: np.ndarray,
) -> None:
    r"""Short against long horizon: momentum per bar, and volatility.

    :math:`m_{30}/30 - m_{60}/60` with :math:`m_k = C_t/C_{t-k} - 1`, and :math:`v_{30} - v_{60}`.
    Unit: return per bar; that of the volatility. Look-back: 61 bars. Null: the first 60 bars.
    """
    for t in range(max(start, 60), stop):
        short = close[t] / close[t - 30] - 1.0
        long = close[t] / close[t - 60] - 1.0
        out[0, t] = short / 30.0 - long / 60.0
        out[1, t] = volatility_30[t] - volatility_60[t]
