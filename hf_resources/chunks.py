"""Calendar-aligned chunks: how a dataset is cut, named and compared with an older one.

Only arithmetic on frames, labels and digests belongs here; encoding is in ``parquet``, objects are
in ``lake``, rows are in ``catalog``. A chunk's boundaries depend on the calendar alone, so a longer
dataset of the same series has the same first chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_plugins.timeframes import EVENT, duration
from hf_plugins.versioning import combine_digests, frame_digests

Period = Literal["month", "quarter", "year", "decade", "century"]

# Sized for 10^4 to 10^5 rows in a chunk of a market that never closes.
PERIODS: Final[dict[str, Period]] = {
    "1m": "month",
    "5m": "quarter",
    "15m": "year",
    "30m": "year",
    "1h": "year",
    "4h": "decade",
    "1d": "century",
    EVENT: "year",
}


@dataclass(frozen=True)
class Chunk:
    """One stored piece of a dataset.

    Attributes:
        label: calendar period, such as ``2013-02``, ``2013-Q1``, ``2013``, ``201x``, ``20xx``.
        rows: number of rows, at least one.
        start: first timestamp.
        end: last timestamp.
        path: object in the lake; empty for a chunk that is only described.
        digests: digest of each column, the index under ``timestamp``.
    """

    label: str
    rows: int
    start: datetime
    end: datetime
    path: str
    digests: dict[str, str]

    @property
    def content_digest(self) -> str:
        """One digest over all columns, whatever their order."""
        return combine_digests(f"{name}={digest}" for name, digest in sorted(self.digests.items()))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as kept in the catalog."""
        return {
            **asdict(self),
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Chunk:
        """Inverse of :meth:`to_json`."""
        start, end = (datetime.fromisoformat(value[name]) for name in ("start", "end"))
        return cls(**{**value, "start": start, "end": end})


@dataclass(frozen=True)
class Staged:
    """Rows on their way into the store: chunks that are there already, and pieces that are new.

    Attributes:
        kept: chunks of an older dataset that stay as they are, in time order.
        pieces: described chunks with their rows, all later than those kept.
        columns: name and pandas type of each column.
    """

    kept: tuple[Chunk, ...]
    pieces: tuple[tuple[Chunk, pd.DataFrame], ...]
    columns: tuple[tuple[str, str], ...]

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks, in time order; those of the pieces have no path yet."""
        return [*self.kept, *(chunk for chunk, _ in self.pieces)]

    @property
    def digests(self) -> dict[str, str]:
        """See :func:`column_digests`."""
        return column_digests(self.chunks, [name for name, _ in self.columns])

    def grew_from(self, old: Sequence[Chunk], columns: Iterable[str] | None = None) -> bool:
        """Whether these rows are ``old`` with rows appended; see :func:`grew`.

        Raises:
            DataError: see :func:`grew`.
        """
        parts = {chunk.label: part for chunk, part in self.pieces}
        return grew(old, self.chunks, lambda chunk: parts[chunk.label], columns)


def split(frame: pd.DataFrame, timeframe: str) -> list[tuple[str, pd.DataFrame]]:
    """Cut a frame at the calendar boundaries of its timeframe; pieces are labelled, in order.

    Raises:
        ConfigurationError: the timeframe is unknown.
    """
    duration(timeframe)  # one sentence for an unknown timeframe, everywhere
    if not len(frame.index):
        return []
    months = _months(pd.DatetimeIndex(frame.index))
    periods = months // _MONTHS[PERIODS[timeframe]]
    starts = np.flatnonzero(np.diff(periods, prepend=periods[0] - 1))
    ends = [*starts[1:], len(frame)]
    return [
        (_label(int(months[first]), PERIODS[timeframe]), frame.iloc[first:last])
        for first, last in zip(starts, ends, strict=True)
    ]


def describe(frame: pd.DataFrame, timeframe: str) -> list[tuple[Chunk, pd.DataFrame]]:
    """Cut a frame and take the digests of each piece; paths are left empty."""
    pieces = []
    for label, part in split(frame, timeframe):
        start, end = (_datetime(part.index[position]) for position in (0, -1))
        pieces.append((Chunk(label, len(part), start, end, "", frame_digests(part)), part))
    return pieces


def column_digests(chunks: Sequence[Chunk], columns: Iterable[str]) -> dict[str, str]:
    """Digest of each column of a dataset, the index under ``timestamp``: labels and chunk digests.

    Made from the chunks, so that it can be had without reading data, and so that the part which an
    appended dataset shares with its predecessor is recognisable chunk by chunk.
    """
    return {
        name: combine_digests(f"{chunk.label}={chunk.digests[name]}" for chunk in chunks)
        for name in ["timestamp", *columns]
    }


def covering(
    chunks: Sequence[Chunk],
    start: datetime | None = None,
    end: datetime | None = None,
    last: int | None = None,
) -> list[Chunk]:
    """The chunks that hold the rows of ``[start, end)``, and of those the ``last`` ones at least.

    The chunk in which the range ends may hold rows beyond it, so it does not count.
    """
    found = [
        chunk
        for chunk in chunks
        if (start is None or chunk.end >= start) and (end is None or chunk.start < end)
    ]
    if last is None:
        return found
    rows, first = 0, len(found)
    while first and rows < last:
        first -= 1
        rows += found[first].rows if end is None or found[first].end < end else 0
    return found[first:]


def unchanged(
    old: Sequence[Chunk],
    new: Sequence[Chunk],
    load: Callable[[Chunk], pd.DataFrame],
    columns: Iterable[str],
) -> frozenset[str]:
    """Of some columns, those in which ``new`` is ``old`` with rows appended (none counts).

    Exact: full chunks are compared by digest, and the last chunk of ``old``, which may have been
    partial, with the digest of as many rows at the start of its successor. Time counts as a column
    ``timestamp``: where it differs, all do.

    Args:
        old: chunks of the older dataset, which has the columns.
        new: chunks of the newer dataset.
        load: yields the rows of a chunk of ``new``; called once at most.
        columns: the columns that matter.
    """
    names = {*columns} - {"timestamp"}
    if not old:
        return frozenset({*names, "timestamp"})
    if len(new) < len(old) or any(a.label != b.label for a, b in zip(old, new, strict=False)):
        return frozenset()
    same = {"timestamp", *names}
    for left, right in zip(old[:-1], new, strict=False):
        same = {name for name in same if left.digests[name] == right.digests.get(name)}
    last, candidate = old[-1], new[len(old) - 1]
    if last.rows == candidate.rows:
        found: Mapping[str, str] = candidate.digests
    elif candidate.rows > last.rows and "timestamp" in same:
        rows = load(candidate).iloc[: last.rows]
        found = frame_digests(rows[[name for name in rows.columns if name in same]])
    else:
        return frozenset()
    same = {name for name in same if last.digests[name] == found.get(name)}
    return frozenset(same) if "timestamp" in same else frozenset()


def grew(
    old: Sequence[Chunk],
    new: Sequence[Chunk],
    load: Callable[[Chunk], pd.DataFrame],
    columns: Iterable[str] | None = None,
) -> bool:
    """Whether ``new`` is ``old`` with rows appended in ``columns``, all of ``old`` by default.

    Raises:
        DataError: ``columns`` names one that ``old`` does not have.
    """
    if not old:
        return True
    names = {*(old[-1].digests if columns is None else columns)}
    if missing := sorted(names - {*old[-1].digests}):
        raise DataError(f"cannot compare the columns {missing}: the older dataset lacks them")
    return {"timestamp", *names} <= unchanged(old, new, load, names)


_MONTHS: Final[dict[Period, int]] = {
    "month": 1,
    "quarter": 3,
    "year": 12,
    "decade": 120,
    "century": 1200,
}


def _months(index: pd.DatetimeIndex) -> np.ndarray:
    naive = index.tz_convert("UTC").tz_localize(None).to_numpy()
    return naive.astype("datetime64[M]").astype("int64") + 1970 * 12


def _label(months: int, period: Period) -> str:
    year, month = divmod(months, 12)
    return {
        "month": f"{year:04d}-{month + 1:02d}",
        "quarter": f"{year:04d}-Q{month // 3 + 1}",
        "year": f"{year:04d}",
        "decade": f"{year // 10:03d}x",
        "century": f"{year // 100:02d}xx",
    }[period]


def _datetime(stamp: Any) -> datetime:
    # Bars open on whole seconds; what is below a microsecond would only make a warning.
    moment = pd.Timestamp(stamp).floor("us").to_pydatetime()
    assert isinstance(moment, datetime)  # noqa: S101  (an index that was checked has no NaT)
    return moment
