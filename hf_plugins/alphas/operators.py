r"""The operators of the formulas that look along time, and those that look at one value.

Operators across instruments are in :mod:`hf_plugins.alphas.sections`. Names and meanings are those
of Kakushadze (2016), appendix A.1 [1]_; where the paper leaves a choice, it is made here, once.

Arrays have the shape (n_bars, n_instruments), float64, oldest bar first; every instrument is a
column of its own. A window of d values at bar t is the values of the bars t - d + 1 .. t: nothing
after t is read. Each window is computed from its own numbers, in two passes where a mean is
subtracted, so a value does not depend on where the arrays begin or end.

Null policy: null is NaN. A window with a null in it is null, and so is every result that is not
defined (zero denominators, the logarithm of what is not positive, a correlation with a constant) or
not finite. No operator returns an infinity.

Choices that the paper leaves open:

* *Equal values*: two values are equal if they differ by at most :data:`EQUAL` of the larger one.
  The difference of two prices carries their rounding, and no rank, extreme or comparison may hang
  on that. Likewise a sum that cancels to at most :data:`CANCELLED` of its terms is 0.
* *Ranks* are average-tie percentiles, (below + (equal + 1) / 2) / count, in (0, 1].
* *Day of the extreme* counts bars back from the current one (0 is the current bar), as the
  operator of the paper's publisher does; of equal extremes the latest counts.
* *Deviation and covariance* divide by d - 1.
* *Correlation* is null where one side is constant, and rounded to twelve decimals: two windows of
  the same ranks must tie exactly when they are ranked themselves.
* ``signedpower`` keeps the sign of its base; ``x ** y`` is the plain power, null for a negative
  base and a fractional exponent.
* Comparisons give 1 or 0, and null where a side is null; so does a choice on a null condition.

.. [1] Z. Kakushadze, "101 Formulaic Alphas", Wilmott 84, 2016.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from hf_plugins.kernels import caching

caching.install()  # kernels of sections call one of here

FloatArray = npt.NDArray[np.float64]

EQUAL: Final = 1e-9
"""Distance at which two values count as equal, as a fraction of the larger one."""
CANCELLED: Final = 1e-12
"""Sum that counts as 0, as a fraction of the sum of the absolute values of its terms."""
DECIMALS: Final = 1e12
"""Correlations are multiples of one over this."""


@njit(cache=True)
def same(a: float, b: float) -> bool:
    """Whether two values are equal but for rounding; false if one is null."""
    return a == b or abs(a - b) <= EQUAL * max(abs(a), abs(b))


@njit(cache=True)
def _is_constant(x: np.ndarray, column: int, first: int, last: int) -> bool:
    low = x[first, column]
    high = x[first, column]
    for i in range(first + 1, last + 1):
        low = min(low, x[i, column])
        high = max(high, x[i, column])
    return same(low, high)


def finite(x: FloatArray) -> FloatArray:
    """``x`` with null for what is not finite."""
    return np.where(np.isfinite(x), x, np.nan)


def add(x: FloatArray, y: FloatArray) -> FloatArray:
    """``x + y``, exactly 0 where the two cancel."""
    result = x + y
    return np.where(np.abs(result) <= CANCELLED * (np.abs(x) + np.abs(y)), 0.0, result)


def subtract(x: FloatArray, y: FloatArray) -> FloatArray:
    """``x - y``, exactly 0 where the two are equal but for rounding."""
    return add(x, -y)


def delay(x: FloatArray, d: int) -> FloatArray:
    """The value of d bars ago. Look-back: d + 1 bars."""
    out = np.full_like(x, np.nan)
    out[d:] = x[: max(len(x) - d, 0)]
    return out


def delta(x: FloatArray, d: int) -> FloatArray:
    """Change over d bars. Look-back: d + 1 bars."""
    return subtract(x, delay(x, d))


@njit(cache=True)
def total(x: np.ndarray, d: int) -> np.ndarray:
    """``sum(x, d)``, exactly 0 where it cancels."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            accumulated = 0.0
            size = 0.0
            for i in range(t - d + 1, t + 1):
                accumulated += x[i, column]
                size += abs(x[i, column])
            out[t, column] = 0.0 if abs(accumulated) <= CANCELLED * size else accumulated
    return out


@njit(cache=True)
def product(x: np.ndarray, d: int) -> np.ndarray:
    """Product of the window."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            accumulated = 1.0
            for i in range(t - d + 1, t + 1):
                accumulated *= x[i, column]
            out[t, column] = accumulated
    return out


@njit(cache=True)
def ts_max(x: np.ndarray, d: int) -> np.ndarray:
    """Largest value of the window."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            largest = -np.inf
            for i in range(t - d + 1, t + 1):
                value = x[i, column]
                if np.isnan(value):
                    largest = np.nan
                    break
                largest = max(largest, value)
            out[t, column] = largest
    return out


def ts_min(x: FloatArray, d: int) -> FloatArray:
    """Smallest value of the window."""
    return -ts_max(-x, d)


