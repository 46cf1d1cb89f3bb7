"""Side tables: rows of a source, in the form in which they are stored and joined to bars.

What makes a table of what a source has: one row for each instant, nothing twice, nothing from the
future. Reading the vendor is the business of :mod:`hf_resources.side_sources`, how rows meet bars
that of :mod:`hf_plugins.joins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_plugins.timeframes import EVENT
from hf_resources.chunks import Staged
from hf_resources.datasets import Dataset
from hf_resources.side_sources.base import STAMP, SideSource
from hf_resources.sources.remarks import gathered, remark
from hf_resources.store import DatasetStore


@dataclass(frozen=True)
class SideRows:
    """The outcome of one fetch, ready to publish.

    Attributes:
        staged: the table.
        fetched_at: when the source was asked.
        rows_before: of the table that stood.
        notes: what was remarked.
    """

    staged: Staged
    fetched_at: datetime
    rows_before: int
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Plain values for the event."""
        rows = sum(chunk.rows for chunk in self.staged.chunks)
        return {"fetched_at": self.fetched_at.isoformat(), "rows_added": rows - self.rows_before}


def collect(
    store: DatasetStore,
    source: SideSource,
    symbol: str | None,
    *,
    now: datetime,
    head: Dataset | None,
    whole: bool = False,
) -> SideRows:
    """Fetch what a source has, on top of what is known where it can be asked for the end alone.

    Args:
        store: holds the known table.
        source: of the rows.
        symbol: whose; None for a table of the market.
        now: the clock, timezone-aware.
        head: the known table; None if there is none.
        whole: fetch all, although the source could send the end alone.

    Raises:
        ConfigurationError: the source does not have that symbol.
        DataError: what it has cannot be read, or is of the future.
    """
    since = None
    if head is not None and head.end_date is not None and source.overlap is not None and not whole:
        since = head.end_date.replace(microsecond=0) - source.overlap
    with gathered() as remarks:
        fetched = source.fetch(symbol, now, since)
        _check(source, fetched, now)
        if head is not None and since is not None:
            known = store.read(head, list(source.columns), end=since)
            fetched = pd.concat([known, fetched])
        frame = one_row_an_instant(without_repeats(fetched))
    return SideRows(
        store.stage(frame, EVENT),
        now,
        head.row_count if head is not None else 0,
        remarks.sentences(),
    )


def without_repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without those that say the same at the same instant, as one article in two files."""
    again = frame.reset_index().duplicated().to_numpy()
    if again.any():
        remark("rows that repeat one of the same instant", int(again.sum()))
    return frame.loc[~again]


def one_row_an_instant(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in time order with each an instant of its own, for that is how rows are told apart.

    Of several of the same instant, each is a microsecond after the one before: later than it was,
    never earlier.
    """
    stamps = pd.DatetimeIndex(frame.index).as_unit("us").asi8
    steps = np.arange(len(stamps))
    moved = np.maximum.accumulate(stamps - steps) + steps if len(stamps) else stamps
    index = pd.DatetimeIndex(moved.astype("datetime64[us]"), name="timestamp").tz_localize("UTC")
    return frame.set_axis(index, axis=0)


def _check(source: SideSource, frame: pd.DataFrame, now: datetime) -> None:
    """Hold a source to its contract."""
    if str(frame.index.dtype) != STAMP or list(frame.columns) != list(source.columns):
        raise TypeError(
            f"source '{source.key}' returned {frame.index.dtype} with {list(frame.columns)}; it "
            f"must be {STAMP} with {list(source.columns)}"
        )
    if not frame.index.is_monotonic_increasing:
        raise TypeError(f"source '{source.key}' returned rows that are not in time order")
    if len(frame) and frame.index[-1] > pd.Timestamp(now):
        raise DataError(
            f"source '{source.key}': a row is known from {frame.index[-1]} on, and now it is "
            f"{now.isoformat()}; rows of the future cannot be taken"
        )
