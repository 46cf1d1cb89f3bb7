r"""Intervals and p-values of an AUC whose rows depend on each other.

Bars overlap in what they know, so rows are not independent. Blocks of consecutive rows are
resampled (the circular moving-block bootstrap [1]_), long enough to carry the dependence: the
length follows from the data by the rule of Politis and White [2]_ with its correction [3]_.

The rows are ranked once. An AUC is, to first order, a mean of contributions of single rows (the
placements of DeLong et al. [4]_):

.. math:: \psi_i = n\,\frac{V_i - A}{n_{c(i)}}, \qquad A^* - A \approx \frac1n \sum_i w_i \psi_i

with :math:`V_i` the placement of the row, :math:`n_{c(i)}` the size of its class and :math:`w_i`
how often it was drawn. A replicate is then a sum of block sums instead of a sort.

.. [1] D. Politis, J. Romano, "A Circular Block-Resampling Procedure for Stationary Data", 1992.
.. [2] D. Politis, H. White, "Automatic Block-Length Selection for the Dependent Bootstrap",
   Econometric Reviews 23, 2004.
.. [3] A. Patton, D. Politis, H. White, "Correction", Econometric Reviews 28, 2009.
.. [4] E. DeLong, D. DeLong, D. Clarke-Pearson, "Comparing the Areas under Two or More Correlated
   ROC Curves", Biometrics 44, 1988.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numba import njit

from hf_plugins.feature_quality.auc import Placements

MAX_BLOCKS: Final = 1_000
"""Blocks of one replicate at most: longer blocks stay valid, and a thousand are enough."""


@dataclass(frozen=True)
class Estimate:
    """An AUC and how far it can be trusted.

    Attributes:
        auc: of the sample; null, like the rest, where it is not defined.
        standard_error: deviation of the replicates.
        low, high: bounds of the interval at the wanted confidence, within [0, 1].
        p_value: two-sided, of the hypothesis that the AUC is 0.5.
        block_length: rows of a block.
        rows: of the sample.
    """

    auc: float
    standard_error: float
    low: float
    high: float
    p_value: float
    block_length: int
    rows: int


def unknown_estimate(rows: int = 0) -> Estimate:
    """What is said of an AUC that is not defined."""
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, nan, 0, rows)


def bootstrap_auc(
    placements: Placements, *, replicates: int, seed: int, confidence: float = 0.95
) -> Estimate:
    """AUC with the deviation of its block bootstrap.

    Interval and p-value come from the standard error, not from quantiles of the replicates: with
    many features a p-value must resolve far below one over the number of replicates. The error is
    itself estimated, from so many blocks and so many replicates; Student's t allows for both (the
    reciprocals of blocks - 1 and of replicates - 1 add up to that of the degrees of freedom).

    Args:
        placements: of the sample, in time order.
        replicates: of the bootstrap.
        seed: of the draws.
        confidence: of the interval, in (0, 1).
    """
    from scipy.special import stdtr, stdtrit

    n = len(placements.upper)
    if math.isnan(placements.auc):
        return unknown_estimate(n)
    contributions = contributions_of(placements)
    length = max(block_length(contributions), math.ceil(n / MAX_BLOCKS))
    deviations = replicate_means(contributions, length, replicates=replicates, seed=seed)
    error = float(np.std(deviations))
    blocks = math.ceil(n / length)
    freedom = 1.0 / (1.0 / max(blocks - 1, 1) + 1.0 / max(replicates - 1, 1))
    margin = float(stdtrit(freedom, 0.5 + confidence / 2.0)) * error
    distance = abs(placements.auc - 0.5)
    if error > 0.0:
        p_value = 2.0 * float(stdtr(freedom, -distance / error))
    else:  # a constant feature, or one that separates the classes without a miss
        p_value = 0.0 if distance > 0.0 else 1.0
    return Estimate(
        auc=placements.auc,
        standard_error=error,
        low=max(placements.auc - margin, 0.0),
        high=min(placements.auc + margin, 1.0),
        p_value=p_value,
        block_length=length,
        rows=n,
    )


def contributions_of(placements: Placements) -> np.ndarray:
    """What each row adds to the AUC, shape (n_rows,), mean 0; see the module."""
    n_upper, n_lower = placements.counts
    sizes = np.where(placements.upper, n_upper, n_lower)
    return len(placements.upper) * (placements.values - placements.auc) / sizes


def replicate_means(series: np.ndarray, length: int, *, replicates: int, seed: int) -> np.ndarray:
    """Mean of each resample of a centred series, shape (replicates,).

    The resamples are as many whole blocks as cover the series; their means are scaled to the
    dispersion of samples of its own length.
    """
    n = len(series)
    blocks = math.ceil(n / length)
    running = np.concatenate(([0.0], np.cumsum(np.concatenate((series, series[: length - 1])))))
    sums = running[length:] - running[:-length]
    starts = _starts(seed, n, replicates, blocks)
    return _sums_of(sums, starts) / math.sqrt(blocks * length * n)


@lru_cache(maxsize=2)
def _starts(seed: int, n: int, replicates: int, blocks: int) -> np.ndarray:
    """First row of each block, shape (replicates, blocks); the same for many features in a row."""
    return np.random.default_rng(seed).integers(0, n, size=(replicates, blocks), dtype=np.int32)


@njit(cache=True)
def _sums_of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sum of the values at each row of numbers, from left to right.

    Four sums advance together: each addition waits for the one before it in its own sum only.
    """
    replicates, blocks = rows.shape
    out = np.empty(replicates)
    whole = replicates - replicates % 4
    for i in range(0, whole, 4):
        a = b = c = d = 0.0
        for j in range(blocks):
            a += values[rows[i, j]]
            b += values[rows[i + 1, j]]
            c += values[rows[i + 2, j]]
            d += values[rows[i + 3, j]]
        out[i], out[i + 1], out[i + 2], out[i + 3] = a, b, c, d
    for i in range(whole, replicates):
        accumulated = 0.0
        for j in range(blocks):
            accumulated += values[rows[i, j]]
        out[i] = accumulated
    return out