@njit(cache=True)
def ts_argmax(x: np.ndarray, d: int) -> np.ndarray:
    """Bars since the largest value of the window, in 0 .. d - 1; the latest of equal ones."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            where = t
            for i in range(t, t - d, -1):
                value = x[i, column]
                if np.isnan(value):
                    where = -1
                    break
                if value > x[where, column] and not same(value, x[where, column]):
                    where = i
            if where >= 0:
                out[t, column] = t - where
    return out


def ts_argmin(x: FloatArray, d: int) -> FloatArray:
    """Bars since the smallest value of the window, in 0 .. d - 1; the latest of equal ones."""
    return ts_argmax(-x, d)


@njit(cache=True)
def ts_rank(x: np.ndarray, d: int) -> np.ndarray:
    """Rank of the current value within its window, in (0, 1]."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            current = x[t, column]
            below = 0
            equal = 0
            known = True
            for i in range(t - d + 1, t + 1):
                value = x[i, column]
                if np.isnan(value):
                    known = False
                    break
                if same(value, current):
                    equal += 1
                elif value < current:
                    below += 1
            if known:
                out[t, column] = (below + (equal + 1) / 2.0) / d
    return out


@njit(cache=True)
def decay_linear(x: np.ndarray, d: int) -> np.ndarray:
    """Mean of the window with weights d (current bar), d - 1, .. 1 (oldest), which sum to 1.

    Exactly 0 where it cancels.
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(d - 1, rows):
            accumulated = 0.0
            size = 0.0
            for i in range(t - d + 1, t + 1):
                weighted = (d - (t - i)) * x[i, column]
                accumulated += weighted
                size += abs(weighted)
            cancels = abs(accumulated) <= CANCELLED * size
            out[t, column] = 0.0 if cancels else accumulated / (d * (d + 1) / 2.0)
    return out


@njit(cache=True)
def stddev(x: np.ndarray, d: int) -> np.ndarray:
    """Sample deviation of the window, exactly 0 where it is constant; null for d = 1."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    if d < 2:
        return out
    for column in range(columns):
        for t in range(d - 1, rows):
            first = t - d + 1
            accumulated = 0.0
            for i in range(first, t + 1):
                accumulated += x[i, column]
            if np.isnan(accumulated):
                continue
            if _is_constant(x, column, first, t):
                out[t, column] = 0.0
                continue
            mean = accumulated / d
            squares = 0.0
            for i in range(first, t + 1):
                squares += (x[i, column] - mean) ** 2
            out[t, column] = np.sqrt(squares / (d - 1))
    return out


@njit(cache=True)
def _joint_moments(x: np.ndarray, y: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Covariance and correlation of each window; see the two functions that follow."""
    rows, columns = x.shape
    covariances = np.full((rows, columns), np.nan)
    correlations = np.full((rows, columns), np.nan)
    if d < 2:
        return covariances, correlations
    for column in range(columns):
        for t in range(d - 1, rows):
            first = t - d + 1
            mean_x = 0.0
            mean_y = 0.0
            for i in range(first, t + 1):
                mean_x += x[i, column]
                mean_y += y[i, column]
            if np.isnan(mean_x + mean_y):
                continue
            if _is_constant(x, column, first, t) or _is_constant(y, column, first, t):
                covariances[t, column] = 0.0
                continue
            mean_x /= d
            mean_y /= d
            xx = 0.0
            yy = 0.0
            xy = 0.0
            for i in range(first, t + 1):
                from_x = x[i, column] - mean_x
                from_y = y[i, column] - mean_y
                xx += from_x * from_x
                yy += from_y * from_y
                xy += from_x * from_y
            scale = np.sqrt(xx) * np.sqrt(yy)
            covariances[t, column] = 0.0 if abs(xy) <= EQUAL * scale else xy / (d - 1)
            if scale > 0.0:
                rounded = np.rint(xy / scale * DECIMALS) / DECIMALS
                correlations[t, column] = min(max(rounded, -1.0), 1.0)
    return covariances, correlations


def covariance(x: FloatArray, y: FloatArray, d: int) -> FloatArray:
    """Sample covariance of the window, exactly 0 where a side is constant; null for d = 1."""
    return _joint_moments(x, y, d)[0]


def correlation(x: FloatArray, y: FloatArray, d: int) -> FloatArray:
    """Pearson correlation of the window, in [-1, 1]; null where a side is constant."""
    return _joint_moments(x, y, d)[1]


def log(x: FloatArray) -> FloatArray:
    """Natural logarithm; null for what is not positive."""
    return np.log(np.where(x > 0, x, np.nan))


def divide(x: FloatArray, y: FloatArray) -> FloatArray:
    """``x / y``; null where y is 0."""
    return finite(np.divide(x, np.where(y == 0, np.nan, y)))


def power(x: FloatArray, y: FloatArray) -> FloatArray:
    """``x ** y``; null where it is not a real number."""
    return finite(np.power(x, y))


def signedpower(x: FloatArray, a: FloatArray) -> FloatArray:
    """``sign(x) * abs(x) ** a``."""
    return finite(np.sign(x) * np.power(np.abs(x), a))


def _equal(x: FloatArray, y: FloatArray) -> npt.NDArray[np.bool_]:
    return (x == y) | (np.abs(x - y) <= EQUAL * np.maximum(np.abs(x), np.abs(y)))


def less(x: FloatArray, y: FloatArray) -> FloatArray:
    """1 where x < y and not equal, else 0; null where a side is null."""
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where((x < y) & ~_equal(x, y), 1.0, 0.0))


def equal(x: FloatArray, y: FloatArray) -> FloatArray:
    """1 where x and y are equal, else 0; null where a side is null."""
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(_equal(x, y), 1.0, 0.0))


def either(x: FloatArray, y: FloatArray) -> FloatArray:
    """1 where one of two conditions holds, else 0; null where a side is null."""
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where((x != 0) | (y != 0), 1.0, 0.0))


def choose(condition: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """X where the condition holds, else y; null where the condition is null."""
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, x, y))
