"""What a feature is computed from, and from which instant on each row of it is known.

Knowledge is decided from time stamps, the length of bars and declared lags, apart from
:mod:`hf_plugins.joins`: what a join does wrong must not be wrong here in the same way. Here are
also the inputs as they were at the close of a row, and as they might go on after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, cast

import numpy as np
import pandas as pd

from hf_plugins.base import Side
from hf_plugins.timeframes import duration

POISONS: Final = ("huge", "absurd", "null", "shuffled", "thinned", "zero", "tiny")
"""How a future is made unlike the real one: prices a million times as high, those with changing
signs, no values, the same rows in another order, every other row missing, zeros, prices a millionth
as high."""

FUTURE: Final = 48
"""Bars of a future: two days of hours."""

_INSTANT: Final = 1_000  # a microsecond, in nanoseconds: the resolution of stored time stamps
_HOUR: Final = 3_600_000_000_000


@dataclass(frozen=True)
class Inputs:
    """Own bars and side rows of one partition.

    Attributes:
        own: bars, indexed by UTC open time, strictly increasing; known at their close.
        timeframe: of the own bars.
        sides: rows of each side, as :func:`hf_plugins.joins.joined` takes them.
        closes: when trading in each own bar ended, UTC nanoseconds, shape (n_bars,): what a table
            says later counts for the next bar. None: at ``timestamp + timeframe``.
        known: instants from which the rows of a side were known, UTC nanoseconds, shape (n_rows,),
            for sides whose index does not tell it.
    """

    own: pd.DataFrame
    timeframe: str
    sides: Mapping[Side, pd.DataFrame] = field(default_factory=dict)
    closes: np.ndarray | None = None
    known: Mapping[Side, np.ndarray] = field(default_factory=dict)

    @cached_property
    def stamps(self) -> np.ndarray:
        """Open times of the own bars, UTC nanoseconds."""
        return nanoseconds(self.own.index)

    @cached_property
    def bar_ends(self) -> np.ndarray:
        """When the own bars end, UTC nanoseconds."""
        return self.stamps + _length(self.timeframe)

    def limits(self, side: Side) -> np.ndarray:
        """Up to which instant rows of a side count for each own bar, UTC nanoseconds."""
        if not side.table:
            return self.bar_ends
        # A bar of the same close is known with it; a row of a table has to be there before.
        return (self.bar_ends if self.closes is None else self.closes) - 1

    def known_from(self, side: Side) -> np.ndarray:
        """From which instant each row of a side is known, UTC nanoseconds."""
        return self._known[side]

    @cached_property
    def _known(self) -> dict[Side, np.ndarray]:
        return {side: self._known_from(side) for side in self.sides}

    def _known_from(self, side: Side) -> np.ndarray:
        if side in self.known:
            return self.known[side]
        # A bar is known when it has closed, the row of a table from its time stamp on.
        age = 0 if side.table else _length(side.timeframe or self.timeframe)
        return nanoseconds(self.sides[side].index) + age + _lag(side)

    # Hundreds of pasts and futures are made of the same rows: as arrays, which are cut quickly.

    @cached_property
    def _bars(self) -> _Bars:
        """The own bars, and after them as many as a future may need."""
        length = _length(self.timeframe)
        stamps = self.stamps
        if not len(stamps):
            return _Bars(cast(pd.DatetimeIndex, self.own.index), self._values, self.closes)
        beyond = stamps[-1] + length * np.arange(1, FUTURE + 1)
        values = np.concatenate([self._values, np.repeat(self._values[-1:], FUTURE, axis=0)])
        closes = self.closes
        if closes is not None:
            closes = np.concatenate([closes, beyond + (closes[-1] - stamps[-1])])
        return _Bars(_index(np.concatenate([stamps, beyond]), self.own.index), values, closes)

    @cached_property
    def _values(self) -> np.ndarray:
        return self.own.to_numpy(dtype=np.float64, na_value=np.nan)

    def _own(self, rows: slice) -> pd.DataFrame:
        values = self._bars.values[rows].copy()
        return pd.DataFrame(values, self._bars.index[rows], columns=self.own.columns)

    def until(self, first: int, last: int) -> Inputs:
        """What was known at the close of own bar ``last``, with own bars from ``first`` on."""
        rows = slice(first, last + 1)
        sides, known = {}, {}
        for side, frame in self.sides.items():
            there = self.known_from(side) <= self.limits(side)[last]
            sides[side] = frame.loc[there]
            known[side] = self.known_from(side)[there]
        closes = None if self.closes is None else self.closes[rows]
        return Inputs(self._own(rows), self.timeframe, sides, closes, known)

    def with_future(self, first: int, last: int, how: str, rng: np.random.Generator) -> Inputs:
        """What was known at the close of own bar ``last``, and a future that was not.

        The future has :data:`FUTURE` bars; where there are fewer real ones it goes on bar by bar.
        Of each side the rows of that future are changed in the same way, and rows are put in that
        are known an instant after the close.

        Args:
            first: own bar to begin with.
            last: own bar at whose close all is known that is left as it is.
            how: one of :data:`POISONS`.
            rng: for what is shuffled.
        """
        rows = slice(first, last + 1 + FUTURE)
        bars, past = self._bars, last + 1 - first
        values = bars.values[rows].copy()
        values[past:] = _poisoned(values[past:], how, rng)
        index, closes = bars.index[rows], None if bars.closes is None else bars.closes[rows]
        if how == "thinned":
            kept = np.r_[np.full(past, True), np.arange(FUTURE) % 2 == 1]
            values, index = values[kept], index[kept]
            closes = None if closes is None else closes[kept]
        sides = {side: self._side_with_future(side, last, how, rng) for side in self.sides}
        own = pd.DataFrame(values, index, columns=self.own.columns)
        return Inputs(own, self.timeframe, sides, closes)

    def _side_with_future(
        self, side: Side, last: int, how: str, rng: np.random.Generator
    ) -> pd.DataFrame:
        frame, limit = self.sides[side], self.limits(side)[last]
        known = self.known_from(side)
        past, later = np.flatnonzero(known <= limit), np.flatnonzero(known > limit)[: 4 * FUTURE]
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
        changed = _poisoned(values[later], how, rng)
        if how == "thinned":
            later, changed = later[1::2], changed[1::2]
        stamps = nanoseconds(frame.index)
        planted = np.empty(0, np.int64)
        if side not in self.known:  # else the index does not tell when they would be known
            planted = np.setdiff1d(self._planted(side, limit), stamps)
        rows = np.concatenate(
            [values[past], changed, np.full((len(planted), values.shape[1]), 9e9)]
        )
        place = np.concatenate([stamps[past], stamps[later], planted])
        order = np.argsort(place, kind="stable")
        if side in self.known:  # in their own order: that of the index need not be that of time
            order = np.argsort(np.concatenate([past, later]))
        index = _index(place[order], frame.index)
        return pd.DataFrame(rows[order], index, columns=frame.columns)

    def _planted(self, side: Side, limit: int) -> np.ndarray:
        """Time stamps of rows that a side might have had, known after ``limit``."""
        if side.table:
            return limit - _lag(side) + np.array([_INSTANT, _HOUR])
        if side.join == "inner":
            return np.empty(0, np.int64)
        length = _length(side.timeframe or self.timeframe)
        return np.array([(limit - _lag(side) - length) // length * length + length])

    def with_tick(self, row: int, factor: float) -> Inputs:
        """One own bar whose numbers are ``factor`` times what they are."""
        own = self.own.copy()
        own.iloc[row] = own.iloc[row] * factor + (factor - 1.0)
        return replace(self, own=own)

    def with_side_tick(self, side: Side, row: int, factor: float) -> Inputs:
        """One row of a side whose numbers are ``factor`` times what they are."""
        frame = self.sides[side].astype("float64")
        frame.iloc[row] = frame.iloc[row].fillna(1.0) * factor + (factor - 1.0)
        return replace(self, sides={**self.sides, side: frame})


@dataclass(frozen=True)
class _Bars:
    index: pd.DatetimeIndex
    values: np.ndarray
    closes: np.ndarray | None


def _poisoned(rows: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    """Rows of a future that did not come about; see :data:`POISONS`."""
    values = np.nan_to_num(rows, nan=1.0)
    if how in ("huge", "thinned"):
        return np.abs(values) * 1e6 + 1e6
    if how == "absurd":
        sign = np.where(np.arange(len(values)) % 2, -1.0, 1.0)[:, None]
        return sign * (np.abs(values) * 1e6 + 1e6)
    if how == "shuffled":
        return values[rng.permutation(len(values))]
    scale = {"null": np.nan, "zero": 0.0, "tiny": 1e-6}[how]
    return np.abs(values) * scale


def nanoseconds(index: pd.Index) -> np.ndarray:
    """Time stamps as UTC nanoseconds."""
    stamps = cast(pd.DatetimeIndex, index)
    return stamps.asi8 if stamps.unit == "ns" else stamps.as_unit("ns").asi8


def _length(timeframe: str) -> int:
    return int(pd.Timedelta(duration(timeframe)).value)


def _lag(side: Side) -> int:
    return 60_000_000_000 * side.lag_minutes


def _index(stamps: np.ndarray, like: pd.Index) -> pd.DatetimeIndex:
    """An index in the unit and with the name of another one."""
    unit = cast(pd.DatetimeIndex, like).unit
    return pd.DatetimeIndex(stamps, tz="UTC", name=like.name).as_unit(unit)