def block_length(series: np.ndarray) -> int:
    """Best length of circular blocks for the mean of ``series``, at least 1.

    Autocorrelations count up to the first lag after which the next few are all insignificant.
    """
    n = len(series)
    if n < 9:
        return 1
    centred = series - np.mean(series)
    lags_beyond = max(5, math.ceil(math.sqrt(math.log10(n))))
    max_lag = min(math.ceil(math.sqrt(n)) + lags_beyond, n - 2)
    threshold = 2.0 * math.sqrt(math.log10(n) / n)
    moment, long_run = _spectrum_at_zero(centred, lags_beyond, max_lag, threshold)
    if long_run == 0.0:
        return 1
    best = (1.5 * (moment / long_run) ** 2 * n) ** (1.0 / 3.0)
    return max(1, min(round(best), math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))


@njit(cache=True)
def _autocovariance(centred: np.ndarray, lag: int) -> float:
    accumulated = 0.0
    for i in range(lag, centred.size):
        accumulated += centred[i] * centred[i - lag]
    return accumulated / centred.size


@njit(cache=True)
def _spectrum_at_zero(
    centred: np.ndarray, lags_beyond: int, max_lag: int, threshold: float
) -> tuple[float, float]:
    """Sums of |k| R(k) and of R(k) over all lags, both with the flat-top window."""
    covariances = np.zeros(max_lag + 1)
    covariances[0] = _autocovariance(centred, 0)
    if covariances[0] == 0.0:
        return 0.0, 0.0
    insignificant = 0
    significant_up_to = -1
    computed = 0
    for lag in range(1, max_lag + 1):
        covariances[lag] = _autocovariance(centred, lag)
        computed = lag
        if abs(covariances[lag]) < threshold * covariances[0]:
            insignificant += 1
        else:
            insignificant = 0
        if insignificant == lags_beyond:
            significant_up_to = lag - lags_beyond
            break
    bandwidth = max_lag
    if significant_up_to >= 0:
        bandwidth = min(2 * max(significant_up_to, 1), max_lag)
    for lag in range(computed + 1, bandwidth + 1):
        covariances[lag] = _autocovariance(centred, lag)
    moment = 0.0
    long_run = covariances[0]
    for lag in range(1, bandwidth + 1):
        share = lag / bandwidth
        weight = 1.0 if share <= 0.5 else 2.0 * (1.0 - share)
        moment += 2.0 * weight * lag * covariances[lag]
        long_run += 2.0 * weight * covariances[lag]
    return moment, long_run
