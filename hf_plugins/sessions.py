"""Trading sessions as data, and the grid of bars that they imply.

Only arithmetic on instants belongs here; which sessions a market holds is the business of
``hf_resources.calendars``. All instants are int64 microseconds since 1970-01-01 UTC.

A bar is labelled by the start of its slot on the grid. Intraday slots are counted from the anchor
of the session (its open, as a rule), not from midnight UTC, so that the bars of a session are the
same ones in summer and in winter; the last slot of a session may be cut short by its close. A daily
bar is labelled by the date of its session, at 00:00 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, SupportsInt

import numpy as np

from hf_plugins.errors import DataError
from hf_plugins.timeframes import duration

MICROSECONDS_PER_DAY: Final = 86_400_000_000


def microseconds(timeframe: str) -> int:
    """Length of one bar in microseconds.

    Raises:
        ConfigurationError: the timeframe is unknown.
    """
    return int(duration(timeframe).total_seconds()) * 1_000_000


@dataclass(frozen=True, eq=False)
class ExpectedBars:
    """The bars that a calendar implies, in time order.

    Attributes:
        opens: label of each bar, shape (n_bars,), increasing.
        closes: first instant after each bar, shape (n_bars,).
    """

    opens: np.ndarray
    closes: np.ndarray


def close_times(stamps: np.ndarray, timeframe: str, expected: ExpectedBars | None) -> np.ndarray:
    """First instant after each bar: by the calendar where that has it, else the end of its slot.

    Args:
        stamps: labels, microseconds UTC, in any order.
        timeframe: of the bars.
        expected: the bars of the calendar; None where there is no calendar.
    """
    ends = stamps + microseconds(timeframe)
    if expected is None or not len(expected.opens):
        return ends
    place = np.minimum(np.searchsorted(expected.opens, stamps), len(expected.opens) - 1)
    return np.where(expected.opens[place] == stamps, expected.closes[place], ends)


@dataclass(frozen=True, eq=False)
class Sessions:
    """The sessions of one market over a range of dates, in time order; arrays of one length.

    Attributes:
        labels: 00:00 UTC of the date that the session belongs to.
        anchors: where the intraday slots are counted from, at or before the open.
        opens: first instant of trading.
        closes: first instant after trading.
        break_starts: first instant of the break within the session; its close where it has none.
        break_ends: first instant after the break; the session's close where it has none.

    Raises:
        DataError: the arrays differ in length, or sessions overlap or are out of order.
    """

    labels: np.ndarray
    anchors: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    break_starts: np.ndarray
    break_ends: np.ndarray

    def __post_init__(self) -> None:
        arrays = (
            self.labels, self.anchors, self.opens, self.closes, self.break_starts, self.break_ends
        )  # fmt: skip
        if len({len(array) for array in arrays}) != 1:
            raise DataError("the arrays of the sessions differ in length; each session needs all")
        if (self.anchors > self.opens).any() or (self.opens >= self.closes).any():
            raise DataError("a session must open at or after its anchor and close after its open")
        if (self.closes[:-1] > self.opens[1:]).any() or (np.diff(self.labels) <= 0).any():
            raise DataError("sessions must be in time order and must not overlap")

    @classmethod
    def simple(
        cls,
        labels: np.ndarray,
        opens: np.ndarray,
        closes: np.ndarray,
        anchors: np.ndarray | None = None,
    ) -> Sessions:
        """Sessions without breaks, anchored at their opens unless told otherwise."""
        return cls(labels, opens if anchors is None else anchors, opens, closes, closes, closes)

    @classmethod
    def around_the_clock(cls, start: int, end: int) -> Sessions:
        """The UTC days that overlap ``[start, end)``: a market that never closes."""
        first, last = start // MICROSECONDS_PER_DAY, -(-end // MICROSECONDS_PER_DAY)
        days = np.arange(first, max(first, last), dtype=np.int64) * MICROSECONDS_PER_DAY
        return cls.simple(days, days, days + MICROSECONDS_PER_DAY)

    def __len__(self) -> int:
        return len(self.labels)

    def grid(self, timeframe: str) -> np.ndarray:
        """Open times of all bars that these sessions imply, shape (n_bars,), increasing.

        A slot counts when any part of it lies between open and close and outside the break.
        """
        if timeframe == "1d":
            return self.labels.copy()
        step = microseconds(timeframe)
        first, count = self._slots(step)
        session = np.repeat(np.arange(len(self)), count)
        # Position within the session: 0, 1, ... for each of its slots.
        position = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        stamps = first[session] + position * step
        resting = (stamps >= self.break_starts[session]) & (
            stamps + step <= self.break_ends[session]
        )
        return stamps[~resting]

    def locate(self, stamps: np.ndarray, timeframe: str) -> np.ndarray:
        """Position of the session that each bar belongs to, -1 for none; shape of ``stamps``.

        A bar belongs to a session when its label lies on or after the session's first slot and
        before the close; a daily bar when its label is that of the session.
        """
        if not len(self):
            return np.full(len(stamps), -1, dtype=np.int64)
        if timeframe == "1d":
            found = np.searchsorted(self.labels, stamps, side="right") - 1
            valid = (found >= 0) & (self.labels[found] == stamps)
        else:
            first, _ = self._slots(microseconds(timeframe))
            found = np.searchsorted(first, stamps, side="right") - 1
            valid = (found >= 0) & (stamps < self.closes[found])
        return np.where(valid, found, -1)

    def close_times(self, stamps: np.ndarray, timeframe: str) -> np.ndarray:
        """First instant after each bar: the end of its slot, or the session's close if earlier.

        Raises:
            DataError: a bar belongs to no session.
        """
        session = self.locate(stamps, timeframe)
        require_located(stamps, session, timeframe)
        closes = self.closes[session]
        return closes if timeframe == "1d" else np.minimum(stamps + microseconds(timeframe), closes)

    def expected(self, timeframe: str, start: int, end: int) -> ExpectedBars:
        """The bars of these sessions that are labelled within ``[start, end)``."""
        opens = self.grid(timeframe)
        opens = opens[np.searchsorted(opens, start) : np.searchsorted(opens, end)]
        return ExpectedBars(opens, self.close_times(opens, timeframe))

    def _slots(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """First slot of each session that overlaps its trading, and how many there are."""
        first = self.anchors + (self.opens - self.anchors) // step * step
        return first, -(-(self.closes - first) // step)


def require_located(stamps: np.ndarray, session: np.ndarray, timeframe: str) -> None:
    """Refuse bars outside every session.

    Raises:
        DataError: names the first such bar and how many there are.
    """
    outside = np.flatnonzero(session < 0)
    if outside.size:
        raise DataError(
            f"the {timeframe} bar at {instant(stamps[outside[0]])} belongs to no session of the "
            f"calendar ({outside.size} of {len(stamps)} bars); put such bars aside first"
        )


def instant(stamp: SupportsInt) -> str:
    """An instant as a message shows it: ``2024-03-08 14:30 UTC``."""
    text = str(np.datetime64(int(stamp), "us")).replace("T", " ")
    return f"{text.removesuffix('.000000').removesuffix(':00')} UTC"
