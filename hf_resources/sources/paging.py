"""How a history is read in pieces that can be trusted one by one.

A vendor serves a history in pages, and pages go wrong: one comes twice, or in the wrong order, or
overlaps the one before, or is empty although there are bars. Each page that leaves this module is
final, because what was stored of it is never asked for again. Therefore a page is asked for by the
window of time that it must cover, and believed only if it answers that question. What a request
looks like belongs to the vendor's module, retries to :mod:`hf_resources.sources.http`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_resources.sources.http import BadReplyError
from hf_resources.sources.remarks import remark

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Page:
    """The answer to "which bars open in [start, stop)?".

    ``bars`` are as the vendor sent them: perhaps unsorted, repeated, or with bars from before the
    window. The window is known to be complete before ``reached``; ``moment`` is the vendor's clock.
    """

    bars: pd.DataFrame
    reached: datetime
    moment: datetime


def walk(
    ask: Callable[[datetime, datetime], Page],
    first: Callable[[datetime | None], datetime | None],
    start: datetime | None,
    end: datetime | None,
    width: timedelta,
    owner: str,
) -> Iterator[pd.DataFrame]:
    """Yield the bars that open in ``[start, end)``, in order, each once, never an empty page.

    Bars from before a window are dropped if they are the ones already seen. A window that is said
    to be empty while there are later bars is skipped up to the next bar, and asked for again if the
    next bar lies in it. Reading ends at ``end`` or at the vendor's present.

    Args:
        ask: the page of a window.
        first: open time of the first bar at or after an instant (None: ever); None if there is
            none.
        start: first open time, on the grid of the timeframe; None for the first bar there is.
        end: open time to stop before, on the grid; None for the vendor's present.
        width: length of a window.
        owner: source, symbol and timeframe, for messages.

    Raises:
        DataError: a bar came with two contents, or a window stays empty that has a bar.
    """
    cursor = first(None) if start is None else start
    seen: pd.DataFrame | None = None
    doubted: datetime | None = None
    while cursor is not None and (end is None or cursor < end):
        stop = cursor + width if end is None else min(cursor + width, end)
        page = ask(cursor, stop)
        bars = _new(page.bars, cursor, seen, owner)
        if not bars.empty:
            yield bars
            seen, cursor = bars, page.reached
            if cursor > page.moment:
                return
            continue
        if stop > page.moment:
            return  # Nothing new. If that was wrong, nothing is lost: the next run starts here.
        following = first(cursor)
        if following is None or following >= stop:
            cursor = following
        elif doubted == cursor:
            raise DataError(
                f"{owner}: the vendor returns no bars from {cursor:%Y-%m-%d %H:%M} to "
                f"{stop:%Y-%m-%d %H:%M} UTC, and yet has one at {following:%Y-%m-%d %H:%M}; run "
                "again later"
            )
        else:
            remark("pages that were empty although there are bars, and were asked for again")
            doubted = cursor


def in_window(opens: pd.DatetimeIndex, start: datetime, stop: datetime) -> None:
    """Check that bars can be the answer for ``[start, stop)``; bars from just before are allowed.

    Raises:
        BadReplyError: they are of another window.
    """
    if len(opens) == 0:
        return
    first, last = instant(opens.min()), instant(opens.max())
    if not start <= last < stop:
        raise BadReplyError(
            f"has bars from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "
            f"which is not the page asked for ({start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M})"
        )


def tidy(bars: pd.DataFrame, owner: str) -> pd.DataFrame:
    """The bars in time order, exact repetitions dropped.

    Raises:
        DataError: two bars of the same open time differ.
    """
    if not bars.index.is_monotonic_increasing:
        remark("pages whose bars were not in order, and were sorted")
        bars = bars.sort_index(kind="stable")
    repeated = bars.index.duplicated(keep="first")
    if not repeated.any():
        return bars
    kept = bars.loc[~repeated]
    _same(bars.loc[repeated], kept, owner)
    remark(
        "bars that came twice in a page, with the same content, and count once",
        len(bars) - len(kept),
    )
    return kept


def on_grid(moment: datetime | None, step: timedelta) -> datetime | None:
    """The first multiple of ``step`` (counted from 1970-01-01 UTC) at or after a moment."""
    return None if moment is None else EPOCH - (EPOCH - moment) // step * step


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def instant(stamp: object) -> datetime:
    """An entry of a time index as a plain datetime in UTC, exact to the microsecond."""
    return cast(pd.Timestamp, stamp).to_pydatetime()


def earliest(opens: pd.DatetimeIndex, at: datetime | None) -> datetime | None:
    """The first open time at or after ``at`` (None: of all), None if there is none."""
    later = opens if at is None else opens[opens >= at]
    return instant(later.min()) if len(later) else None


def number(value: object, name: str) -> float:
    """A finite number that a vendor sent as a number or as text.

    Raises:
        BadReplyError: it is neither.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            parsed = float(value)
        except ValueError:
            parsed = np.nan
        if np.isfinite(parsed):
            return parsed
    raise BadReplyError(f"has {name} {value!r}, which is no number")


def instants(stamps: list[int]) -> pd.DatetimeIndex:
    """Milliseconds since 1970-01-01 UTC as the index of bars."""
    values = np.array(stamps, dtype="int64")
    return pd.DatetimeIndex(
        pd.to_datetime(values, unit="ms", utc=True).as_unit("us"), name="timestamp"
    )


def _new(
    bars: pd.DataFrame, start: datetime, seen: pd.DataFrame | None, owner: str
) -> pd.DataFrame:
    bars = tidy(bars, owner)
    before = bars.index < start
    if seen is not None:
        _same(bars.loc[before], seen, owner)
    return bars.loc[~before]


def _same(again: pd.DataFrame, before: pd.DataFrame, owner: str) -> None:
    """Refuse bars that are in ``before`` with another content."""
    again = again.loc[again.index.isin(before.index)]
    for name in again.columns:
        old = before.loc[again.index, name].to_numpy(dtype="float64")
        new = again[name].to_numpy(dtype="float64")
        rows = np.flatnonzero((old != new) & ~(np.isnan(old) & np.isnan(new)))
        if len(rows):
            at = instant(again.index[rows[0]])
            raise DataError(
                f"{owner}: the bar at {at:%Y-%m-%d %H:%M} UTC came twice, with "
                f"{name} {float(old[rows[0]])!r} and then {float(new[rows[0]])!r}; the vendor "
                "changed it while it was read, or its pages contradict each other: run again"
            )
