"""What one asset needs and makes, as data: the unit that the guard, the sweep and the CLI share.

A task knows its inputs, its plugin and its code version, and can tell the identity that a partition
would have now without loading anything. How a task is executed belongs in
:mod:`hf_assets.execution`; which tasks exist, in :mod:`hf_assets.graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, cast

import dagster as dg
import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, unknown
from hf_plugins.versioning import (
    Identity,
    Implementation,
    InputVersion,
    code_version,
    source_fingerprint,
)
from hf_resources.chunks import Staged
from hf_resources.datasets import Dataset, DatasetRef, Definition, Layer
from hf_resources.store import DatasetStore

FETCHED = "source"
"""What a root's input is called in an identity."""

STATE = "state.json"
"""Attachment that holds what a stateful computation goes on from."""

Partition = tuple[str, str]
"""Symbol and timeframe."""


@dataclass(frozen=True)
class Input:
    """A parent asset and the columns of it that are read; nothing else is loaded or hashed.

    ``summary``: the parent's summary is read too, which only its version identifies. ``symbol`` and
    ``timeframe``: of the parent, where they are not those of the child. ``join``: how its rows come
    beside those of the first input; empty where they are the same rows. ``lags``: the shortest and
    the longest number of minutes after their close at which rows are taken to be known.
    """

    layer: Layer
    name: str
    columns: tuple[str, ...]
    summary: bool = False
    symbol: str | None = None
    timeframe: str | None = None
    join: Literal["", "inner", "asof"] = ""
    lags: tuple[int, int] = (0, 0)

    @property
    def key(self) -> str:
        """Asset key as text."""
        return f"{self.layer}/{self.name}"

    @property
    def asset_key(self) -> dg.AssetKey:
        """Asset key."""
        return dg.AssetKey([self.layer, self.name])

    def parent(self, partition: Partition) -> Partition:
        """The partition of the parent that a partition of the child reads."""
        return (self.symbol or partition[0], self.timeframe or partition[1])

    def frame_key(self, partition: Partition) -> Any:
        """What the rows are called in :attr:`Job.frames`."""
        own = self.symbol is None and self.timeframe is None
        return self.key if own else (self.key, *self.parent(partition))


