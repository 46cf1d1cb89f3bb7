r"""Family *extended*: returns, distances from averages, correlations and betas across assets.

======================== ========================================================= ============
value                    formula, windows ending at bar t                          bars
======================== ========================================================= ============
ret_k                    :math:`\ln(C_t / C_{t-k})`, k = 1, 5, 30, 60, 120         k + 1
vol_30m                  sample deviation of 30 returns, not annualised            31
dist_ma_n                (C - SMAn) / SMAn, n = 15, 30, 290                        n
corr_xau_x_n             correlation of n returns with those of XAG, DXY           n + 1
beta_xag_to_xau_n        slope of gold's returns on those of XAG                   n + 1
beta_xau_to_dxy_n        slope of gold's returns on those of DXY                   n + 1
xaucore_n                gold's n-bar return less beta times that of DXY and of    n + 1
                         NAS100, each beta univariate, over the same n returns
======================== ========================================================= ============

with n = 5, 30, 60, 120 (5 for the betas on XAG and for the core alone). Unit: returns, or none.
Null: until the window is there. 0: a correlation or a beta of returns without variation.
Look-back: 290 bars. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import (
    BLOCK,
    correlations,
    covariations,
    means,
    return_moments,
)


@njit(cache=True)
def dependence(
    first: int,
    stop: int,
    n: int,
    log_return: np.ndarray,
    others: tuple[np.ndarray, np.ndarray, np.ndarray],
    correlation: np.ndarray,
    beta: np.ndarray,
) -> None:
    """Of the windows of n returns that end at ``first <= t < stop``, against three other assets.

    Fills ``correlation`` and ``beta`` of shape (3, stop - first); 0 without variation.
    """
    bars = stop - first
    own = np.empty((2, bars))
    return_moments(log_return, first, stop, n, own[0], own[1])
    other = np.empty((3, bars))
    for k in range(3):
        return_moments(others[k], first, stop, n, other[0], other[1])
        covariations(log_return, own[0], others[k], other[0], first, stop, n, other[2])
        correlations(other[1], own[1], other[2], correlation[k])
        for bar in range(bars):
            beta[k, bar] = other[2, bar] / other[1, bar] if other[1, bar] > 0.0 else 0.0


@njit(cache=True)
def change(t: int, k: int, x: np.ndarray) -> float:
    """Log return of k bars."""
    return np.log(x[t] / x[t - k])


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    dxy_close: np.ndarray,
    nas_close: np.ndarray,
    log_return: np.ndarray,
    xag_return: np.ndarray,
    dxy_return: np.ndarray,
    nas_return: np.ndarray,
    volatility_30: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        for row, k in enumerate((1, 5, 30, 60, 120)):
            if t >= k:
                out[row, t] = change(t, k, close)
        out[5, t] = volatility_30[t]
    for row, n in enumerate((15, 30, 290)):
        for first in range(max(start, n - 1), stop, BLOCK):
            end = min(first + BLOCK, stop)
            means(close, first, end, n, out[6 + row, first:end])
            for t in range(first, end):
                average = out[6 + row, t]
                out[6 + row, t] = (close[t] - average) / average
    others = (xag_return, dxy_return, nas_return)
    for row, n in enumerate((5, 30, 60, 120)):
        for first in range(max(start, n), stop, BLOCK):
            end = min(first + BLOCK, stop)
            correlation = np.empty((3, end - first))
            beta = np.empty((3, end - first))
            dependence(first, end, n, log_return, others, correlation, beta)
            for t in range(first, end):
                bar = t - first
                if n > 5:
                    out[8 + row, t] = correlation[0, bar]
                    out[11 + row, t] = correlation[1, bar]
                    out[18 + row, t] = beta[1, bar]
                out[15 + row, t] = beta[0, bar]
                dollar = beta[1, bar] * change(t, n, dxy_close)
                equities = beta[2, bar] * change(t, n, nas_close)
                out[22 + row, t] = change(t, n, close) - (dollar + equities)
