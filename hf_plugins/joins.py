"""Other rows beside the bars of a partition: joined by what was known when a bar closed.

A join never looks at calendar dates and never fills a gap: a row is joined to a bar if it was known
when that bar closed, or not at all. Which rows a feature wants is declared by its plugin
(:class:`~hf_plugins.base.Side`); where they are kept belongs in ``hf_resources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import numpy as np
import pandas as pd

from hf_plugins.base import Side
from hf_plugins.errors import DataError
from hf_plugins.timeframes import EVENT, duration

WINDOWED: Final = ("sum", "count")
"""Joins that look at what became known since the row before closed, not at the last row alone."""
_DAY: Final = pd.Timedelta(days=1).value


def known_at(index: pd.DatetimeIndex, timeframe: str, lag_minutes: int = 0) -> np.ndarray:
    """When rows are known: at their close, or a lag after it. UTC nanoseconds, shape (n_rows,)."""
    lag = pd.Timedelta(minutes=lag_minutes) + duration(timeframe)
    return (index.as_unit("ns") + lag).asi8


def joined(
    own: pd.DataFrame,
    sides: Mapping[Side, pd.DataFrame],
    timeframe: str,
    closes: np.ndarray | None = None,
) -> pd.DataFrame:
    """The frame that a feature reads: its own bars, and beside them what it declares.

    Args:
        own: bars of the partition, indexed by UTC open time, strictly increasing.
        sides: the rows of each side, indexed by the UTC open time of their bars (those of a table
            by the instant at which they are known), with the columns that the side names; in the
            order in which their columns are to follow.
        timeframe: of the own bars.
        closes: when trading in each own bar ended, UTC nanoseconds, shape (n_bars,): what a table
            says then or later, after hours, counts for the next bar. None: at ``timestamp +
            timeframe``.

    Returns:
        The rows of ``own``, without those for which an inner side has none; the columns of ``own``
        and then :attr:`Side.names` of each side, float64, null where nothing was known. For the
        first row, ``sum`` and ``count`` go back one timeframe; where no row of a table was known
        yet they are null, later a count is 0 and a sum null if there was nothing to add.

    Raises:
        DataError: an inner side has another timeframe, or a lag, or is a table: such rows are never
            those of the same close; a sum or count of what is no table; an age of what is not
            joined asof.
    """
    index = cast(pd.DatetimeIndex, own.index)
    for side, frame in sides.items():
        _check(side, timeframe)
        if side.join == "inner":
            index = cast(pd.DatetimeIndex, index.intersection(frame.index))
    kept = own if len(index) == len(own) else own.loc[index]
    slots = known_at(index, timeframe)
    if closes is None:
        ends = slots
    else:
        ends = closes if kept is own else closes[own.index.get_indexer(index)]
    values: dict[str, np.ndarray] = {}
    for side, frame in sides.items():
        rows = cast(pd.DatetimeIndex, frame.index)
        columns = {
            name: frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
            for column, name in zip(side.columns, side.names, strict=not side.age)
        }
        if side.join == "inner":
            place = rows.get_indexer(index)
            values |= {name: _at(place, given) for name, given in columns.items()}
            continue
        of = EVENT if side.table else side.timeframe or timeframe
        known = known_at(rows, of, side.lag_minutes)
        # A bar of the same close is known with it; what is said at that instant is said too late.
        until = ends - 1 if side.table else slots
        place = np.searchsorted(known, until, side="right")
        if side.join == "asof":
            values |= {name: _at(place - 1, given) for name, given in columns.items()}
            if side.age:
                closed = ends if side.table else slots
                values[side.names[-1]] = _age(place - 1, known_at(rows, of), closed)
            continue
        length = pd.Timedelta(duration(timeframe)).value
        before = np.searchsorted(known, until[:1] - length, side="right")
        since = np.concatenate([before, place])[: len(place)]
        for name, given in columns.items():
            values[name] = _between(since, place, given, side.join)
    if not values:
        return kept
    return pd.concat([kept, pd.DataFrame(values, index=index)], axis=1)


def _check(side: Side, timeframe: str) -> None:
    if side.join == "inner" and (
        side.table or (side.timeframe or timeframe) != timeframe or side.lag_minutes
    ):
        raise DataError(
            f"the side '{side.prefix}' is joined inner, which needs rows of {timeframe} "
            "that are known at the close; join it asof"
        )
    if side.age and side.join != "asof":
        raise DataError(
            f"the side '{side.prefix}' is joined {side.join}, which has no age; join it asof"
        )
    if side.join in WINDOWED and not side.table:
        raise DataError(
            f"the side '{side.prefix}' is joined by {side.join}, which needs a side table; join it "
            "asof or inner"
        )


def _at(place: np.ndarray, given: np.ndarray) -> np.ndarray:
    found = np.full(len(place), np.nan)
    found[place >= 0] = given[place[place >= 0]]
    return found


def _age(place: np.ndarray, stamps: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Days from the stamp of each joined row to the close; a lag is part of it."""
    found = np.full(len(place), np.nan)
    there = place >= 0
    found[there] = (until[there] - stamps[place[there]]) / _DAY
    return found


def _between(since: np.ndarray, until: np.ndarray, given: np.ndarray, join: str) -> np.ndarray:
    """Of the rows ``[since, until)`` for each bar: how many are not null, or their sum."""
    bar = np.repeat(np.arange(len(until)), until - since)
    rows = given[since[0] : until[-1]] if len(until) else given[:0]
    there = ~np.isnan(rows)
    count = np.bincount(bar[there], minlength=len(until)).astype(np.float64)
    if join == "count":
        count[until == 0] = np.nan  # whether there was anything before the table begins is unknown
        return count
    # Added one by one in order of time: a tail has the bits of the whole.
    total = np.bincount(bar[there], weights=rows[there], minlength=len(until)).astype(np.float64)
    total[count == 0] = np.nan
    return total