@dataclass(frozen=True)
class Product:
    """What a computation yields for one output.

    ``attachments`` whose names end in ``.svg`` or ``.md`` are shown on the asset's page.
    ``summary`` holds small JSON values; numbers in it become plots over time.
    """

    frame: pd.DataFrame | None = None
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One partition of one task, ready to compute.

    ``frames``: the input frames by asset key; by ``(asset key, symbol)`` where the task looks
    across symbols, by :meth:`Input.frame_key` where a parent partition is another one. ``after``:
    the last row that stands already, where only the rows after it are to be computed; the frames
    then begin with the rows that these look back to. ``state``: what the version before left under
    :data:`STATE`. ``store``: for what is kept between runs beside datasets.
    """

    symbol: str
    timeframe: str
    identity: Identity
    frames: Mapping[Any, pd.DataFrame]
    inputs: Mapping[Any, Dataset]
    store: DatasetStore
    log: Callable[[str], None]
    state: bytes | None = None
    after: datetime | None = None


@dataclass(frozen=True)
class Settled:
    """A partition of a task whose datasets stand: what is known of how they came to.

    ``standing`` are the heads before. ``hit``: nothing was computed or published. ``rows_computed``
    are those that a computation was given; ``whole``: all of them, not those alone that were
    appended and what they look back to.
    """

    store: DatasetStore
    partition: Partition
    datasets: Mapping[str, Dataset]
    standing: Mapping[str, Dataset | None]
    seconds: float
    hit: bool
    rows_computed: int = 0
    whole: bool = True


Record = Callable[[Settled], Mapping[str, Any]]
"""Keeps a record of a settled partition; returns what its event is to say of that, and raises
nothing: a record never changes the outcome of a run."""


@dataclass(frozen=True)
class Fetched:
    """What a root's source has now, on top of what is known.

    ``digests`` identify the data of all outputs together. ``finish`` is called once everything is
    published, or found to be published already; see :data:`Record`.
    """

    staged: Mapping[str, Staged]
    digests: Mapping[str, str]
    summary: Mapping[str, Any]
    finish: Record


Fetch = Callable[[DatasetStore, Partition, Mapping[str, Dataset | None], bool], Fetched]
"""Store, partition, the heads by asset key, and whether the whole history is wanted."""


Closes = Callable[[Partition, pd.DatetimeIndex], np.ndarray]
"""Of a partition and its bars, when trading in each ended: UTC nanoseconds, shape (n_bars,)."""


@dataclass(frozen=True)
class Task:
    """One asset, or several that one computation yields.

    ``fetch`` marks a root: its input comes from outside, and its identity is that of what came.
    ``symbols`` is set for tasks that look across symbols. ``context`` tells on how many rows before
    it a row of a partition depends; where it is set, rows that are appended to the inputs are
    computed alone. ``stateful`` tasks go on from the state that they left.
    ``record`` is told of each partition that stands; roots have :attr:`Fetched.finish` for that.
    """

    outputs: tuple[Definition, ...]
    inputs: tuple[Input, ...]
    implementation: Implementation
    compute: Callable[[Job], Mapping[str, Product]]
    schema_version: int = 1
    fetch: Fetch | None = None
    symbols: tuple[str, ...] = ()
    context: Callable[[Partition], int | None] = lambda partition: None
    stateful: bool = False
    record: Record | None = None
    step: str = ""
    """Label of the step that a feature shares; empty for the step of most features."""
    local: Callable[[str], Mapping[str, Any]] | None = None
    """What the instrument of a partition adds to the parameters, such as its calendar."""
    closes: Closes | None = None
    """When trading in bars ended, for tasks that read side tables."""

    @property
    def plugin_key(self) -> str:
        """Key of the plugin that computes."""
        return self.outputs[0].plugin_key

    @property
    def params(self) -> Mapping[str, Any]:
        """Everything in YAML that decides the result, after defaults."""
        return self.outputs[0].parameters

    @cached_property
    def code_version(self) -> str:
        """Hash of plugin, parameters, implementation and schema."""
        return code_version(self.plugin_key, self.params, self.implementation, self.schema_version)

    def names(self) -> list[str]:
        """Asset keys of the outputs, as text."""
        return [f"{output.layer}/{output.name}" for output in self.outputs]

    def asset_keys(self) -> list[dg.AssetKey]:
        """Asset keys of the outputs."""
        return [dg.AssetKey([output.layer, output.name]) for output in self.outputs]

    def refs(self, partition: Partition) -> list[DatasetRef]:
        """The datasets of a partition."""
        return [DatasetRef(output.layer, output.name, *partition) for output in self.outputs]

    def parents(self, partition: Partition) -> list[tuple[Any, Input, Partition]]:
        """Which parent partitions are read, each with the key it has in :attr:`Job.frames`."""
        if not self.symbols:
            return [
                (used.frame_key(partition), used, used.parent(partition)) for used in self.inputs
            ]
        return [
            ((used.key, symbol), used, (symbol, partition[1]))
            for used in self.inputs
            for symbol in self.symbols
        ]

    def params_of(self, partition: Partition) -> dict[str, Any]:
        """Parameters of a partition: those of the task, and what its instrument adds."""
        return {**self.params, **(self.local(partition[0]) if self.local else {})}

    @staticmethod
    def input_name(frame_key: Any) -> str:
        """What a parent partition is called in an identity."""
        return frame_key if isinstance(frame_key, str) else "|".join(frame_key)

    def identity(self, partition: Partition, inputs: Mapping[Any, Dataset]) -> Identity:
        """What the partition would be now, from the heads of its parents; loads no data.

        Raises:
            DataError: a parent lacks a column that the task reads.
        """
        used = {}
        for frame_key, needed, _ in self.parents(partition):
            dataset = inputs.get(frame_key)
            if dataset is None:
                continue
            used[self.input_name(frame_key)] = InputVersion(
                dataset.version_hash, _digests(dataset, needed)
            )
        spans = [(d.start_date, d.end_date) for d in inputs.values() if d.start_date and d.end_date]
        start = min((span[0] for span in spans if span[0]), default=None)
        end = max((span[1] for span in spans if span[1]), default=None)
        return self._identity(partition, used, start, end)

    def fetched_identity(self, partition: Partition, fetched: Fetched) -> Identity:
        """Identity of a root's partition: that of the rows that came."""
        chunks = fetched.staged[self.names()[0]].chunks
        used = {FETCHED: InputVersion("", fetched.digests)}
        start, end = (chunks[0].start, chunks[-1].end) if chunks else (None, None)
        return self._identity(partition, used, start, end)

    def _identity(
        self, partition: Partition, used: Mapping[str, InputVersion], start: Any, end: Any
    ) -> Identity:
        return Identity(
            plugin_key=self.plugin_key,
            params=self.params_of(partition),
            symbol=partition[0],
            timeframe=partition[1],
            start_date=start.isoformat() if start is not None else "",
            end_date=end.isoformat() if end is not None else "",
            source_fingerprint=source_fingerprint(used),
            code_version=self.code_version,
            implementation=self.implementation,
            schema_version=self.schema_version,
            inputs=used,
        )


def merged(*parts: Implementation) -> Implementation:
    """What a computation depends on that several modules make up."""
    modules: dict[str, str] = {}
    libraries: dict[str, str] = {}
    for part in parts:
        modules |= part.modules
        libraries |= part.libraries
    return Implementation(dict(sorted(modules.items())), dict(sorted(libraries.items())))


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed."""
    return cast(pd.Series, frame[name])


def _digests(dataset: Dataset, needed: Input) -> dict[str, str]:
    missing = [name for name in needed.columns if name not in dataset.column_digests]
    if missing:
        available = [name for name in dataset.column_digests if name != "timestamp"]
        raise DataError(f"{needed.key}: {unknown('column', missing[0], available)}")
    digests = {name: dataset.column_digests[name] for name in ("timestamp", *needed.columns)}
    return {"summary": dataset.version_hash, **digests} if needed.summary else digests
