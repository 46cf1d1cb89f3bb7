r"""Univariate AUC: how well one feature alone orders ups before downs.

.. math:: AUC = P(x_+ > x_-) + \tfrac12 P(x_+ = x_-)

over all pairs of a row of the upper and a row of the lower class: the Mann-Whitney statistic with
average ranks for ties. 0.5 says nothing; below 0.5 the sign is the other way round.

Null policy: rows in which the feature or the target is null are left out; the AUC is null where one
class is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit

from hf_plugins.errors import DataError


def next_close_above(close: pd.Series) -> pd.Series:
    """The target: 1 where the next close is above the current one, else 0.

    Returns:
        float64, indexed like ``close``. Null at the last bar, and where one of the two is missing.
        An unchanged close counts as 0. The target of a bar covers the bar that follows it.
    """
    values = close.to_numpy(np.float64)
    following = np.append(values[1:], np.nan)
    above = np.where(np.isnan(values) | np.isnan(following), np.nan, following > values)
    return pd.Series(above.astype(np.float64), index=close.index, name="next_close_above")


@dataclass(frozen=True)
class Placements:
    """Where each row lies among the rows of the other class.

    Attributes:
        values: shape (n_rows,), for a row of the upper class the share of the lower one below it,
            for a row of the lower class the share of the upper one above it; ties count half.
        upper: bool of shape (n_rows,).
        auc: their mean within either class; null where one class is missing.
    """

    values: np.ndarray
    upper: np.ndarray
    auc: float

    @property
    def counts(self) -> tuple[int, int]:
        """Rows of the upper and of the lower class."""
        above = int(self.upper.sum())
        return above, len(self.upper) - above


def place(x: np.ndarray, y: np.ndarray) -> Placements:
    """Placements of the rows where both are known, in their order.

    Args:
        x: feature, shape (n_rows,), float64.
        y: target of the same shape: 1, 0 or null.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    values, upper = x[known], y[known] > 0
    above = int(upper.sum())
    if above in (0, len(upper)):
        return Placements(np.full(len(upper), np.nan), upper, float("nan"))
    placed, pairs = _place(values, upper, np.argsort(values))
    return Placements(placed, upper, pairs / (above * (len(upper) - above)))


@dataclass(frozen=True)
class Score:
    """AUC of one feature, null where a class is missing, and the rows of either class."""

    auc: float
    n_upper: int
    n_lower: int

    @property
    def rows(self) -> int:
        """Rows where feature and target are known."""
        return self.n_upper + self.n_lower

    @property
    def null_standard_error(self) -> float:
        r"""Standard error of the AUC of a worthless feature whose rows are independent.

        .. math:: \sqrt{\tfrac1{12} \left(\tfrac1{n_1} + \tfrac1{n_0}\right)}

        The variance of the Mann-Whitney statistic without ties, short of its term 1 / (12 n1 n0).
        Null where a class is missing.
        """
        if not (self.n_upper and self.n_lower):
            return float("nan")
        return float(np.sqrt((1.0 / self.n_upper + 1.0 / self.n_lower) / 12.0))


def score(x: np.ndarray, y: np.ndarray) -> Score:
    """AUC of one feature; the same number as :func:`place` gives, in half the time.

    Args:
        x: feature, shape (n_rows,), float64.
        y: target of the same shape: 1, 0 or null.
    """
    known = ~np.isnan(x)
    upper, lower = np.sort(x[known & (y > 0)]), np.sort(x[known & (y <= 0)])
    if not (upper.size and lower.size):
        return Score(float("nan"), upper.size, lower.size)
    return Score(_pairs(upper, lower) / (upper.size * lower.size), upper.size, lower.size)


def checked(features: pd.DataFrame, target: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the features (n_features, n_rows) and the target (n_rows,), as float64.

    Raises:
        DataError: the two are not indexed by the same rows in strictly increasing order, a name
            occurs twice, a value is infinite, or the target is not 0, 1 or null.
    """
    if not features.index.equals(target.index):
        raise DataError("the features and the target are not indexed by the same bars")
    if not (features.index.is_monotonic_increasing and features.index.is_unique):
        raise DataError("the rows must be in strictly increasing time order")
    if not features.columns.is_unique or not len(features.columns):
        raise DataError("the features need at least one column, and each name only once")
    columns = np.ascontiguousarray(features.to_numpy(np.float64).T)
    infinite = np.isinf(columns).any(axis=1)
    if infinite.any():
        raise DataError(f"feature '{features.columns[int(infinite.argmax())]}' has infinite values")
    y = target.to_numpy(np.float64)
    if not np.isin(y[~np.isnan(y)], (0.0, 1.0)).all():
        raise DataError("the target must be 0, 1 or null")
    return columns, y


def auc_table(features: pd.DataFrame, target: pd.Series) -> pd.DataFrame:
    """AUC of every feature.

    Returns:
        Indexed by feature: ``rows`` used, ``auc``, ``flipped_auc`` (one minus it),
        ``null_standard_error``.

    Raises:
        DataError: see :func:`checked`.
    """
    columns, y = checked(features, target)
    rows = []
    for x in columns:
        result = score(x, y)
        rows.append(
            {
                "rows": result.rows,
                "auc": result.auc,
                "flipped_auc": 1.0 - result.auc,
                "null_standard_error": result.null_standard_error,
            }
        )
    return pd.DataFrame(rows, index=features.columns)


@njit(cache=True)
def _pairs(upper: np.ndarray, lower: np.ndarray) -> float:
    """Pairs of sorted classes in which the upper one is above, ties by half."""
    pairs = 0.0
    below = 0
    not_above = 0
    for value in upper:
        while below < lower.size and lower[below] < value:
            below += 1
        not_above = max(not_above, below)
        while not_above < lower.size and lower[not_above] <= value:
            not_above += 1
        pairs += 0.5 * (below + not_above)
    return pairs


@njit(cache=True)
def _place(values: np.ndarray, upper: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, Any]:
    n = values.size
    n_upper = 0
    for i in range(n):
        n_upper += upper[i]
    n_lower = n - n_upper
    placed = np.empty(n)
    below_upper = 0  # rows of each class below the current ties
    below_lower = 0
    pairs = 0.0
    first = 0
    while first < n:
        last = first
        tied_upper = 0
        tied_lower = 0
        while last < n and values[order[last]] == values[order[first]]:
            tied_upper += upper[order[last]]
            tied_lower += not upper[order[last]]
            last += 1
        for i in range(first, last):
            if upper[order[i]]:
                placed[order[i]] = (below_lower + 0.5 * tied_lower) / n_lower
            else:
                above = n_upper - below_upper - tied_upper
                placed[order[i]] = (above + 0.5 * tied_upper) / n_upper
        pairs += tied_upper * (below_lower + 0.5 * tied_lower)
        below_upper += tied_upper
        below_lower += tied_lower
        first = last
    return placed, pairs
