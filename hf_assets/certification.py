"""The causality check of features: each published version gets a certificate, once.

What is tried belongs in :mod:`hf_plugins.certificate`, where a certificate is kept in
:mod:`hf_resources.certificates`. Here the inputs of a version are read back as they were, the
certificate is made and kept, and the check tells how all partitions of a feature stand, like the
other checks of this platform.

A version is certified by the run that made it, or by the next evaluation of the check; never
twice. Rows that were certified as part of an earlier version are left to that certificate.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import dagster as dg
import numpy as np
import pandas as pd

from hf_assets.metadata import SHORT
from hf_assets.partitions import WHOLE_UNIVERSE, partition_key, symbol_and_timeframe
from hf_assets.project import Project
from hf_assets.resources import StoreResource
from hf_assets.tasks import STATE, Input, Partition, Task
from hf_plugins.base import BaseFeature, Side
from hf_plugins.certificate import Certificate, Inputs, certify
from hf_plugins.errors import DataError
from hf_resources.certificates import Certificates
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.store import DatasetStore

LAYER: Final = "features"
CHECK: Final = "causality"
DESCRIPTION: Final = (
    "Values are computed again from what was known at sampled instants, with absurd futures, from "
    "the declared look-back and with an absurd tick in the past, and are the published ones."
)
BARS: Final = ("market_data", "enriched")
SHARE: Final = 0.1
"""Of the rows of a version, as many are recomputed in any case; more while it takes no time."""
SECONDS: Final = 0.1
"""What one version may take beyond that."""
SECONDS_PER_RUN: Final = 600.0
"""After this no further version is begun; the next evaluation goes on."""
SHOWN: Final = 200
"""Rows of a table in metadata; the counts are always complete."""

_PARTITION_TAG: Final = "dagster/partition"


@dataclass
class Standing:
    """How the partitions of one feature stand.

    ``certified``: the head of each partition with its certificate. ``new``: how many of them were
    certified now. ``waiting``: partitions whose head is not certified, with the reason.
    ``failed``: those that could not be, with the error.
    """

    certified: dict[Partition, tuple[Dataset, Certificate]] = field(default_factory=dict)
    waiting: dict[Partition, str] = field(default_factory=dict)
    failed: dict[Partition, str] = field(default_factory=dict)
    new: int = 0


def certify_heads(
    store: DatasetStore,
    tasks: Mapping[str, Task],
    plugins: Mapping[str, BaseFeature],
    *,
    only: Collection[Partition] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Standing]:
    """Certify what has no certificate yet, partition by partition, so that bars are read once.

    Args:
        store: lake and catalog.
        tasks: of the features, by their names.
        plugins: of the features, by their names.
        only: make certificates for these partitions alone; None for all.
        log: told of violations.
    """
    kept = Certificates(store)
    found = {name: Standing() for name in tasks}
    missing: dict[Partition, list[tuple[str, Dataset]]] = {}
    for name in tasks:
        heads = store.heads(LAYER, name)
        recorded = kept.of(heads.values())
        for partition, head in heads.items():
            if head.id in recorded:
                found[name].certified[partition] = head, recorded[head.id].certificate
            elif head.code_version != tasks[name].code_version:
                found[name].waiting[partition] = "made by other code, waits for its next version"
            elif only is not None and partition not in only:
                found[name].waiting[partition] = "is certified by the run that makes it"
            else:
                missing.setdefault(partition, []).append((name, head))
    until = time.monotonic() + SECONDS_PER_RUN
    for partition, features in missing.items():
        frames = _Frames(store, [(tasks[name], partition, head) for name, head in features])
        for name, head in features:
            standing = found[name]
            if time.monotonic() > until:
                standing.waiting[partition] = "is certified by the next evaluation"
                continue
            try:
                certificate = _certified(store, kept, tasks[name], plugins[name], head, frames)
                kept.record(head, certificate)
            except Exception as error:  # told of its partition; the others are certified
                standing.failed[partition] = f"{type(error).__name__}: {error}"
                continue
            standing.certified[partition] = head, certificate
            standing.new += 1
            if not certificate.ok:
                log(f"{head.ref}: {certificate.sentence}")
    return found


class _Frames:
    """Input frames of one partition, each read once with the columns that any feature reads."""

    def __init__(
        self, store: DatasetStore, wanted: Sequence[tuple[Task, Partition, Dataset]]
    ) -> None:
        self._store = store
        self._columns: dict[tuple[DatasetRef, str], dict[str, None]] = {}
        self._read: dict[tuple[DatasetRef, str], pd.DataFrame] = {}
        for task, partition, head in wanted:
            for _, used, place in _versions(task, partition, head):
                self._columns.setdefault(place, {}).update(dict.fromkeys(used.columns))

    def of(self, task: Task, partition: Partition, head: Dataset) -> dict[Any, pd.DataFrame]:
        """The frames that a version was computed from, by the keys of its task."""
        frames = {}
        for frame_key, used, place in _versions(task, partition, head):
            if place not in self._read:
                dataset = self._store.lookup(*place)
                if dataset is None:
                    ref, version = place
                    raise DataError(f"{ref}: the version {version[:SHORT]} is not there any more")
                self._read[place] = self._store.read(dataset, list(self._columns[place]))
            frames[frame_key] = self._read[place].loc[:, list(used.columns)]
        return frames


def _versions(
    task: Task, partition: Partition, head: Dataset
) -> Iterator[tuple[Any, Input, tuple[DatasetRef, str]]]:
    """The parents of a version, each with the version that was read."""
    read = head.identity["inputs"]
    for frame_key, used, parent in task.parents(partition):
        version = read[task.input_name(frame_key)]["version_hash"]
        yield frame_key, used, (DatasetRef(used.layer, used.name, *parent), version)


def _certified(
    store: DatasetStore,
    kept: Certificates,
    task: Task,
    plugin: BaseFeature,
    head: Dataset,
    frames: _Frames,
) -> Certificate:
    partition = (head.ref.symbol, head.ref.timeframe)
    given = frames.of(task, partition, head)
    own = given["/".join(BARS)].loc[:, list(plugin.reads)]
    sides = {side: given[_frame_key(side, task, partition)] for side in plugin.sides}
    closes = task.closes(partition, pd.DatetimeIndex(own.index)) if task.closes else None
    published = store.read(head, list(plugin.outputs))
    after, state = _continued(store, kept, head)
    return certify(
        plugin,
        Inputs(own, head.ref.timeframe, sides, closes),
        published,
        seed=int(head.version_hash[:16], 16),
        after=after,
        state=state,
        enough=_enough(len(published)),
    )


def _frame_key(side: Side, task: Task, partition: Partition) -> Any:
    """What the rows of a side are called among the frames of a task."""
    place = ("side_data", side.table) if side.table else (LAYER, side.feature)
    wanted = place if side.table or side.feature else BARS
    for frame_key, used, _ in task.parents(partition):
        here = (used.symbol, used.timeframe) == (side.symbol, side.timeframe)
        if side.table:  # rows of a table have no timeframe, those of the market no symbol
            here = used.symbol in (side.symbol, WHOLE_UNIVERSE)
        if (used.layer, used.name) == wanted and here:
            return frame_key
    raise AssertionError(f"{task.plugin_key}: the side '{side.prefix}' is no input of its task")


def _continued(
    store: DatasetStore, kept: Certificates, head: Dataset
) -> tuple[datetime | None, Mapping[str, Any] | None]:
    """The last row that an earlier certificate is about, with the state that was left there."""
    found = kept.before(head)
    if found is None or not found[1].ok or found[0].end_date is None:
        return None, None
    before = found[0]
    same = before.code_version == head.code_version
    if not (same and before.identity["params"] == head.identity["params"]):
        return None, None
    if before.version_hash == head.version_hash or not store.grew(before, head):
        return None, None
    state = None
    if STATE in before.attachments:
        state = json.loads(store.attachment(before, STATE))
    return before.end_date, state


def _enough(rows: int) -> Callable[[int], bool]:
    started = time.monotonic()
    return lambda recomputed: recomputed > SHARE * rows and time.monotonic() - started > SECONDS


# ------------------------------------------------------------------------------------- the check


def causality_result(name: str, standing: Standing) -> dg.AssetCheckResult:
    """The check of one feature, about all of its partitions."""
    violated = {
        partition: certificate
        for partition, (_, certificate) in standing.certified.items()
        if not certificate.ok
    }
    rows = [
        {"partition": str(partition_key(*partition)), "finding": told}
        for partition, told in [
            *((each, certificate.sentence) for each, certificate in violated.items()),
            *((each, f"could not be certified: {told}") for each, told in standing.failed.items()),
        ]
    ]
    done = len(standing.certified)
    told = f"no look-ahead found in {done:,} partitions" if done else "nothing is certified yet"
    if violated:
        told = f"{len(violated):,} of {done:,} partitions look ahead or depend on how they are cut"
    if standing.failed:
        told += f"; {len(standing.failed):,} could not be certified"
    if standing.waiting:
        told += f"; {len(standing.waiting):,} are not certified yet"
    certificates = [certificate for _, certificate in standing.certified.values()]
    metadata: dict[str, Any] = {
        "partitions": done,
        "certified_now": standing.new,
        "violations": len(violated),
        "rows_certified": int(np.sum([each.rows for each in certificates], dtype=np.int64)),
        "rows_recomputed": int(np.sum([each.recomputed for each in certificates], dtype=np.int64)),
    }
    if rows:
        metadata["findings"] = dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:SHOWN]])
    if certificates:
        shown = next(iter(violated.values()), certificates[-1])
        metadata["certificate"] = dg.MetadataValue.md(f"```\n{shown}\n```")
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey([LAYER, name]),
        check_name=CHECK,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if violated else dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
    )


def certification_definitions(project: Project, tasks: Sequence[Task]) -> dg.Definitions:
    """The check of each feature, and the schedule for what no run has certified."""
    features = {task.outputs[0].name: task for task in tasks if task.outputs[0].layer == LAYER}
    if not features:
        return dg.Definitions()
    specs = [
        dg.AssetCheckSpec(CHECK, asset=dg.AssetKey([LAYER, name]), description=DESCRIPTION)
        for name in features
    ]

    @dg.multi_asset_check(name=f"{LAYER}__{CHECK}", specs=specs, can_subset=True)
    def causality(
        context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[StoreResource]
    ) -> Iterator[dg.AssetCheckResult]:
        names = {key.asset_key.path[-1] for key in context.selected_asset_check_keys}
        chosen = {name: task for name, task in features.items() if name in names}
        plugins = {name: project.features[name][1] for name in chosen}
        # A run of one partition answers for that one, not for all that others have left.
        partition = context.run.tags.get(_PARTITION_TAG)
        only = [symbol_and_timeframe(partition)] if partition else None
        found = certify_heads(store.store(), chosen, plugins, only=only, log=context.log.error)
        for name, standing in found.items():
            yield causality_result(name, standing)

    job = dg.define_asset_job("features_causality", selection=dg.AssetSelection.checks(causality))
    hourly = dg.ScheduleDefinition(
        name="features_causality_hourly",
        job=job,
        cron_schedule="25 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Certifies the versions that no run has certified.",
    )
    return dg.Definitions(asset_checks=[causality], jobs=[job], schedules=[hourly])
