"""The guard: the body of every asset. Resolve inputs, look up, compute what is missing, publish.

Per partition the lookup comes before any data is loaded. A hit publishes and recomputes nothing and
reports the version that stands; a miss says why. One partition that fails does not take the others
of its run with it: they are published and reported first, then the run fails and names it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

import dagster as dg
import numpy as np
import pandas as pd

from hf_assets.events import Provenance, latest_event_ids, partition_event, step_done
from hf_assets.metadata import event_metadata
from hf_assets.partitions import partition_key, symbol_and_timeframe
from hf_assets.previews import remembered
from hf_assets.tasks import (
    FETCHED,
    STATE,
    Fetched,
    Input,
    Job,
    Partition,
    Product,
    Settled,
    Task,
)
from hf_plugins.errors import DataError, HfError
from hf_plugins.joins import known_at
from hf_plugins.timeframes import EVENT, duration
from hf_plugins.versioning import Identity, canonical_json, combine_digests
from hf_resources.datasets import Dataset, DatasetRef, HeadConflictError, Layer
from hf_resources.misses import explain_miss
from hf_resources.parquet import INDEX
from hf_resources.store import DatasetStore

ATTEMPTS = 3
"""Tries at a partition whose inputs keep moving while it is computed."""
ASOF_MARGIN = timedelta(days=7)
"""How far before a tail the last row that was known is looked for, before all rows are read."""
SHARED_ROWS = 300
"""Rows at the end of an input that are read at least, for all tasks of a step at once."""
LAST = "last rows"
PROGRESS_SECONDS = 10
"""Time between two lines of progress: each is a row in Dagster's event log, like an event."""


class RunOptions(dg.Config):
    """What may be chosen per run. Nothing that changes a result belongs here."""

    force: bool = False


def execute(
    context: dg.AssetExecutionContext,
    store: DatasetStore,
    tasks: Sequence[Task],
    options: RunOptions,
) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult]:
    """Materialise the selected outputs of ``tasks`` for every partition of the run."""
    selected = set(context.selected_asset_keys)
    chosen = [task for task in tasks if selected & set(task.asset_keys())]
    partitions = {symbol_and_timeframe(key): key for key in context.partition_keys}
    failures: dict[str, Exception] = {}
    for wave in _waves(chosen):
        guard = _Guard(context, store, wave, list(partitions), force=options.force)
        next_line = time.monotonic() + PROGRESS_SECONDS
        for done, partition in enumerate(partitions, start=1):
            for task in wave:
                label = f"{task.names()[0]} {partitions[partition]}"
                try:
                    events = guard.materialise(task, partition)
                except Exception as error:  # told below, after the other partitions are safe
                    failures[label] = error
                    context.log.error(f"{label}: {error}", exc_info=not isinstance(error, HfError))
                else:
                    yield from (event for event in events if event.asset_key in selected)
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + PROGRESS_SECONDS
                context.log.info(f"{done} of {len(partitions)} partitions done")
    if failures:
        told = "\n".join(f"{label}: {error}" for label, error in failures.items())
        permanent = all(isinstance(error, HfError) for error in failures.values())
        raise dg.Failure(told, allow_retries=not permanent) from next(iter(failures.values()))
    for task in chosen:
        for key in task.asset_keys():
            if key in selected:
                yield step_done(key)


