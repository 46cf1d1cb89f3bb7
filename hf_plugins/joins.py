"""Other rows beside the bars of a partition: joined by what was known when a bar closed.

A join never looks at calendar dates and never fills a gap: a row is joined to a bar if it was known
when that bar closed, or not at all. Which rows a feature wants is declared by its plugin
(:class:`~hf_plugins.base.Side`); where they are kept belongs in ``hf_resources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd

from hf_plugins.base import Side
from hf_plugins.errors import DataError
from hf_plugins.timeframes import duration


def known_at(index: pd.DatetimeIndex, timeframe: str, lag_minutes: int = 0) -> np.ndarray:
    """When rows are known: at their close, or a lag after it. UTC nanoseconds, shape (n_rows,)."""
    lag = pd.Timedelta(minutes=lag_minutes) + duration(timeframe)
    return (index.as_unit("ns") + lag).asi8


def joined(own: pd.DataFrame, sides: Mapping[Side, pd.DataFrame], timeframe: str) -> pd.DataFrame:
    """The frame that a feature reads: its own bars, and beside them what it declares.

    Args:
        own: bars of the partition, indexed by UTC open time, strictly increasing.
        sides: the rows of each side, indexed by the UTC open time of their bars, with the columns
            that the side names; in the order in which their columns are to follow.
        timeframe: of the own bars.

    Returns:
        The rows of ``own``, without those for which an inner side has none; the columns of ``own``
        and then :attr:`Side.names` of each side, float64, null where nothing was known.

    Raises:
        DataError: an inner side has another timeframe, or a lag: such rows are never those of the
            same close.
    """
    index = cast(pd.DatetimeIndex, own.index)
    for side, frame in sides.items():
        if side.join == "inner":
            if (side.timeframe or timeframe) != timeframe or side.lag_minutes:
                raise DataError(
                    f"the side '{side.prefix}' is joined inner, which needs rows of {timeframe} "
                    "that are known at the close; join it asof"
                )
            index = cast(pd.DatetimeIndex, index.intersection(frame.index))
    kept = own if len(index) == len(own) else own.loc[index]
    closes = known_at(index, timeframe)
    values: dict[str, np.ndarray] = {}
    for side, frame in sides.items():
        rows = cast(pd.DatetimeIndex, frame.index)
        if side.join == "inner":
            place = rows.get_indexer(index)
        else:
            known = known_at(rows, side.timeframe or timeframe, side.lag_minutes)
            place = np.searchsorted(known, closes, side="right") - 1
        for column, name in zip(side.columns, side.names, strict=True):
            found = np.full(len(index), np.nan)
            given = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
            found[place >= 0] = given[place[place >= 0]]
            values[name] = found
    if not values:
        return kept
    return pd.concat([kept, pd.DataFrame(values, index=index)], axis=1)
