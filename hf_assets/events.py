"""Exact Dagster events: one materialisation per partition, each with its own data version.

Left to itself Dagster stamps one data version on every partition of a run. Here each partition's
event is written explicitly, with data version, code version and input provenance, as soon as that
partition is done; the automatic events of the step are suppressed. The suppression is the one use
of a Dagster-internal name in this project, and it is confined to this module: the output carries
the marker by which Dagster's own observation functions say "my events are already written". Were
the marker renamed, the import fails at load; were its meaning to change, the tests of this module
count two events per partition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

BACKFILL_TAG: Final = "dagster/backfill"


@dataclass(frozen=True)
class Provenance:
    """One parent as it was read: its asset, the version read, and its latest event at that time."""

    parent: dg.AssetKey
    data_version: str
    storage_id: int | None


def partition_event(
    key: dg.AssetKey,
    partition: str,
    *,
    data_version: str,
    code_version: str,
    provenance: Collection[Provenance],
    metadata: Mapping[str, Any],
    backfill_id: str | None,
) -> dg.AssetMaterialization:
    """The materialisation of one partition, for the step to yield."""
    tags = {
        "dagster/data_version": data_version,
        "dagster/data_version_is_user_provided": "true",
        "dagster/code_version": code_version,
    }
    for parent in provenance:
        name = parent.parent.to_user_string()
        tags[f"dagster/input_data_version/{name}"] = parent.data_version
        tags[f"dagster/input_event_pointer/{name}"] = (
            str(parent.storage_id) if parent.storage_id else "NULL"
        )
    if isinstance(partition, dg.MultiPartitionKey):
        for dimension, value in partition.keys_by_dimension.items():
            tags[f"dagster/partition/{dimension}"] = value
    if backfill_id:
        tags[BACKFILL_TAG] = backfill_id
    return dg.AssetMaterialization(key, partition=partition, metadata=dict(metadata), tags=tags)


def step_done(key: dg.AssetKey) -> dg.MaterializeResult:
    """End of an asset's output: children in the same run execute, no further event is written."""
    return dg.MaterializeResult(
        asset_key=key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
    )


def latest_event_ids(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> Mapping[str, int]:
    """Storage id of the latest materialisation of each partition: one query."""
    return instance.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
