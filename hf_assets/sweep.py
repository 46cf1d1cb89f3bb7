"""The level-triggered sweep: what is stale now, whatever caused it, and the report of it.

Automation reacts to edges; an edge can be missed (a deploy, a reset cursor, a stopped daemon). The
sweep compares what stands in the catalog with what would be computed now, one query per asset,
requests the first stale level of each partition and leaves the rest to the levels that follow. Its
findings are the staleness report that the Dagster UI lacks for partitioned assets.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import dagster as dg

from hf_assets.partitions import partition_key, symbol_and_timeframe
from hf_assets.resources import StoreResource
from hf_assets.tasks import Partition, Task
from hf_plugins.errors import HfError
from hf_plugins.versioning import canonical_json, sha256_hex
from hf_resources.datasets import Dataset
from hf_resources.misses import explain_miss, explain_settings
from hf_resources.store import DatasetStore

REPORT_KEY: Final = dg.AssetKey(["reports", "staleness"])
SHOWN: Final = 200
"""Rows of the report's table; the counts are always complete."""

_RANGE_TAG: Final = "dagster/asset_partition_range_start"
_PARTITION_TAG: Final = "dagster/partition"


@dataclass(frozen=True)
class Finding:
    """A partition that is not what it would be if it were computed now.

    ``waits``: something above it is to be computed first, and may change what it would be.
    """

    task: Task
    partition: Partition
    status: Literal["stale", "missing"]
    reasons: tuple[str, ...]
    expected: str
    waits: bool = False

    @property
    def key(self) -> str:
        """First asset key of the task, as text."""
        return self.task.names()[0]


def find_stale(
    store: DatasetStore, tasks: Sequence[Task], covered: Mapping[str, Iterable[Partition]]
) -> list[Finding]:
    """Every partition whose parents exist and which is missing or would be computed anew.

    ``tasks`` come parents before children.

    A partition below a stale one is not listed for that reason: until its parent is recomputed
    nobody knows whether anything changes for it.
    """
    heads: dict[str, dict[Partition, Dataset]] = {
        f"{output.layer}/{output.name}": store.heads(output.layer, output.name)
        for task in tasks
        for output in task.outputs
    }
    findings: list[Finding] = []
    unsettled: set[tuple[str, Partition]] = set()
    for task in tasks:
        for partition in covered[task.names()[0]]:
            waits = any(
                (used.key, parent) in unsettled for _, used, parent in task.parents(partition)
            )
            finding = _judge(task, partition, heads)
            if finding is not None:
                findings.append(replace(finding, waits=waits))
            if waits or finding is not None:
                unsettled |= {(key, partition) for key in task.names()}
    return findings


