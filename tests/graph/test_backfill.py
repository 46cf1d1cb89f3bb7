"""Backfills, iterated by the daemon's own code over a workspace that loads a real file."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import dagster as dg
import pytest
from dagster._core.definitions.data_version import StaleStatus
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.instance_for_test import instance_for_test
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon
from dagster._time import get_current_timestamp

from tests.graph.lab import CHAIN, Event, Lab
from tests.graph.test_events import CHAINED, FEATURES, FIVE, assert_exact, stale_statuses

BACKFILL_TAG: Final = "dagster/backfill"
ITERATIONS: Final = 40
"""Far more than any backfill here needs; one that stalls fails instead of hanging."""
RESEARCH: Final = (
    "market_data/bars",
    "market_data/quarantine",
    "market_data/enriched",
    "features/rsi_14",
    "features/atr_14",
    "models/forest",
    "predictions/forest",
    "signals/quantile",
)
CODE_LOCATION: Final = '''
"""The definitions of a lab, as a code location loads them: from this file, by path."""

import importlib
import sys
from pathlib import Path

import dagster as dg

from hf_assets.build import build_definitions
from hf_assets.resources import StoreResource

ROOT = Path(__file__).parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
module = importlib.import_module("{package}.defs")
tree = dg.ComponentTree.from_module(defs_module=module, project_root=ROOT)
defs = build_definitions(tree, store=StoreResource(home=str(ROOT / "state")))
'''


@dataclass
class Daemon:
    """The part of the daemon that runs backfills, and the run queue where there is one."""

    lab: Lab
    workspace: WorkspaceProcessContext
    queue: QueuedRunCoordinatorDaemon | None

    def backfill(self, name: str, assets: tuple[str, ...]) -> PartitionBackfill:
        """Ask for all partitions of some assets and iterate until it is over."""
        instance = self.lab.instance
        graph = self.workspace.create_request_context().asset_graph
        keys = [dg.AssetKey(asset.split("/")) for asset in assets]
        definition = graph.get(keys[0]).partitions_def
        assert definition is not None
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id=name,
                asset_graph=graph,
                partition_names=definition.get_partition_keys(),
                asset_selection=keys,
                backfill_timestamp=get_current_timestamp(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        for _ in range(ITERATIONS):
            errors = execute_backfill_iteration(self.workspace, logging.getLogger(__name__))
            assert [error for error in errors if error is not None] == []
            if self.queue is not None:
                list(self.queue.run_iteration(self.workspace))
            found = instance.get_backfill(name)
            assert found is not None
            if found.status != BulkActionStatus.REQUESTED:
                return found
        raise AssertionError(f"backfill {name} is not over after {ITERATIONS} iterations")

    def runs(self, name: str) -> list[dg.DagsterRun]:
        """The runs of a backfill, all of which succeeded."""
        found = self.lab.instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: name}))
        assert {run.status for run in found} == {dg.DagsterRunStatus.SUCCESS}
        return list(found)

    def runs_of(self, name: str, asset: str) -> list[dg.DagsterRun]:
        """Those runs of a backfill that executed an asset."""
        key = dg.AssetKey(asset.split("/"))
        return [run for run in self.runs(name) if key in (run.asset_selection or ())]


@contextmanager
def daemon_for(lab: Lab, *, queued: bool) -> Iterator[Daemon]:
    """A daemon whose runs are executed here and at once, or when the queue releases them."""
    file = lab.root / "code_location.py"
    file.write_text(CODE_LOCATION.format(package=lab.package))
    target = InProcessWorkspaceLoadTarget(
        InProcessCodeLocationOrigin(
            LoadableTargetOrigin(
                executable_path=sys.executable,
                python_file=str(file),
                working_directory=str(lab.root),
                attribute="defs",
            )
        )
    )
    lab.instance.dispose()
    with instance_for_test(
        temp_dir=str(lab.root / "dagster"),
        synchronous_run_launcher=True,
        synchronous_run_coordinator=not queued,
    ) as instance:
        lab.instance = instance
        with create_test_daemon_workspace_context(target, instance) as workspace:
            queue = QueuedRunCoordinatorDaemon(interval_seconds=1) if queued else None
            yield Daemon(lab, workspace, queue)


def stored(lab: Lab) -> tuple[Counter[str], list[str]]:
    """Versions in the catalog by asset, and the objects in the lake."""
    rows: Counter[str] = Counter()
    for task in lab.tasks():
        for partition in lab.covered()[task.names()[0]]:
            for ref in task.refs(partition):
                rows[ref.asset_key] += len(lab.store.history(ref))
    return rows, sorted(path for path, _, _ in lab.store.lake.list(""))


def assert_heads(lab: Lab, events: dict[tuple[str, str], Event], assets: tuple[str, ...]) -> None:
    """One event per asset partition (or ``events_after`` had failed), of the catalog's head."""
    covered = lab.covered()
    assert Counter(asset for asset, _ in events) == {a: len(covered[a]) for a in assets}
    for (asset, partition), event in events.items():
        assert event.version == lab.head(asset, partition).version_hash


def test_a_backfill_of_chained_assets_leaves_one_exact_event_per_partition(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(symbols=FIVE, timeframes=("1h", "1d"), yaml_text=FEATURES, rows=60)
    with daemon_for(lab, queued=False) as daemon:
        assert daemon.backfill("first", CHAINED).status == BulkActionStatus.COMPLETED_SUCCESS
        events = lab.events_after(0)
        assert_exact(lab, events)
        assert {event.tags[BACKFILL_TAG] for event in events.values()} == {"first"}
        assert {event.cache for event in events.values()} == {"miss"}
        assert {event.run_id for event in events.values()} == {
            run.run_id for run in daemon.runs("first")
        }


@pytest.mark.slow
def test_a_queued_backfill_trains_one_partition_per_run_and_a_second_one_finds_everything(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(yaml_text=CHAIN, rows=150)
    with daemon_for(lab, queued=True) as daemon:
        assert daemon.backfill("first", RESEARCH).status == BulkActionStatus.COMPLETED_SUCCESS
        first = lab.events_after(0)
        assert_heads(lab, first, RESEARCH)
        assert {event.cache for event in first.values()} == {"miss"}
        partitions = len(lab.covered()["models/forest"])
        assert len(daemon.runs_of("first", "models/forest")) == partitions
        assert len(daemon.runs_of("first", "features/rsi_14")) < partitions
        statuses = stale_statuses(lab)
        chosen = {key: status for key, status in statuses.items() if key[0] in RESEARCH}
        assert set(chosen.values()) == {StaleStatus.FRESH}

        before = stored(lab)
        last = lab.last_storage_id()
        assert daemon.backfill("second", RESEARCH).status == BulkActionStatus.COMPLETED_SUCCESS
        second = lab.events_after(last)
        assert_heads(lab, second, RESEARCH)
        assert {event.cache for event in second.values()} == {"hit"}
        assert {key: event.version for key, event in second.items()} == {
            key: event.version for key, event in first.items()
        }
        assert stored(lab) == before
