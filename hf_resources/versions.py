"""The versions of a series: which there are, one of them by its hash, and how it begins and ends.

How two of them differ is in ``differences``; which one stood at an instant, in ``point_in_time``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import polars as pl

from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.versioning import canonical_json
from hf_resources import columnar, misses
from hf_resources.chunks import Chunk, covering
from hf_resources.datasets import Dataset
from hf_resources.parquet import INDEX
from hf_resources.store import DatasetStore

_SHORT: Final = 16
_TIME: Final = pl.Datetime("us", "UTC")
HISTORY: Final[dict[str, Any]] = {
    "version_hash": pl.String(),
    "generation": pl.Int64(),
    "head": pl.Boolean(),
    "created_at": _TIME,
    "reasons": pl.List(pl.String()),
    "row_count": pl.Int64(),
    "start": _TIME,
    "end": _TIME,
    "columns": pl.List(pl.String()),
    "parameters": pl.String(),
    "code_version": pl.String(),
    "source_fingerprint": pl.String(),
    "uri": pl.String(),
}
"""Columns of :func:`history`, with their types."""


def history(versions: Sequence[Dataset], head: Dataset) -> pl.DataFrame:
    """A row for each version, in the order given, which is newest first.

    ``reasons`` are against the version stored before; ``parameters`` are JSON, with defaults.
    """
    rows = []
    for position, version in enumerate(versions):
        before = versions[position + 1] if position + 1 < len(versions) else None
        rows.append(
            {
                "version_hash": version.version_hash,
                "generation": version.generation,
                "head": version.id == head.id,
                "created_at": version.created_at,
                "reasons": misses.explain_version(before, version),
                "row_count": version.row_count,
                "start": version.start_date,
                "end": version.end_date,
                "columns": [INDEX, *(name for name, _ in version.columns)],
                "parameters": canonical_json(version.identity.get("params", {})),
                "code_version": version.code_version,
                "source_fingerprint": version.source_fingerprint,
                "uri": version.storage_uri,
            }
        )
    return pl.DataFrame(rows, schema=HISTORY)


def select(versions: Sequence[Dataset], version_hash: str) -> Dataset:
    """The newest generation of a version, by its hash or as much of it as tells it from others.

    Raises:
        DataError: there is none, or there are several.
    """
    found = [
        each for each in versions if version_hash and each.version_hash.startswith(version_hash)
    ]
    hashes = sorted({each.version_hash[:_SHORT] for each in versions})
    if not found:
        raise DataError(f"{versions[0].ref}: {unknown('version', version_hash[:_SHORT], hashes)}")
    if len({each.version_hash for each in found}) > 1:
        told = ", ".join(sorted({each.version_hash[:_SHORT] for each in found}))
        raise DataError(
            f"{versions[0].ref}: '{version_hash}' is the beginning of several versions: {told}"
        )
    return max(found, key=lambda each: each.generation)


def stored_before(versions: Sequence[Dataset], version: Dataset) -> Dataset | None:
    """The version that was stored before one of them; None for the first."""
    return max(
        (each for each in versions if each.id < version.id), key=lambda each: each.id, default=None
    )


def preview(
    store: DatasetStore, dataset: Dataset, chunks: Sequence[Chunk], rows: int
) -> pl.DataFrame:
    """The first and the last rows; all of them where these meet.

    Raises:
        ConfigurationError: ``rows`` is not positive.
        DataError: an object is missing or damaged.
    """
    if rows < 1:
        raise ConfigurationError(f"rows must be at least 1, not {rows}")
    names = [name for name, _ in dataset.columns]

    def read(wanted: Sequence[Chunk]) -> pl.DataFrame:
        return columnar.read(store, None, dataset, wanted, names)

    if dataset.row_count <= 2 * rows:
        return read(chunks)
    totals = accumulate(chunk.rows for chunk in chunks)
    enough = next(count for count, total in enumerate(totals, start=1) if total >= rows)
    return pl.concat(
        [read(chunks[:enough]).head(rows), read(covering(chunks, last=rows)).tail(rows)]
    )
