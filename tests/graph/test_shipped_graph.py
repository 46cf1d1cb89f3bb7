"""The graph that ships: its snapshot, and that it loads fast and whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from hf_assets.cli.session import Session


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return Session.load().definitions


@pytest.fixture
def json_snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def described(definitions: dg.Definitions) -> dict[str, Any]:
    """What must not change unnoticed; versions and prose may."""
    graph = definitions.resolve_asset_graph()
    found = {}
    for node in graph.asset_nodes:
        key = node.key
        partitions = node.partitions_def
        found[key.to_user_string()] = {
            "parents": {
                parent.to_user_string(): type(graph.get_partition_mapping(key, parent)).__name__
                for parent in sorted(node.parent_keys)
            },
            "group": node.group_name,
            "owners": list(node.owners),
            "kinds": sorted(
                tag.removeprefix("dagster/kind/")
                for tag in node.tags
                if tag.startswith("dagster/kind/")
            ),
            "partitions": shown(partitions),
            "automation": node.automation_condition.get_label()
            if node.automation_condition
            else None,
            "max_partitions_per_run": (
                node.backfill_policy.max_partitions_per_run if node.backfill_policy else None
            ),
            "has_code_version": node.code_version is not None,
        }
    return dict(sorted(found.items()))


def shown(partitions: dg.PartitionsDefinition | None) -> list[str] | str | None:
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return f"{partitions.cron_schedule} from {partitions.start:%Y-%m-%d %Z}"
    return list(partitions.get_partition_keys()) if partitions else None


def test_assets(definitions: dg.Definitions, json_snapshot: SnapshotAssertion) -> None:
    assert described(definitions) == json_snapshot


def test_sensors(definitions: dg.Definitions, json_snapshot: SnapshotAssertion) -> None:
    sensors = {
        sensor.name: {
            "status": sensor.default_status.value,
            "interval": sensor.minimum_interval_seconds,
        }
        for sensor in definitions.sensors or []
        if isinstance(sensor, dg.SensorDefinition)
    }
    assert sensors == json_snapshot


def test_the_code_location_is_loadable(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_asset_tells_how_it_is_made(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.owners, spec.key
        if spec.key.path[0] in ("features", "signals", "backtests", "models", "predictions"):
            assert "How it is computed" in spec.description
            assert "| parameter | value | default | type, range | meaning |" in spec.description
            assert "dagster/code_references" in spec.metadata, spec.key
        if spec.key.path[0] == "features":
            assert "* **Memory**: " in spec.description
            assert "* **New bars**: computed alone" in spec.description


def test_the_definitions_file_does_cross_cutting_work_only() -> None:
    from hf_assets import definitions as module

    assert module.__file__ is not None
    assert len(Path(module.__file__).read_text().splitlines()) <= 60
