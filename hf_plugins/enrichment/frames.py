"""Frames of bars as arrays, for the kernels of the enrichment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, listing
from hf_plugins.sessions import instant, microseconds


def bar_times(bars: pd.DataFrame, timeframe: str) -> np.ndarray:
    """Open times as int64 microseconds UTC.

    Raises:
        DataError: the index is not in UTC, or two bars are less than a timeframe apart. Look-backs
            in bars are derived from spans of time, which that rule makes exact.
        ConfigurationError: the timeframe is unknown.
    """
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise DataError("bars must be indexed by their open time in UTC")
    times = index.as_unit("us").asi8
    close = np.flatnonzero(np.diff(times) < microseconds(timeframe))
    if close.size:
        first = close[0]
        raise DataError(
            f"the {timeframe} bar at {instant(times[first + 1])} opens less than {timeframe} after "
            f"the one at {instant(times[first])} ({close.size} rows); bars must be sorted by time "
            "and must not overlap"
        )
    return times


def continued(times: np.ndarray, last: int | None) -> int:
    """Position of the first bar after the one that a state ends at.

    Raises:
        DataError: there are bars before the new ones although the state is empty, or none of them
            is the one that the state ends at.
    """
    if last is None:
        return 0
    new = int(np.searchsorted(times, last, side="right"))
    if not new or times[new - 1] != last:
        raise DataError(
            f"the state ends at {instant(last)}, and that bar is not among those given; give the "
            "bars up to it as context"
        )
    return new


def column(bars: pd.DataFrame, name: str) -> np.ndarray:
    """A required column, float64, contiguous and writable.

    Raises:
        DataError: the column is missing.
    """
    if name not in bars.columns:
        present = listing(str(each) for each in bars.columns)
        raise DataError(f"column '{name}' is missing; the bars have: {present}")
    return np.array(bars[name], dtype=np.float64)


def optional(bars: pd.DataFrame, name: str) -> np.ndarray:
    """A column that not every venue has: all NaN where it is absent."""
    return column(bars, name) if name in bars.columns else np.full(len(bars), np.nan)
