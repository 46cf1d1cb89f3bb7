"""Who is compared with whom: the instruments of a bar, or one instrument with its own past.

The formulas rank, scale and neutralise across a cross-section. :class:`AcrossInstruments` is the
paper's: the instruments of the same bar. :class:`AcrossTime` serves a single instrument, which has
no cross-section: its own last bars stand for one, the current bar included. Both read nothing after
the bar that they compute.

Both leave a rank of a rank, and a neutralisation within the same groups twice, as they are: in a
cross-section that is an identity, and it is taken as one along time, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from hf_plugins.alphas.operators import CANCELLED, FloatArray, divide, same, total, ts_rank
from hf_plugins.errors import DataError

GroupArray = npt.NDArray[np.int64]


class Section(Protocol):
    """Three operators over values of shape (n_bars, n_instruments); null in, null out."""

    @property
    def lookback(self) -> int:
        """Bars that one value needs, the current one included."""
        ...

    @property
    def has_groups(self) -> bool:
        """Whether ``neutralize`` reads the groups."""
        ...

    def rank(self, x: FloatArray) -> FloatArray:
        """Average-tie percentile rank, in (0, 1]."""
        ...

    def scale(self, x: FloatArray, a: float) -> FloatArray:
        """``x`` times a factor that makes the absolute values sum to ``a``; null if all are 0."""
        ...

    def neutralize(self, x: FloatArray, groups: GroupArray | None) -> FloatArray:
        """``x`` minus the mean of its group."""
        ...


@dataclass(frozen=True)
class AcrossInstruments:
    """The instruments of the same bar that have a value; the others stay null and do not count.

    Groups are codes of shape (n_bars, n_instruments), below 0 where unknown; a value of an unknown
    group is null.
    """

    lookback: int = 1
    has_groups: bool = True

    def rank(self, x: FloatArray) -> FloatArray:
        """Rank among the instruments; see :class:`Section`."""
        return _row_ranks(x, np.argsort(x, axis=1))

    def scale(self, x: FloatArray, a: float) -> FloatArray:
        """Scale over the instruments; see :class:`Section`."""
        return divide(a * x, np.nansum(np.abs(x), axis=1, keepdims=True))

    def neutralize(self, x: FloatArray, groups: GroupArray | None) -> FloatArray:
        """Subtract the mean of the instruments in the same group; see :class:`Section`."""
        if groups is None:
            raise DataError("neutralising across instruments needs their groups")
        return _without_group_means(x, groups, int(groups.max(initial=-1)) + 1)


@dataclass(frozen=True)
class AcrossTime:
    """The last ``window`` bars of each instrument by itself, all of which must be known.

    Neutralising subtracts the mean of the window: what is common to the cross-section goes.
    """

    window: int = 60
    has_groups: bool = False

    @property
    def lookback(self) -> int:
        """The window."""
        return self.window

    def rank(self, x: FloatArray) -> FloatArray:
        """Rank among the last bars; see :class:`Section`."""
        return ts_rank(x, self.window)

    def scale(self, x: FloatArray, a: float) -> FloatArray:
        """Scale over the last bars; see :class:`Section`."""
        return divide(a * x, total(np.abs(x), self.window))

    def neutralize(self, x: FloatArray, groups: GroupArray | None) -> FloatArray:
        """Subtract the mean of the last bars; see :class:`Section`."""
        del groups
        return _without_window_means(x, self.window)


@njit(cache=True)
def _row_ranks(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Ranks within each row, given the order of its values with null last."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(rows):
        count = 0
        while count < columns and not np.isnan(x[t, order[t, count]]):
            count += 1
        first = 0
        while first < count:
            last = first
            while last + 1 < count and same(x[t, order[t, last]], x[t, order[t, last + 1]]):
                last += 1
            for i in range(first, last + 1):
                out[t, order[t, i]] = ((first + last) / 2.0 + 1.0) / count
            first = last + 1
    return out


@njit(cache=True)
def _minus(value: Any, mean: Any) -> Any:
    """The difference, exactly 0 where the two are equal but for rounding."""
    difference = value - mean
    return 0.0 if abs(difference) <= CANCELLED * (abs(value) + abs(mean)) else difference


@njit(cache=True)
def _without_group_means(x: np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(rows):
        sums = np.zeros(n_groups)
        counts = np.zeros(n_groups)
        for column in range(columns):
            group = groups[t, column]
            if group >= 0 and not np.isnan(x[t, column]):
                sums[group] += x[t, column]
                counts[group] += 1
        for column in range(columns):
            group = groups[t, column]
            if group >= 0 and not np.isnan(x[t, column]):
                out[t, column] = _minus(x[t, column], sums[group] / counts[group])
    return out


@njit(cache=True)
def _without_window_means(x: np.ndarray, window: int) -> np.ndarray:
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for column in range(columns):
        for t in range(window - 1, rows):
            accumulated = 0.0
            for i in range(t - window + 1, t + 1):
                accumulated += x[i, column]
            if not np.isnan(accumulated):
                out[t, column] = _minus(x[t, column], accumulated / window)
    return out
