r"""Autocorrelations of log returns, four plain ones and a partial one.

Features: ``autocorr_lag1``, ``autocorr_lag5``, ``autocorr_lag15``, ``autocorr_lag60``,
``partial_autocorr``.

Plain: the Pearson correlation of the 120 pairs (r[s], r[s - lag]), s = t-119 .. t, each side
centred by the mean of its own 120 values. 0 where either side does not vary.

Partial [1]_: what r[s] and r[s-2] have in common beyond r[s-1], over the same 120 values of s,

.. math::
   \frac{\rho_{02} - \rho_{01}\, \rho_{12}}{\sqrt{(1 - \rho_{01}^2)(1 - \rho_{12}^2)}},

with the delays as indices, so that rho_12 is the lag-1 correlation of the bar before. 0 where the
product under the root is at most :data:`EXPLAINED`: r[s-1] alone explains one of the others.

Bars are worked on side by side: see :mod:`~hf_plugins.kernels.gold.blocks`.

Look-back: 121 bars and the lag. NaN until the pairs are there.

.. [1] M. G. Kendall and A. Stuart, "The Advanced Theory of Statistics", volume 2: partial
   correlation.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK
from hf_plugins.kernels.gold.return_moments import WINDOW
from hf_plugins.kernels.gold.windows import clip

LAGS: Final = np.array([1, 5, 15, 60])
PARTIAL_LAG: Final = 2
EXPLAINED: Final = 1e-12


@njit(cache=True, nogil=True)
def lagged_correlation(
    log_return: np.ndarray, moments: np.ndarray, first: int, stop: int, lag: int, out: np.ndarray
) -> None:
    """Correlation of (r[s], r[s - lag]) over the windows that end at ``first <= t < stop``.

    Writes ``out`` of shape (stop - first,), in [-1, 1].
    """
    bars = stop - first
    newer_mean, newer_variation = moments[0, first:stop], moments[1, first:stop]
    older_mean = moments[0, first - lag : stop - lag]
    older_variation = moments[1, first - lag : stop - lag]
    covariation = np.zeros(bars)
    for delay in range(WINDOW - 1, -1, -1):
        newer = log_return[first - delay : stop - delay]
        older = log_return[first - delay - lag : stop - delay - lag]
        for bar in range(bars):
            covariation[bar] += (newer[bar] - newer_mean[bar]) * (older[bar] - older_mean[bar])
    for bar in range(bars):
        if newer_variation[bar] > 0.0 and older_variation[bar] > 0.0:
            scale = np.sqrt(newer_variation[bar]) * np.sqrt(older_variation[bar])
            out[bar] = clip(covariation[bar] / scale, -1.0, 1.0)
        else:
            out[bar] = 0.0


@njit(cache=True, nogil=True)
def partial_correlation(rho_01: float, rho_12: float, rho_02: float) -> float:
    """Correlation of variables 0 and 2 given variable 1, in [-1, 1]."""
    unexplained = (1.0 - rho_01 * rho_01) * (1.0 - rho_12 * rho_12)
    if unexplained <= EXPLAINED:
        return 0.0
    return clip((rho_02 - rho_01 * rho_12) / np.sqrt(unexplained), -1.0, 1.0)


@njit(cache=True, nogil=True)
def rows(
    start: int, stop: int, log_return: np.ndarray, return_moments: np.ndarray, out: np.ndarray
) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        return_moments: shape (2, capacity), from :mod:`~hf_plugins.kernels.gold.return_moments`.
        out: shape (5, capacity): a row per entry of :data:`LAGS`, then the partial one.
    """
    for k in range(LAGS.size):
        lag = LAGS[k]
        for first in range(max(start, WINDOW + lag), stop, BLOCK):
            end = min(first + BLOCK, stop)
            lagged_correlation(log_return, return_moments, first, end, lag, out[k, first:end])
    lag_1 = np.empty(BLOCK + 1)
    lag_2 = np.empty(BLOCK)
    for first in range(max(start, WINDOW + PARTIAL_LAG), stop, BLOCK):
        end = min(first + BLOCK, stop)
        lagged_correlation(log_return, return_moments, first - 1, end, 1, lag_1)
        lagged_correlation(log_return, return_moments, first, end, PARTIAL_LAG, lag_2)
        for t in range(first, end):
            rho_12, rho_01 = lag_1[t - first], lag_1[t - first + 1]
            out[LAGS.size, t] = partial_correlation(rho_01, rho_12, lag_2[t - first])
