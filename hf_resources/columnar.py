"""Reading datasets as polars frames, without a detour through pandas.

Which objects are opened, how they are decoded and how a cached chunk is encoded belong here, and
how readers other than the lake itself find an object. What is read is decided in ``client``; the
store has its own reading for what computes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote, urlsplit

import polars as pl
from polars.exceptions import PolarsError

from hf_plugins.errors import DataError
from hf_resources.cache import Cache
from hf_resources.chunks import Chunk, covering
from hf_resources.datasets import Dataset
from hf_resources.lake import Lake
from hf_resources.parquet import INDEX
from hf_resources.store import DatasetStore

_STAMP: Final = pl.Datetime("ns", "UTC")
_TYPES: Final[dict[str, pl.DataType]] = {
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "Int64": pl.Int64(),
    "bool": pl.Boolean(),
    "boolean": pl.Boolean(),
    "str": pl.String(),
    "datetime64[ns, UTC]": _STAMP,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 2**63 - 1


def read(
    store: DatasetStore,
    cache: Cache | None,
    dataset: Dataset,
    chunks: Sequence[Chunk],
    columns: Sequence[str],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pl.DataFrame:
    """Rows of ``[start, end)``; opens only the chunks that hold them, and of these the columns.

    Args:
        store: where the dataset is.
        cache: asked first; None where there is none.
        dataset: what to read.
        chunks: those of the dataset.
        columns: of the dataset, in the order wanted.
        start: first timestamp wanted, timezone-aware.
        end: timestamp to stop before, timezone-aware.

    Returns:
        ``timestamp`` (UTC, nanoseconds), then ``columns``; a missing value is null, never NaN.

    Raises:
        DataError: an object is missing or damaged; the message names it.
    """
    wanted = covering(chunks, start, end)
    if not wanted:
        types = dict(dataset.columns)
        return pl.DataFrame(
            schema={INDEX: _STAMP, **{name: _TYPES[types[name]] for name in columns}}
        )
    try:
        if cache is None:
            whole = list(columns) == [name for name, _ in dataset.columns]
            frame = _scan(store.lake, wanted, columns, whole=whole).collect()
        else:
            frame = _through(cache, store.lake, dataset, chunks, wanted, columns)
        _check(frame, wanted)
    except (PolarsError, OSError, _WrongRowsError) as error:
        # This way of reading does not tell which object it was, the store's does.
        for chunk in wanted:
            store.read(dataset, columns, start=chunk.start, end=chunk.end + timedelta(seconds=1))
        raise DataError(f"{dataset.ref}: {error}") from error
    return _between(frame, start, end)


def addresses(lake: Lake, paths: Iterable[str]) -> list[str]:
    """Objects as other readers name them: a path of the file system, or ``s3://bucket/key``."""
    uris = map(lake.uri, paths)
    return [unquote(urlsplit(uri).path) if uri.startswith("file:") else uri for uri in uris]


def s3_endpoint() -> str:
    """Address of an S3 server that is not Amazon's, from the same variables as the lake's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


class _WrongRowsError(Exception):
    """An object does not hold as many rows as its chunk."""


def _scan(
    lake: Lake, chunks: Sequence[Chunk], columns: Sequence[str], *, whole: bool = False
) -> pl.LazyFrame:
    options: dict[str, str] | None = None
    sources = addresses(lake, (chunk.path for chunk in chunks))
    if sources[0].startswith("s3:") and (endpoint := s3_endpoint()):
        options = {
            "aws_endpoint_url": endpoint,
            "aws_allow_http": str(endpoint.startswith("http://")).lower(),
            "aws_virtual_hosted_style_request": "false",
        }
    # Paths are taken literally: a folder may have a bracket, or an equals sign, in its name.
    frame = pl.scan_parquet(
        sources,
        glob=False,
        hive_partitioning=False,
        storage_options=options,
        credential_provider=None,
    )
    # What holds just the columns wanted is as it should be; to say so would cost a twentieth.
    return frame if whole else frame.select([INDEX, *columns])


def _through(
    cache: Cache,
    lake: Lake,
    dataset: Dataset,
    chunks: Sequence[Chunk],
    wanted: Sequence[Chunk],
    columns: Sequence[str],
) -> pl.DataFrame:
    """Take what is cached, read the rest, and cache that."""
    canonical = sorted(columns)
    found = dict(enumerate(cache.get(dataset.ref, wanted, canonical)))
    frames = {
        position: frame
        for position, data in found.items()
        if data is not None and (frame := _decoded(data, wanted[position], canonical)) is not None
    }
    missing = [position for position in found if position not in frames]
    read_now = pl.collect_all([_scan(lake, [wanted[each]], canonical) for each in missing])
    for position, frame in zip(missing, read_now, strict=True):
        _check(frame, [wanted[position]])
        frames[position] = frame
    if missing and dataset.head_version is not None:
        # It may have become the head in a process that knows of no cache.
        cache.retain(dataset.ref, chunks)
    cache.put(
        dataset.ref,
        [(wanted[position], _encoded(frames[position])) for position in missing],
        canonical,
    )
    whole = pl.concat([frames[position] for position in found], rechunk=False)
    return whole.select([INDEX, *columns])


def _encoded(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_ipc(sink, compression="lz4")
    return sink.getvalue()


def _decoded(data: bytes, chunk: Chunk, columns: Sequence[str]) -> pl.DataFrame | None:
    """The frame; None for what somebody else put there, or for half of it."""
    try:
        frame = pl.read_ipc(data)
    except (PolarsError, OSError):
        return None
    whole = frame.columns == [INDEX, *columns] and frame.height == chunk.rows
    return frame if whole else None


def _check(frame: pl.DataFrame, chunks: Sequence[Chunk]) -> None:
    rows = sum(chunk.rows for chunk in chunks)
    if frame.height != rows:
        raise _WrongRowsError(f"{frame.height} rows were read instead of {rows}")


def _between(frame: pl.DataFrame, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Rows of ``[start, end)`` of a frame in time order; copies nothing."""
    if start is None and end is None:
        return frame
    stamps = frame[INDEX].to_physical()
    first = 0 if start is None else int(stamps.search_sorted(_nanoseconds(start), side="left"))
    last = len(stamps) if end is None else int(stamps.search_sorted(_nanoseconds(end), side="left"))
    return frame.slice(first, max(last - first, 0))


def _nanoseconds(moment: datetime) -> int:
    exact = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return max(-_LAST, min(exact, _LAST))
