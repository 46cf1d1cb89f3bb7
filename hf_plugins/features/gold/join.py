"""The input: six instruments, joined on the minutes in which all of them have a bar.

Here: from frames to arrays. What is computed from the arrays belongs to the families. No price is
ever carried forward: where an instrument has no bar, there is no joined bar, and windows run on
across the gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, listing, nearest
from hf_plugins.kernels.gold.alignment import common

GOLD: Final = "XAUUSD"
PREFIXES: Final = {
    GOLD: "xau",
    "XAGUSD": "xag",
    "DXY": "dxy",
    "NAS100": "nas",
    "US500": "us500",
    "VIX": "vix",
}
"""The six instruments, and how the columns of all but gold begin in one frame of all."""
PRICES: Final = ("open", "high", "low", "close")

SERIES: Final = {
    "opened": (GOLD, "open"),
    "high": (GOLD, "high"),
    "low": (GOLD, "low"),
    "close": (GOLD, "close"),
    "volume": (GOLD, "volume"),
    "xag_close": ("XAGUSD", "close"),
    "dxy_close": ("DXY", "close"),
    "nas_close": ("NAS100", "close"),
    "us500_close": ("US500", "close"),
    "vix_close": ("VIX", "close"),
}
"""What kernels call a series, with its instrument and column."""
COLUMNS: Final = {
    name: column if symbol == GOLD else f"{PREFIXES[symbol]}_{column}"
    for name, (symbol, column) in SERIES.items()
}
"""What a column of one frame of all instruments is called, by series: gold's plainly, as bars are,
those of the others after their instrument."""
CLOCKS: Final = ("minute", "london_minute")
"""Series that come from the time stamps: epoch minutes, by UTC and by the clock of London."""

_MINUTE: Final = 60_000_000_000
_HOUR: Final = 60
_LONDON: Final = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Bars:
    """Joined bars.

    ``index``: open times, UTC, strictly increasing, named ``timestamp``. ``series``: float64 of
    shape (n_bars,) by kernel name (:data:`SERIES`); prices are positive and finite, volume is
    finite and not negative.
    """

    index: pd.DatetimeIndex
    series: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.index)


def join(frames: Mapping[str, pd.DataFrame]) -> Bars:
    """Inner join of the six instruments on time.

    Args:
        frames: by instrument (:data:`PREFIXES`); others are not looked at. Index: open times with a
            time zone, in any order. Columns open, high, low, close, volume for gold; close for the
            others, whose open, high and low count where they are there.

    Returns:
        The joined bars, shape (n_bars,) each. A bar is absent where one of its prices is missing,
        not finite or not positive, or its volume infinite or negative; of several bars with one
        time stamp the last one counts. Gold volume that is missing is 0.

    Raises:
        DataError: an instrument or a column is missing, a column is not numeric, time stamps have
            no time zone, or bars are closer than a minute.
    """
    present = {symbol: _present(symbol, _frame(frames, symbol)) for symbol in PREFIXES}
    times = present[GOLD].times
    rows = {GOLD: np.arange(times.size)}
    for symbol, bars in present.items():
        if symbol == GOLD:
            continue
        kept, own = common(times, bars.times)
        if kept.size < times.size:
            times = times[kept]
            rows = {other: positions[kept] for other, positions in rows.items()}
        rows[symbol] = own
    series = {
        name: present[symbol].columns[column][rows[symbol]]
        for name, (symbol, column) in SERIES.items()
    }
    index = pd.DatetimeIndex(times.view("datetime64[ns]"), name="timestamp").tz_localize("UTC")
    crowded = np.flatnonzero(times[1:] // _MINUTE == times[:-1] // _MINUTE)
    if crowded.size:
        raise DataError(
            "gold features are made of one-minute bars, but two joined bars lie within one minute: "
            f"{index[crowded[0]]} and {index[crowded[0] + 1]}"
        )
    return Bars(index, series)


def clocks(index: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """The series :data:`CLOCKS` of time stamps: int64 of shape (n_bars,)."""
    minute = index.as_unit("ns").asi8 // _MINUTE
    # The clock of London changes on the hour only, and asking for it costs more than the rest.
    hours, place = _runs(minute // _HOUR)
    offset = np.array([london_offset(int(hour) * _HOUR) for hour in hours], np.int64)
    return {"minute": minute, "london_minute": minute + offset[place]}


def london_offset(minute: int) -> int:
    """Minutes by which the clock of London is ahead of UTC, by the time zone database."""
    offset = datetime.fromtimestamp(minute * 60, _LONDON).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


@dataclass(frozen=True)
class _Present:
    """The bars of one instrument that count: int64 UTC nanoseconds, and columns."""

    times: np.ndarray
    columns: dict[str, np.ndarray]


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first value of each run of equal ones, and the number of its run for each value."""
    change = np.ones(values.size, dtype=bool)
    change[1:] = values[1:] != values[:-1]
    return values[change], np.cumsum(change) - 1


def _frame(frames: Mapping[str, pd.DataFrame], symbol: str) -> pd.DataFrame:
    if symbol not in frames:
        raise DataError(
            f"gold features need the instrument '{symbol}', which is not among the frames "
            f"({listing(map(str, frames))}).{nearest(symbol, map(str, frames))}"
        )
    frame = frames[symbol]
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"the bars of {symbol} are a {type(frame).__name__}, not a DataFrame")
    return frame


def _present(symbol: str, frame: pd.DataFrame) -> _Present:
    times = _times(symbol, frame.index)
    needed = (*PRICES, "volume") if symbol == GOLD else ("close",)
    columns = {
        name: _column(symbol, frame, name)
        for name in (*PRICES, "volume")
        if name in needed or (name in PRICES and name in frame.columns)
    }
    counts = np.ones(times.size, dtype=bool)
    for name in PRICES:
        if name in columns:
            counts &= (columns[name] > 0.0) & (columns[name] < np.inf)
    if "volume" in columns:
        volume = columns["volume"]
        columns["volume"] = np.where(np.isnan(volume), 0.0, volume)
        counts &= (columns["volume"] >= 0.0) & (columns["volume"] < np.inf)
    if not counts.all():
        times = times[counts]
        columns = {name: values[counts] for name, values in columns.items()}
    if not bool((times[1:] > times[:-1]).all()):
        order = np.argsort(times, kind="stable")
        ordered = times[order]
        last = np.append(ordered[1:] != ordered[:-1], True)  # of equal times, the last given
        order = order[last]
        times = times[order]
        columns = {name: values[order] for name, values in columns.items()}
    return _Present(times, columns)


def _times(symbol: str, index: pd.Index) -> np.ndarray:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        found = (
            "time stamps without a time zone"
            if isinstance(index, pd.DatetimeIndex)
            else f"an index of type {index.dtype}"
        )
        raise DataError(
            f"the bars of {symbol} have {found}; they need a DatetimeIndex with one time zone, "
            "which is converted to UTC (servers of MetaTrader mostly run on Athens time)"
        )
    if index.hasnans:
        raise DataError(f"the bars of {symbol} have a time stamp that is null")
    return index.as_unit("ns").asi8


def _column(symbol: str, frame: pd.DataFrame, name: str) -> np.ndarray:
    if name not in frame.columns:
        raise DataError(
            f"the bars of {symbol} have no column '{name}'; they have "
            f"{listing(map(str, frame.columns))}.{nearest(name, map(str, frame.columns))}"
        )
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        raise DataError(f"the bars of {symbol} have the column '{name}' more than once")
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(
            f"the column '{name}' of {symbol} has type {column.dtype}, which is not numeric"
        ) from None