def _waves(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Group tasks so that whatever a task reads from its own step is in an earlier group."""
    waiting = list(tasks)
    while waiting:
        pending = {key for task in waiting for key in task.names()}
        wave = [task for task in waiting if not any(used.key in pending for used in task.inputs)]
        if not wave:
            raise dg.DagsterInvariantViolationError(f"features read each other: {sorted(pending)}")
        yield wave
        waiting = [task for task in waiting if task not in wave]


@dataclass(frozen=True)
class _Work:
    """One partition of a task that is to be computed: what is known before anything is loaded."""

    task: Task
    partition: Partition
    identity: Identity
    inputs: Mapping[Any, Dataset]
    fetched: Fetched | None
    standing: Mapping[str, Dataset | None]
    grown: Mapping[str, int]
    reasons: Sequence[str]

    def only_grew(self, head: Dataset) -> bool:
        """Whether ``head`` was made by the same code with the same parameters."""
        params = json.loads(canonical_json(self.identity.params))
        same_code = head.code_version == self.identity.code_version
        return same_code and head.identity.get("params") == params


@dataclass
class _Guard:
    """Batched look-ups of one group of tasks, and the decision per partition."""

    context: dg.AssetExecutionContext
    store: DatasetStore
    tasks: Sequence[Task]
    partitions: Sequence[Partition]
    force: bool

    def __post_init__(self) -> None:
        # Event pointers first: a parent that is published in between is then newer than what the
        # provenance says, never older.
        parents = [
            parent for task in self.tasks for p in self.partitions for parent in task.parents(p)
        ]
        wanted: dict[tuple[Layer, str], dict[Partition, None]] = {}
        for _, used, partition in parents:
            wanted.setdefault((used.layer, used.name), {})[partition] = None
        self._pointers = {
            key: latest_event_ids(
                self.context.instance,
                dg.AssetKey(list(key)),
                [partition_key(*partition) for partition in needed],
            )
            for key, needed in wanted.items()
        }
        self._heads: dict[tuple[Layer, str], dict[Partition, Dataset]] = {
            key: self.store.heads(key[0], key[1], list(needed)) for key, needed in wanted.items()
        }
        self._frames: tuple[Partition | None, dict[Any, pd.DataFrame]] = (None, {})
        self._appended: dict[tuple[DatasetRef, str, int], tuple[int, frozenset[str]]] = {}
        self._found: dict[str, dict[Partition, Dataset]] = {}
        self._standing: dict[str, dict[Partition, Dataset]] = {}
        for task in self.tasks:
            for output in task.outputs:
                name = f"{output.layer}/{output.name}"
                self._standing[name] = self.store.heads(output.layer, output.name, self.partitions)
            if task.fetch is None and not self.force:
                self._look_up(task)

    def _look_up(self, task: Task) -> None:
        hashes: dict[Partition, str] = {}
        for partition in self.partitions:
            try:
                hashes[partition] = task.identity(
                    partition, self._inputs(task, partition)
                ).version_hash
            except HfError:
                continue  # told when the partition's turn comes
        for output in task.outputs:
            self._found[f"{output.layer}/{output.name}"] = self.store.lookup_many(
                output.layer, output.name, hashes
            )

    def _inputs(self, task: Task, partition: Partition) -> dict[Any, Dataset]:
        """Heads of the parents; a task across symbols takes those that exist."""
        inputs: dict[Any, Dataset] = {}
        for frame_key, used, parent in task.parents(partition):
            head = self._heads[used.layer, used.name].get(parent)
            if head is not None:
                inputs[frame_key] = head
            elif not task.symbols:
                raise DataError(
                    f"{used.key} has no data for {'|'.join(parent)} yet; materialise it first"
                )
        if task.inputs and not inputs:
            raise DataError(
                f"{task.inputs[0].key} has no data for any of {', '.join(task.symbols)}"
            )
        return inputs

    def materialise(self, task: Task, partition: Partition) -> list[dg.AssetMaterialization]:
        """Publish or confirm one partition of a task; its events, one per output."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._materialise(task, partition)
            except HeadConflictError:
                if attempt == ATTEMPTS:
                    raise
                self._refresh(task, partition)
        raise AssertionError("unreachable")

    def _refresh(self, task: Task, partition: Partition) -> None:
        self._frames = (None, {})
        for _, used, parent in task.parents(partition):
            self._heads[used.layer, used.name] |= self.store.heads(used.layer, used.name, [parent])
        for ref in task.refs(partition):
            head = self.store.head(ref)
            if head is not None:
                self._standing[ref.asset_key][partition] = head
        self._found = {key: {} for key in self._found}

    def _materialise(self, task: Task, partition: Partition) -> list[dg.AssetMaterialization]:
        started = time.perf_counter()
        inputs = self._inputs(task, partition)
        standing = {
            ref.asset_key: self._standing[ref.asset_key].get(partition)
            for ref in task.refs(partition)
        }
        fetched = None
        if task.fetch is not None:
            fetched = task.fetch(self.store, partition, standing, self.force)
            identity = task.fetched_identity(partition, fetched)
        else:
            identity = task.identity(partition, inputs)
        found = self._lookup(task, partition, identity)
        if found:
            datasets = {
                key: self.store.adopt(dataset, expected=standing[key])
                for key, dataset in found.items()
            }
            settled = Settled(self.store, partition, datasets, standing, 0.0, hit=True)
            reasons = ["identical code, parameters and inputs"]
        else:
            head = standing[task.names()[0]]
            grown = self._grown(task, partition, head, inputs, fetched) if head else {}
            reasons = explain_miss(head, identity, forced=self.force, grown=grown)
            work = _Work(task, partition, identity, inputs, fetched, standing, grown, reasons)
            settled = self._compute(work)
        seconds = time.perf_counter() - started
        record = fetched.finish if fetched else task.record
        recorded = record(replace(settled, seconds=seconds)) if record else {}
        provenance = self._provenance(task, partition, inputs)
        return [
            partition_event(
                dg.AssetKey(key.split("/")),
                partition_key(*partition),
                data_version=dataset.version_hash,
                code_version=task.code_version,
                provenance=provenance,
                metadata={
                    **event_metadata(
                        self.store, dataset, hit=bool(found), reasons=reasons, seconds=seconds
                    ),
                    **recorded,
                },
                backfill_id=self.context.run.tags.get("dagster/backfill"),
            )
            for key, dataset in settled.datasets.items()
        ]

    def _lookup(self, task: Task, partition: Partition, identity: Identity) -> dict[str, Dataset]:
        """The datasets of all outputs if every one exists already, else nothing."""
        if self.force:
            return {}
        found: dict[str, Dataset] = {}
        for ref in task.refs(partition):
            dataset = self._found.get(ref.asset_key, {}).get(partition)
            if dataset is None or dataset.version_hash != identity.version_hash:
                dataset = self.store.lookup(ref, identity.version_hash)
            if dataset is None:
                return {}
            found[ref.asset_key] = dataset
        return found

    def _grown(
        self,
        task: Task,
        partition: Partition,
        head: Dataset,
        inputs: Mapping[Any, Dataset],
        fetched: Fetched | None,
    ) -> dict[str, int]:
        """Inputs that only had rows appended since ``head`` was made, and how many each had."""
        if fetched is not None:
            bars = fetched.staged[task.names()[0]]
            names = [name for name, _ in bars.columns if name in fetched.digests]
            if not set(names) <= set(head.column_digests):
                return {}
            rows = sum(chunk.rows for chunk in bars.chunks)
            grew = bars.grew_from(self.store.chunks(head), names)
            return {FETCHED: rows - head.row_count} if grew else {}
        grown = {}
        read_before = head.identity.get("inputs", {})
        for frame_key, used, parent in task.parents(partition):
            name = task.input_name(frame_key)
            if name not in read_before or frame_key not in inputs:
                continue
            ref = DatasetRef(used.layer, used.name, *parent)
            seen = (ref, read_before[name]["version_hash"], inputs[frame_key].id)
            if seen not in self._appended:
                self._appended[seen] = self._compared(*seen[:2], inputs[frame_key], used)
            rows, unchanged = self._appended[seen]
            if {INDEX, *used.columns} <= unchanged:
                grown[name] = rows
        return grown

    def _compared(
        self, ref: DatasetRef, before: str, new: Dataset, used: Input
    ) -> tuple[int, frozenset[str]]:
        """Rows appended since a version, and in which columns that any task reads no other came."""
        old = self.store.lookup(ref, before)
        if old is None:
            return 0, frozenset()
        unchanged = self.store.unchanged(old, new, self._columns_read_by_step(used))
        return new.row_count - old.row_count, unchanged

    def _compute(self, work: _Work) -> Settled:
        task, partition = work.task, work.partition
        base = self._base(work)
        products: Mapping[str, Product] = {}
        rows = 0
        if work.fetched is None:
            frames = self._read(work, base)
            state = self.store.attachment(base, STATE) if base and task.stateful else None
            log = self.context.log.info
            rows = max((len(frame) for frame in frames.values()), default=0)
            after = base.end_date if base else None
            job = Job(*partition, work.identity, frames, work.inputs, self.store, log, state, after)
            products = task.compute(job)
        published: dict[str, Dataset] = {}
        # The first output last: while it is not published, the next run does all of it again.
        for ref, definition in reversed([*zip(task.refs(partition), task.outputs, strict=True)]):
            product = products.get(ref.asset_key, Product())
            frame: Any = self._rows(product, ref, base)
            summary = product.summary
            if ref.layer == "features" and product.frame is not None:
                standing = work.standing[ref.asset_key]
                seen = remembered(product.frame, base, standing, work.reasons)
                summary = {**summary, **seen}
            if work.fetched is not None:
                frame, summary = work.fetched.staged[ref.asset_key], work.fetched.summary
            published[ref.asset_key] = self.store.publish(
                ref,
                work.identity,
                definition=definition,
                frame=frame,
                attachments=product.attachments,
                summary=summary,
                expected=work.standing[ref.asset_key],
                force=self.force,
            )
            self._standing[ref.asset_key][partition] = published[ref.asset_key]
        return Settled(
            self.store,
            partition,
            published,
            work.standing,
            0.0,
            hit=False,
            rows_computed=rows,
            whole=base is None,
        )

    def _base(self, work: _Work) -> Dataset | None:
        """The head, where the new version is the head with rows appended that a tail yields.

        What is appended depends on ``task.context`` rows, so the rows before it stand as they are.
        """
        head = work.standing[work.task.names()[0]]
        task = work.task
        if self.force or head is None or task.context(work.partition) is None:
            return None
        if task.stateful and STATE not in head.attachments:
            return None
        names = {work.task.input_name(frame_key) for frame_key in work.inputs}
        settled = head.version_hash != work.identity.version_hash and head.row_count > 0
        grew = settled and work.only_grew(head) and names == set(work.grown)
        return head if grew and not self._late(work, head) else None

    def _late(self, work: _Work, head: Dataset) -> bool:
        """Whether rows were appended beside that were known to bars that stand already."""
        if head.end_date is None:
            return True
        last = pd.DatetimeIndex([head.end_date])
        for frame_key, used, parent in work.task.parents(work.partition):
            name = work.task.input_name(frame_key)
            if used.join != "asof" or not work.grown[name]:
                continue
            version = head.identity["inputs"][name]["version_hash"]
            before = self.store.lookup(DatasetRef(used.layer, used.name, *parent), version)
            if before is None or before.end_date is None:
                return True
            if parent[1] == EVENT:
                rows = self.store.read(work.inputs[frame_key], [], start=_after(before.end_date))
                known = known_at(cast(pd.DatetimeIndex, rows.index[:1]), EVENT, used.lags[0])
                closed = _closes(work.task, work.partition, last) - 1
            else:
                # The next row opens a bar after the last one at the earliest.
                next_opens = pd.DatetimeIndex([before.end_date + duration(parent[1])])
                known = known_at(next_opens, parent[1], used.lags[0])
                closed = known_at(last, work.partition[1])
            if known[0] <= closed[0]:
                return True
        return False

    def _rows(self, product: Product, ref: DatasetRef, base: Dataset | None) -> Any:
        if base is None or product.frame is None or base.end_date is None:
            return product.frame
        appended = product.frame.loc[product.frame.index > pd.Timestamp(base.end_date)]
        return self.store.stage(appended, ref.timeframe, base=base)

    def _read(self, work: _Work, base: Dataset | None) -> dict[Any, pd.DataFrame]:
        """Input frames: what a tail after ``base`` needs, or whole ones.

        Those of a partition are shared by all tasks of the step.
        """
        if self._frames[0] != work.partition:
            self._frames = (work.partition, {})
        cache = self._frames[1]
        found = {}
        for frame_key, used, _ in work.task.parents(work.partition):
            if frame_key not in work.inputs:
                continue
            if base is not None:
                found[frame_key] = self._tail(work, base, frame_key, used)
                continue
            if frame_key not in cache:
                wanted = self._columns_read_by_step(used)
                cache[frame_key] = self.store.read(work.inputs[frame_key], sorted(wanted))
            found[frame_key] = cache[frame_key].loc[:, list(used.columns)]
        return found

    def _tail(self, work: _Work, base: Dataset, frame_key: Any, used: Input) -> pd.DataFrame:
        """The rows of one input that are new after ``base``, and those that they look back to."""
        dataset, columns = work.inputs[frame_key], list(used.columns)
        rows = work.task.context(work.partition) or 0
        if not any(each.join for each in work.task.inputs):
            rows += work.grown[work.task.input_name(frame_key)]
            return self._last(dataset, used, rows).loc[:, columns]
        # Joined rows are not those of one input: what was looked back to is told by what stands.
        start = _after(cast(datetime, base.end_date))
        if rows:
            start = self.store.read(base, [], last=rows).index[0].to_pydatetime()
        if used.join != "asof":
            return self.store.read(dataset, columns, start=start)
        timeframe = used.parent(work.partition)[1]
        if timeframe == EVENT:
            # A bar ends at its label or later; a sum of the first row goes back one bar more.
            needed = start - duration(work.partition[1]) - timedelta(minutes=used.lags[1])
            known = self.store.read(dataset, [], end=_after(needed), last=1).index
            return self.store.read(
                dataset, columns, start=known[0].to_pydatetime() if len(known) else None
            )
        frame = self.store.read(dataset, columns, start=start - ASOF_MARGIN - duration(timeframe))
        known = known_at(cast(pd.DatetimeIndex, frame.index[:1]), timeframe, used.lags[1])
        first_close = pd.Timestamp(start + duration(work.partition[1])).as_unit("ns").value
        return frame if (known <= first_close).any() else self.store.read(dataset, columns)

    def _last(self, dataset: Dataset, used: Input, rows: int) -> pd.DataFrame:
        """The last rows of an input, with all columns that the step reads of it."""
        cache, key = self._frames[1], (LAST, dataset.id)
        if key not in cache or len(cache[key]) < min(rows, dataset.row_count):
            wanted = sorted(self._columns_read_by_step(used))
            cache[key] = self.store.read(dataset, wanted, last=max(rows, SHARED_ROWS))
        return cache[key].iloc[max(len(cache[key]) - rows, 0) :]

    def _columns_read_by_step(self, read: Input) -> Iterable[str]:
        return {
            column
            for task in self.tasks
            for used in task.inputs
            if (used.key, used.symbol, used.timeframe) == (read.key, read.symbol, read.timeframe)
            for column in used.columns
        }

    def _provenance(
        self, task: Task, partition: Partition, inputs: Mapping[Any, Dataset]
    ) -> list[Provenance]:
        read: dict[dg.AssetKey, list[tuple[str, int | None]]] = {}
        for frame_key, used, parent in task.parents(partition):
            if frame_key in inputs:
                pointer = self._pointers[used.layer, used.name].get(partition_key(*parent))
                read.setdefault(used.asset_key, []).append(
                    (inputs[frame_key].version_hash, pointer)
                )
        return [
            Provenance(
                parent=key,
                data_version=versions[0][0] if len(versions) == 1 else _joined(versions),
                storage_id=max((pointer for _, pointer in versions if pointer), default=None),
            )
            for key, versions in read.items()
        ]


def _after(moment: datetime) -> datetime:
    return moment + timedelta(microseconds=1)


def _closes(task: Task, partition: Partition, index: pd.DatetimeIndex) -> np.ndarray:
    """When trading in some bars ended: as the task says, else at the end of their slots."""
    return task.closes(partition, index) if task.closes else known_at(index, partition[1])


def _joined(versions: Iterable[tuple[str, int | None]]) -> str:
    return combine_digests(version for version, _ in versions)
