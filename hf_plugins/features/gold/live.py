"""Gold features bar by bar: the same kernels as the whole history, one row at a time.

The arrays of the last bars are the state; there is no other formula for a live value than for a
past one, so a live value has the bits of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Self, cast

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, listing, unknown
from hf_plugins.features.gold.families import FAMILIES, families
from hf_plugins.features.gold.inversion import INVERTED
from hf_plugins.features.gold.join import (
    CLOCKS,
    PREFIXES,
    PRICES,
    SERIES,
    Bars,
    join,
    london_offset,
)
from hf_plugins.features.gold.tape import Tape

HISTORY: Final = 9_000
"""Bars that are kept. No value looks back further than 8,698 but for Wilder's averages, in which a
bar that old has no weight left."""
_ROOM: Final = 2 * HISTORY
_MINUTE: Final = 60_000_000_000

Quotes = Mapping[str, Mapping[str, float | None]]
"""One bar of each instrument: open, high, low, close, volume; None for what is missing."""


class LiveFeatures:
    """The features of the newest bar, kept up as bars come in.

    >>> live = LiveFeatures(frames)                   # a history; 9,000 joined bars are enough
    >>> values = live.update(stamp, {"XAUUSD": {"open": 2031.2, ...}, "XAGUSD": {...}, ...})

    Values equal those of :func:`hf_plugins.features.gold.compute.compute` on all bars so far, bit
    for bit, whether the history was one bar or a year. A history that was cut to the last 9,000
    bars gives the same bits too, as nothing is left of the start of Wilder's averages by then (but
    for a gold price that stood still all along: gains and losses then keep the ratio they had).

    Args:
        frames: the history, as for ``compute``; None to start without one.
        alpha101: with the two features of the family alpha101.

    ``names``: names of the values, in the official order.
    """

    def __init__(
        self, frames: Mapping[str, pd.DataFrame] | None = None, *, alpha101: bool = True
    ) -> None:
        self._families = families(alpha101=alpha101)
        self.names = tuple(name for family in self._families for name in FAMILIES[family].names)
        self._tape = Tape(self._families, _ROOM)
        self._inverted = [row for row, name in enumerate(self.names) if name in INVERTED]
        self._start_over(0, None)
        if frames is not None:
            self._warm_up(join(frames))

    @property
    def last(self) -> pd.Timestamp | None:
        """Open time of the newest joined bar, UTC; None before the first."""
        if self._time is None:
            return None
        return cast(pd.Timestamp, pd.Timestamp(self._time, unit="ns", tz="UTC"))

    def update(self, timestamp: pd.Timestamp, bars: Quotes) -> np.ndarray | None:
        """Take in the bars of one minute.

        Args:
            timestamp: their open time, with a time zone, later than :attr:`last`.
            bars: a bar by instrument: all five columns for gold, close for the others, whose open,
                high and low count where they are there.

        Returns:
            float64 of shape (n_features,) in the order of :attr:`names`, NaN where a window is not
            there yet. None, with nothing changed, where this minute is no joined bar: an instrument
            has no bar, or one whose price is missing, not finite or not positive.

        Raises:
            DataError: the time stamp is not later than the last one or has no time zone, an
                instrument is unknown, or a column is missing; nothing is changed.
        """
        time = self._next(timestamp)
        values = _joined(bars)
        if values is None:
            return None
        if self._rows == self._tape.capacity:
            self._shift()
        row = self._rows
        for name, value in values.items():
            self._tape.series[name][row] = value
        minute = time // _MINUTE
        self._tape.series["minute"][row] = minute
        self._tape.series["london_minute"][row] = minute + london_offset(minute)
        self._tape.values[:, row] = np.nan
        for kernel, arguments in self._calls:
            kernel(row, row + 1, *arguments)
        self._rows = row + 1
        self._time = time
        found = self._tape.features[:, row].copy()
        found[self._inverted] = 0.0 - found[self._inverted]
        return found

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to continue, as plain arrays (``numpy.savez(path, **state)``).

        ``last``: int64 of shape (0,) or (1,), UTC nanoseconds. ``families``: names. The rest: the
        series of the last bars, by name.
        """
        first = max(self._rows - HISTORY, 0)
        return {
            "last": np.array([] if self._time is None else [self._time], np.int64),
            "families": np.array(self._families),
            **{name: self._kept(name)[first : self._rows].copy() for name in self._carried()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Continue from :meth:`state`: later values are the same, bit for bit.

        Raises:
            DataError: the state is of other features, or incomplete.
        """
        chosen = tuple(map(str, state["families"])) if "families" in state else ()
        live = next(
            (
                cls(alpha101=alpha101)
                for alpha101 in (True, False)
                if families(alpha101=alpha101) == chosen
            ),
            None,
        )
        needed = {"last", "families", *live._carried()} if live else set()
        if live is None or needed != set(state):
            raise DataError(
                "the saved state is not one of these gold features (missing: "
                f"{listing(needed - set(state))}; not known: {listing(set(state) - needed)}): "
                "start from bars instead"
            )
        rows = state["minute"].shape[0]
        for name in live._carried():
            if state[name].shape[0] != rows:
                raise DataError(
                    f"the saved state does not fit together: '{name}' has {state[name].shape[0]} "
                    f"rows, 'minute' has {rows}"
                )
        live._tape.features[:, :rows] = np.nan
        for name in live._carried():
            live._kept(name)[:rows] = state[name]
        last = state["last"]
        live._start_over(rows, int(last[0]) if last.size else None)
        return live

    def _warm_up(self, bars: Bars) -> None:
        # Wilder's averages start where those of a batch over the same bars do. Of all other series
        # no more is computed than the rows to come look back on.
        history = Tape(self._families, len(bars))
        history.put(bars)
        history.resume(len(bars), len(bars), {})
        first = max(len(bars) - HISTORY, 0)
        self._tape.features[:, : len(bars) - first] = np.nan
        for name in self._carried():
            self._kept(name)[: len(bars) - first] = _by_row(history.series[name])[first:]
        times = bars.index.as_unit("ns").asi8
        self._start_over(len(bars) - first, int(times[-1]) if len(bars) else None)

    def _start_over(self, rows: int, time: int | None) -> None:
        """Continue after so many rows, the last one of ``time``; kernels rebuild their state."""
        self._rows = rows
        self._time = time
        self._calls = [(step.kernel, self._tape.arguments(step)) for step in self._tape.steps]

    def _shift(self) -> None:
        for name in self._carried():
            kept = self._kept(name)
            kept[:HISTORY] = kept[self._rows - HISTORY : self._rows].copy()
        self._start_over(HISTORY, self._time)

    def _carried(self) -> tuple[str, ...]:
        """Series that later rows look back at."""
        steps = self._tape.steps
        read = {name for step in steps for name in step.reads}
        continued = {
            name
            for step in steps
            if step.in_order
            for name in ((step.block,) if step.block else step.writes)
        }
        return tuple(sorted({*SERIES, *CLOCKS} | read | continued))

    def _kept(self, name: str) -> np.ndarray:
        return _by_row(self._tape.series[name])

    def _next(self, timestamp: pd.Timestamp) -> int:
        """UTC nanoseconds of a time stamp that is later than the last minute."""
        stamp = pd.Timestamp(timestamp)
        if not isinstance(stamp, pd.Timestamp) or stamp.tz is None:
            raise DataError(f"the time stamp {timestamp} of a live bar has no time zone")
        time = stamp.as_unit("ns").value
        if self._time is not None and time // _MINUTE <= self._time // _MINUTE:
            raise DataError(
                f"the live bar of {stamp} is not later than the last one, of {self.last}; "
                "bars come in the order of time, one a minute, each once"
            )
        return time


def _by_row(series: np.ndarray) -> np.ndarray:
    """Rows of bars first: a block has one column a bar."""
    return series.T


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _joined(bars: Quotes) -> dict[str, float] | None:
    """Values of the series, or None where the minute is no joined bar."""
    values: dict[str, float] = {}
    counts = True
    for name, (symbol, column) in SERIES.items():
        bar = bars.get(symbol)
        if bar is None:
            counts = False
        elif column not in bar:
            raise DataError(f"the live bar of {symbol} has no '{column}'; it has {listing(bar)}")
        else:
            values[name] = _number(bar[column])
    for symbol, bar in bars.items():
        if symbol not in PREFIXES:
            raise DataError(unknown("instrument", symbol, PREFIXES))
        for column in PRICES:
            counts = counts and 0.0 < _number(bar.get(column, 1.0)) < math.inf
    if not counts:
        return None
    if math.isnan(values["volume"]):
        values["volume"] = 0.0
    return values if 0.0 <= values["volume"] < math.inf else None
