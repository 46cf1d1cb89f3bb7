r"""Univariate AUC: how well one feature alone orders ups before downs.

.. math:: AUC = P(x_+ > x_-) + \tfrac12 P(x_+ = x_-)

over all pairs of a row of the upper and a row of the lower class: the Mann-Whitney statistic with
average ranks for ties. 0.5 says nothing; below 0.5 the sign is the other way round.

Only the order of the values counts, so a feature is sorted once: any subset of its rows, and any
target, are then scored by counting (:class:`Ranked`).

Null policy: rows in which the feature or the target is null are left out; the AUC is null where one
class is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from hf_plugins.errors import DataError


def next_close_above(close: pd.Series, horizon: int = 1) -> pd.Series:
    """The target: 1 where the close ``horizon`` bars later is above the current one, else 0.

    Returns:
        float64, indexed like ``close``. Null at the last ``horizon`` bars, and where one of the two
        is missing. An unchanged close counts as 0. The target of a bar covers the bars that follow
        it, up to ``horizon``.
    """
    values = close.to_numpy(np.float64)
    following = np.append(values[horizon:], np.full(min(horizon, len(values)), np.nan))
    above = np.where(np.isnan(values) | np.isnan(following), np.nan, following > values)
    return pd.Series(above.astype(np.float64), index=close.index, name="next_close_above")


@dataclass(frozen=True)
class Ranked:
    """Features in time order, each sorted once.

    Attributes:
        values: float64 of shape (n_features, n_rows).
        codes: int32 of the same shape, the number of the value among the distinct ones of its
            feature, in ascending order; -1 for null.
        levels: distinct values of each feature, shape (n_features,).
    """

    values: np.ndarray
    codes: np.ndarray
    levels: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Ranked:
        """Sort features of shape (n_features, n_rows), or one of shape (n_rows,)."""
        values = np.atleast_2d(np.asarray(values, np.float64))
        codes = np.empty(values.shape, np.int32)
        levels = np.empty(len(values), np.int64)
        for i, x in enumerate(values):
            levels[i] = _encode(x, np.argsort(x), codes[i])
        return cls(values, codes, levels)

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int) -> Ranked:
        """The same features on consecutive rows; no copy, no sort."""
        return Ranked(self.values[:, start:stop], self.codes[:, start:stop], self.levels)

    def only(self, chosen: Sequence[int]) -> Ranked:
        """Some of the features."""
        picked = list(chosen)
        return Ranked(self.values[picked], self.codes[picked], self.levels[picked])

    def place(self, i: int, y: np.ndarray, *, sign: float = 1.0) -> Placements:
        """Placements of feature ``i``, negated where the sign is; see :func:`place`."""
        codes = self.codes[i]
        if sign < 0:
            codes = np.where(codes < 0, codes, self.levels[i] - 1 - codes)
        placed, upper, pairs = _place(codes, y, self.levels[i])
        above = int(upper.sum())
        below = len(upper) - above
        return Placements(placed, upper, pairs / (above * below) if above * below else np.nan)

    def score(self, i: int, y: np.ndarray) -> Score:
        """AUC of feature ``i``; see :func:`score`."""
        pairs, above, below = _score(self.codes[i], y, self.levels[i])
        return Score(pairs / (above * below) if above * below else float("nan"), above, below)


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
    return Ranked.of(x).place(0, y)


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
    """AUC of one feature; the same number as :func:`place` gives, in less time.

    Args:
        x: feature, shape (n_rows,), float64.
        y: target of the same shape: 1, 0 or null.
    """
    return Ranked.of(x).score(0, y)


def same_bars(one: pd.Index, other: pd.Index) -> bool:
    """Whether two indexes have the same entries, however they spell UTC and to what resolution."""
    return len(one) == len(other) and bool(np.all(one == other))


def checked(features: pd.DataFrame, target: pd.Series) -> tuple[Ranked, np.ndarray]:
    """The features, sorted, and the target (n_rows,), as float64.

    Raises:
        DataError: the two are not indexed by the same rows in strictly increasing order, a name
            occurs twice, a value is infinite, or the target is not 0, 1 or null.
    """
    if not same_bars(features.index, target.index):
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
    return Ranked.of(columns), y


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
    for i in range(len(columns)):
        result = columns.score(i, y)
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
def _encode(x: np.ndarray, order: np.ndarray, codes: np.ndarray) -> int:
    """Number the distinct values in the order that sorts them, null last; how many there are."""
    levels = 0
    for i in range(order.size):
        value = x[order[i]]
        if np.isnan(value):
            codes[order[i]] = -1
            continue
        if i == 0 or value != x[order[i - 1]]:
            levels += 1
        codes[order[i]] = levels - 1
    return levels


@njit(cache=True)
def _count(codes: np.ndarray, y: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the upper and of the lower class at each level."""
    upper = np.zeros(levels, np.int32)
    lower = np.zeros(levels, np.int32)
    for i in range(codes.size):
        if codes[i] >= 0:
            if y[i] > 0:
                upper[codes[i]] += 1
            elif y[i] <= 0:
                lower[codes[i]] += 1
    return upper, lower


@njit(cache=True)
def _score(codes: np.ndarray, y: np.ndarray, levels: int) -> tuple[float, int, int]:
    """Pairs in which the upper class is above, ties by half, and the rows of either class."""
    upper, lower = _count(codes, y, levels)
    pairs = 0.0
    n_upper = 0
    n_lower = 0
    for level in range(levels):
        pairs += upper[level] * (n_lower + 0.5 * lower[level])
        n_upper += upper[level]
        n_lower += lower[level]
    return pairs, n_upper, n_lower


@njit(cache=True)
def _place(codes: np.ndarray, y: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Placements and class of the rows where both are known, and the pairs of :func:`_score`."""
    upper, lower = _count(codes, y, levels)
    of_upper = np.empty(levels)  # rows of the other class below, ties by half
    of_lower = np.empty(levels)  # rows of the other class above, likewise
    pairs = 0.0
    n_upper = 0
    n_lower = 0
    for level in range(levels):
        of_upper[level] = n_lower + 0.5 * lower[level]
        of_lower[level] = n_upper + 0.5 * upper[level]
        pairs += upper[level] * of_upper[level]
        n_upper += upper[level]
        n_lower += lower[level]
    placed = np.full(n_upper + n_lower, np.nan)
    is_upper = np.empty(n_upper + n_lower, np.bool_)
    row = 0
    for i in range(codes.size):
        if codes[i] < 0 or np.isnan(y[i]):
            continue
        is_upper[row] = y[i] > 0
        if n_upper and n_lower:
            if is_upper[row]:
                placed[row] = of_upper[codes[i]] / n_lower
            else:
                placed[row] = (n_upper - of_lower[codes[i]]) / n_upper
        row += 1
    return placed, is_upper, pairs