def _judge(
    task: Task, partition: Partition, heads: Mapping[str, Mapping[Partition, Dataset]]
) -> Finding | None:
    standing = [heads[key].get(partition) for key in task.names()]
    if task.fetch is not None:
        # A root without data waits for its first, deliberate fetch.
        head = standing[0]
        if head is None:
            return None
        params = json.loads(canonical_json(task.params_of(partition)))
        reasons = explain_settings(head, task.code_version, params)
        if not reasons:
            return None
        return Finding(task, partition, "stale", tuple(reasons), "; ".join(reasons))
    inputs = {
        frame_key: head
        for frame_key, used, parent in task.parents(partition)
        if (head := heads[used.key].get(parent)) is not None
    }
    if not inputs or (not task.symbols and len(inputs) < len(task.parents(partition))):
        return None
    try:
        identity = task.identity(partition, inputs)
    except HfError:
        # Its parent no longer yields what it reads, and is the finding; or a model is not there,
        # which the next run of it tells.
        return None
    if all(head is not None and head.version_hash == identity.version_hash for head in standing):
        return None
    status = "missing" if any(head is None for head in standing) else "stale"
    reasons = tuple(explain_miss(standing[0], identity))
    return Finding(task, partition, status, reasons, identity.version_hash)


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Metadata of the staleness report: counts, and a table of the first findings."""
    records = [
        dg.TableRecord(
            {
                "asset": finding.key,
                "partition": partition_key(*finding.partition),
                "status": finding.status,
                "reason": "; ".join(finding.reasons),
            }
        )
        for finding in findings[:SHOWN]
    ]
    schema = dg.TableSchema(
        [dg.TableColumn(name, "string") for name in ("asset", "partition", "status", "reason")]
    )
    counts = {status: sum(f.status == status for f in findings) for status in ("stale", "missing")}
    return {**counts, "findings": dg.MetadataValue.table(records, schema)}


def requests(
    findings: Sequence[Finding],
    busy: set[tuple[str, Partition]],
    definitions: Mapping[str, dg.PartitionsDefinition],
) -> list[dg.RunRequest]:
    """Runs for the first stale level of each partition, without what is being computed already.

    Assets whose partitions are defined alike share a run; Dagster refuses others in one run.

    The run key is what was found, so that the same finding is requested once: a partition that
    cannot succeed is not tried again before something about it changes.
    """
    unlike: list[dg.PartitionsDefinition] = []
    groups: dict[tuple[Partition, int], list[Finding]] = {}
    for finding in findings:
        computed_now = any((key, finding.partition) in busy for key in finding.task.names())
        if finding.waits or computed_now:
            continue
        definition = definitions[finding.key]
        if definition not in unlike:
            unlike.append(definition)
        groups.setdefault((finding.partition, unlike.index(definition)), []).append(finding)
    return [
        dg.RunRequest(
            run_key=sha256_hex(
                canonical_json([partition, sorted((f.key, f.expected) for f in group)])
            ),
            partition_key=partition_key(*partition),
            asset_selection=[key for finding in group for key in finding.task.asset_keys()],
            tags={"hf/requested_by": "sweep"},
        )
        for (partition, _), group in groups.items()
    ]


def busy_partitions(
    instance: dg.DagsterInstance, covered: Mapping[str, Iterable[Partition]]
) -> set[tuple[str, Partition]]:
    """Asset partitions of runs that have not ended; a range run counts for every partition."""
    unfinished = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    found: set[tuple[str, Partition]] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        for asset_key in run.asset_selection or ():
            key = asset_key.to_user_string()
            if _RANGE_TAG in run.tags:
                found |= {(key, partition) for partition in covered.get(key, ())}
            elif _PARTITION_TAG in run.tags:
                found.add((key, symbol_and_timeframe(run.tags[_PARTITION_TAG])))
    return found


def sweep_definitions(
    tasks: Sequence[Task], definitions: Mapping[str, dg.PartitionsDefinition]
) -> dg.Definitions:
    """The sensor that sweeps, and the report as an asset that can be asked for at any time."""
    covered = {
        key: [symbol_and_timeframe(name) for name in chosen.get_partition_keys()]
        for key, chosen in definitions.items()
    }

    @dg.asset(
        key=REPORT_KEY,
        group_name="reports",
        kinds={"markdown"},
        owners=["team:platform"],
        description="What is stale or missing now, with the reason, from the catalog.",
    )
    def staleness(store: dg.ResourceParam[StoreResource]) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=report(find_stale(store.store(), tasks, covered)))

    @dg.sensor(
        name="staleness_sweep",
        asset_selection=dg.AssetSelection.assets(*definitions),
        minimum_interval_seconds=600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds from the catalog what is stale, requests it and reports it.",
    )
    def staleness_sweep(
        context: dg.SensorEvaluationContext, store: dg.ResourceParam[StoreResource]
    ) -> dg.SensorResult:
        findings = find_stale(store.store(), tasks, covered)
        seen = sha256_hex(canonical_json([(f.key, f.partition, f.expected) for f in findings]))
        events = []
        if seen != context.cursor:
            events.append(dg.AssetMaterialization(REPORT_KEY, metadata=report(findings)))
        wanted = requests(findings, busy_partitions(context.instance, covered), definitions)
        return dg.SensorResult(run_requests=wanted, asset_events=events, cursor=seen)

    return dg.Definitions(assets=[staleness], sensors=[staleness_sweep])
