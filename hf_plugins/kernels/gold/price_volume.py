r"""Family *price-volume*: do moves come with participation?

=============== ================================================================== ========
value           formula over the last 60 bars                                      bars
=============== ================================================================== ========
vw_return_60    :math:`\sum r_i V_i / \sum V_i`                                    61
obv_slope_60    slope on 0..59 of the on-balance volume, which starts at 0 on the  60
                first bar of the window and adds the signed volume of each later
vol_surprise    z-score of the volume                                              60
pv_corr_60      correlation of close and volume, as levels                         60
=============== ================================================================== ========

Unit: return; volume per bar; none; none. Null: until the window is there. 0: no volume in the
window (first), a flat series (last two). Look-back: 61 bars.
Source: "107 Features for Gold"; on-balance volume: Granville.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import (
    BLOCK,
    correlations,
    covariations,
    level_moments,
    standardised,
)

N: Final = 60
TIME_MEAN: Final = (N - 1) / 2
TIME_SQUARES: Final = N * (N * N - 1) / 12
"""Centred sum of squares of 0..59."""


@njit(cache=True)
def weighted_returns(
    first: int, stop: int, log_return: np.ndarray, volume: np.ndarray, out: np.ndarray
) -> None:
    """Means of 60 returns, weighted by volume."""
    total = np.zeros(stop - first)
    weight = np.zeros(stop - first)
    for delay in range(N - 1, -1, -1):
        returns = log_return[first - delay : stop - delay]
        weights = volume[first - delay : stop - delay]
        for bar in range(stop - first):
            total[bar] += returns[bar] * weights[bar]
            weight[bar] += weights[bar]
    for bar in range(stop - first):
        out[bar] = 0.0 if weight[bar] == 0.0 else total[bar] / weight[bar]


@njit(cache=True)
def balance_slopes(
    first: int, stop: int, close: np.ndarray, volume: np.ndarray, out: np.ndarray
) -> None:
    """Least-squares slopes of the on-balance volume of 60 bars."""
    bars = stop - first
    # Signed volume of each bar that is in one of the windows and not the first in all of them.
    earliest = first - N + 2
    signed = np.empty(stop - earliest)
    for i in range(earliest, stop):
        signed[i - earliest] = np.sign(close[i] - close[i - 1]) * volume[i]
    balance = np.zeros(bars)
    out[:bars] = 0.0
    for i in range(1, N):
        entering = signed[i - 1 : i - 1 + bars]
        for bar in range(bars):
            balance[bar] += entering[bar]
            out[bar] += (i - TIME_MEAN) * balance[bar]
    for bar in range(bars):
        out[bar] /= TIME_SQUARES


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    volume: np.ndarray,
    log_return: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for first in range(max(start, N - 1), stop, BLOCK):
        end = min(first + BLOCK, stop)
        balance_slopes(first, end, close, volume, out[1, first:end])
        price = np.empty((2, end - first))
        size = np.empty((2, end - first))
        level_moments(close, first, end, N, price[0], price[1])
        level_moments(volume, first, end, N, size[0], size[1])
        standardised(volume, first, N, size[0], size[1], out[2, first:end])
        covariation = np.empty(end - first)
        covariations(close, price[0], volume, size[0], first, end, N, covariation)
        correlations(size[1], price[1], covariation, out[3, first:end])
    for first in range(max(start, N), stop, BLOCK):
        end = min(first + BLOCK, stop)
        weighted_returns(first, end, log_return, volume, out[0, first:end])
