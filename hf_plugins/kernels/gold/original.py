r"""Family *original*: acceleration, distance from trend, efficiency, time of day.

=================== ============================================================== ========
value               formula, windows ending at bar t                               bars
=================== ============================================================== ========
accelz_60_30        z-score over 60 of momentum per bar, 30 against 60             120
volaccelz60_30      z-score over 60 of volatility, 30 against 60                   120
dist_ma120          (C - SMA120) / SMA120                                          120
resid_z60           last residual of C on 0..59, over sqrt(SSE / 59)               60
resid_z60_dxy       the same, on the close of DXY                                  60
resid_z60_nas100    the same, on the close of NAS100                               60
er60                \|C_t - C_{t-60}\| over the sum of the 60 absolute changes     61
tod_sin, tod_cos    sine and cosine of the UTC minute of the day                   1
leadcorr_nas100     correlation of 60 returns with those of NAS100, same bar       61
=================== ============================================================== ========

Unit: none. Null: until the window is there. 0: a flat series (z-scores), residuals of at most 1e-10
of the price, no movement (efficiency), returns without variation (correlation). A flat regressor
has slope 0. Look-back: 120 bars. Source: "107 Features for Gold"; efficiency ratio: Kaufman.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import (
    BLOCK,
    covariations,
    level_moments,
    means,
    return_correlations,
    z_scores,
)

EXACT_FIT: Final = 1e-10
"""Residual deviation, as a fraction of the mean close, up to which a fit counts as exact."""
N: Final = 60
TIME_MEAN: Final = (N - 1) / 2
TIME_SQUARES: Final = N * (N * N - 1) / 12
"""Centred sum of squares of 0..59."""


@njit(cache=True)
def last_residuals(
    first: int,
    y: np.ndarray,
    y_mean: np.ndarray,
    x: np.ndarray,
    x_mean: np.ndarray,
    slope: np.ndarray,
    out: np.ndarray,
) -> None:
    """Last residual of each window over the deviation of all; 0 where the fit is exact.

    The line of the window that ends at row ``first + bar`` runs through its means, with
    ``slope[bar]``. Fills ``out``.
    """
    bars = out.size
    squares = np.zeros(bars)
    residual = np.zeros(bars)
    for delay in range(N - 1, -1, -1):
        y_delayed = y[first - delay : first - delay + bars]
        x_delayed = x[first - delay : first - delay + bars]
        for bar in range(bars):
            explained = slope[bar] * (x_delayed[bar] - x_mean[bar])
            residual[bar] = (y_delayed[bar] - y_mean[bar]) - explained
        for bar in range(bars):
            squares[bar] += residual[bar] * residual[bar]
    for bar in range(bars):
        spread = np.sqrt(squares[bar] / (N - 1))
        exact = spread <= EXACT_FIT * abs(y_mean[bar])
        out[bar] = 0.0 if exact else residual[bar] / spread


@njit(cache=True)
def residuals(
    first: int,
    stop: int,
    close: np.ndarray,
    dxy_close: np.ndarray,
    nas_close: np.ndarray,
    out: np.ndarray,
) -> None:
    """Standardised last residuals of the close on time, DXY and NAS100: fills ``out``."""
    bars = stop - first
    mean = np.empty((2, bars))
    variation = np.empty((2, bars))
    slope = np.zeros(bars)
    level_moments(close, first, stop, N, mean[0], variation[0])
    for delay in range(N - 1, -1, -1):
        delayed = close[first - delay : stop - delay]
        for bar in range(bars):
            slope[bar] += (TIME_MEAN - delay) * (delayed[bar] - mean[0, bar])
    slope /= TIME_SQUARES
    # Time enters as 0, 1, 2, ... from the oldest bar of the first window on.
    time = np.arange(float(bars + N - 1))
    middle = TIME_MEAN + np.arange(float(bars))
    recent = close[first - N + 1 : stop]
    last_residuals(N - 1, recent, mean[0], time, middle, slope, out[0])
    for k, x in enumerate((dxy_close, nas_close)):
        level_moments(x, first, stop, N, mean[1], variation[1])
        covariations(close, mean[0], x, mean[1], first, stop, N, slope)
        for bar in range(bars):
            slope[bar] = slope[bar] / variation[1, bar] if variation[1, bar] > 0.0 else 0.0
        last_residuals(first, close, mean[0], x, mean[1], slope, out[1 + k])


@njit(cache=True)
def efficiencies(first: int, stop: int, close: np.ndarray, out: np.ndarray) -> None:
    """Net movement of 60 bars over their total movement: fills ``out``."""
    bars = stop - first
    step = np.abs(close[first - N + 1 : stop] - close[first - N : stop - 1])
    path = np.zeros(bars)
    for i in range(N):
        entering = step[i : i + bars]
        for bar in range(bars):
            path[bar] += entering[bar]
    for bar in range(bars):
        net = abs(close[first + bar] - close[first + bar - N])
        out[bar] = 0.0 if path[bar] == 0.0 else net / path[bar]


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    minute: np.ndarray,
    close: np.ndarray,
    dxy_close: np.ndarray,
    nas_close: np.ndarray,
    log_return: np.ndarray,
    nas_return: np.ndarray,
    momentum_gap: np.ndarray,
    volatility_gap: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for first in range(max(start, 119), stop, BLOCK):
        end = min(first + BLOCK, stop)
        z_scores(momentum_gap, first, end, N, out[0, first:end])
        z_scores(volatility_gap, first, end, N, out[1, first:end])
        means(close, first, end, 120, out[2, first:end])
        for t in range(first, end):
            average = out[2, t]
            out[2, t] = (close[t] - average) / average
    for first in range(max(start, N - 1), stop, BLOCK):
        end = min(first + BLOCK, stop)
        residuals(first, end, close, dxy_close, nas_close, out[3:6, first:end])
    for first in range(max(start, N), stop, BLOCK):
        end = min(first + BLOCK, stop)
        efficiencies(first, end, close, out[6, first:end])
        return_correlations(log_return, nas_return, first, end, N, out[9, first:end])
    for t in range(start, stop):
        angle = 2.0 * np.pi * (minute[t] % 1440) / 1440.0
        out[7, t] = np.sin(angle)
        out[8, t] = np.cos(angle)
