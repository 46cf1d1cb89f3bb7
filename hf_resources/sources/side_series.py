"""Series beside the bars, such as funding rates: read as far as needed, joined without look-ahead.

A side series has stamps of its own. A bar gets the last value stamped at or before its close, and
none if that value is older than the series allows: a hole in the series is null, not a value from
before it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_resources.sources.paging import EPOCH, instant


class Stamped(NamedTuple):
    """Values and when they were stamped: milliseconds since 1970 UTC, int64, and float64."""

    stamps: np.ndarray
    values: np.ndarray


Ask: TypeAlias = Callable[[datetime, datetime], Stamped]
_MILLISECOND = timedelta(milliseconds=1)


class SideSeries:
    """A series that a vendor serves in windows.

    Args:
        ask: the values stamped in ``[start, stop]``, both included, in any order.
        start: the first stamp that may matter.
        width: the longest window that a reply covers in full.
        oldest: age from which on a value is not used.
        owner: source, symbol and series, for messages.
    """

    def __init__(
        self, ask: Ask, start: datetime, width: timedelta, oldest: timedelta, owner: str
    ) -> None:
        self._ask = ask
        self._cursor = start
        self._width = width
        self._oldest = oldest // _MILLISECOND
        self._owner = owner
        self._known = Stamped(np.empty(0, dtype="int64"), np.empty(0, dtype="float64"))

    def at(self, closes: pd.DatetimeIndex, horizon: datetime) -> np.ndarray:
        """The value known at each close, null where there is none.

        Args:
            closes: UTC, ascending, and not before those of an earlier call.
            horizon: the vendor's present, or the end of the history that is read; nothing later is
                asked for.

        Returns:
            shape (len(closes),), float64.
        """
        self._extend(min(instant(closes[-1]), horizon), horizon)
        at = closes.as_unit("ms").asi8
        rows = np.searchsorted(self._known.stamps, at, side="right") - 1
        used = rows >= 0
        used[used] = at[used] - self._known.stamps[rows[used]] < self._oldest
        result = np.full(len(at), np.nan)
        result[used] = self._known.values[rows[used]]
        recent = self._known.stamps > at[0] - self._oldest
        self._known = Stamped(self._known.stamps[recent], self._known.values[recent])
        return result

    def _extend(self, until: datetime, horizon: datetime) -> None:
        while self._cursor <= until:
            # As far as one reply holds, so that many short pages do not make as many requests.
            stop = min(self._cursor + self._width, horizon)
            more = self._ask(self._cursor, stop)
            stamps = np.concatenate((self._known.stamps, more.stamps))
            values = np.concatenate((self._known.values, more.values))
            order = np.argsort(stamps, kind="stable")
            self._known = self._once(stamps[order], values[order])
            self._cursor = stop + _MILLISECOND

    def _once(self, stamps: np.ndarray, values: np.ndarray) -> Stamped:
        """Each stamp once; two values of one stamp are refused."""
        again = np.flatnonzero(np.diff(stamps) == 0)
        wrong = again[values[again] != values[again + 1]]
        if len(wrong):
            row = wrong[0]
            at = EPOCH + int(stamps[row]) * _MILLISECOND
            raise DataError(
                f"{self._owner}: the value stamped {at:%Y-%m-%d %H:%M:%S.%f} UTC came "
                f"twice, with {float(values[row])!r} and {float(values[row + 1])!r}; run again"
            )
        keep = np.ones(len(stamps), dtype=bool)
        keep[again + 1] = False
        return Stamped(stamps[keep], values[keep])
