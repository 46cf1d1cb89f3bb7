"""What the store speaks about: references, definitions, datasets.

Plain immutable records, and the errors of a lost race and of storage that does not answer. They
know neither SQL nor Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from hf_plugins.errors import HfError

Layer = Literal[
    "market_data",
    "side_data",
    "features",
    "quality",
    "models",
    "predictions",
    "signals",
    "backtests",
    "reports",
]
LAYERS: tuple[Layer, ...] = get_args(Layer)


class HeadConflictError(HfError):
    """The head moved to another version while this one was being made."""


class StorageError(HfError):
    """Lake or catalog cannot be read or written now: a server is away, or a disk is full.

    It says nothing about the data, which are what they were.
    """


class CatalogInterruptedError(StorageError):
    """The database went away inside a transaction; whether that was committed is not known."""


@dataclass(frozen=True)
class DatasetRef:
    """Which series: the asset and the partition, without a version."""

    layer: Layer
    name: str
    symbol: str
    timeframe: str

    @property
    def asset_key(self) -> str:
        """Key of the asset, such as ``features/rsi_14``."""
        return f"{self.layer}/{self.name}"

    def __str__(self) -> str:
        return f"{self.asset_key} {self.symbol} {self.timeframe}"


@dataclass(frozen=True)
class Definition:
    """What the YAML declares under a name. Editing the description changes no version hash."""

    layer: Layer
    name: str
    plugin_key: str
    parameters: Mapping[str, Any]
    description: str = ""
    family: str = ""


@dataclass(frozen=True)
class Dataset:
    """One stored, immutable version of a series.

    Attributes:
        generation: 0, and one more for each forced recomputation of the same version.
        start_date: first timestamp (of the input, where the dataset has no rows of its own).
        end_date: last timestamp, likewise.
        columns: name and pandas type of each column; the index is always ``timestamp``.
        column_digests: digest of each column, including ``timestamp``.
        attachments: ``{name: {"path", "digest", "size"}}``.
        identity: ``Identity.explanation()`` of what it was made from.
        head_version: how often the head had moved when it was seen on this dataset; None when the
            dataset was not found through its head.
    """

    id: int
    ref: DatasetRef
    version_hash: str
    generation: int
    code_version: str
    source_fingerprint: str
    start_date: datetime | None
    end_date: datetime | None
    row_count: int
    columns: tuple[tuple[str, str], ...]
    column_digests: Mapping[str, str]
    attachments: Mapping[str, Mapping[str, Any]]
    identity: Mapping[str, Any]
    summary: Mapping[str, Any]
    storage_uri: str
    created_at: datetime
    # Two callers that publish the same version hold equal datasets, whichever of them moved a head.
    head_version: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class GarbageReport:
    """What a garbage collection removed, or would remove.

    Attributes:
        objects: paths of objects that no row references.
        staging: paths of files that killed writers left behind.
        bytes: size of both together.
        kept_young: unreferenced objects that are younger than the grace period.
        dry_run: nothing was removed.
    """

    objects: tuple[str, ...]
    staging: tuple[str, ...]
    bytes: int
    kept_young: int
    dry_run: bool
