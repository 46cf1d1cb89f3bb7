"""What the commands share: the loaded project, its state, and a Dagster instance on disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from hf_assets.build import build_definitions, partition_sets
from hf_assets.graph import build_tasks
from hf_assets.location import component_tree
from hf_assets.partitions import symbol_and_timeframe
from hf_assets.project import Project, load_project
from hf_assets.resources import StoreResource
from hf_assets.tasks import Partition, Task
from hf_plugins.errors import ConfigurationError, unknown
from hf_resources.store import DatasetStore

PROJECT_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Session:
    """One project, loaded once."""

    tree: dg.ComponentTree

    @classmethod
    def load(cls) -> Session:
        """The project of this installation."""
        return cls(component_tree())

    @cached_property
    def definitions(self) -> dg.Definitions:
        """The Dagster definitions; built first, for it tells errors best."""
        return build_definitions(self.tree)

    @cached_property
    def project(self) -> Project:
        """The declared items."""
        self.definitions  # noqa: B018
        return load_project(self.tree)

    @cached_property
    def tasks(self) -> list[Task]:
        """All tasks, parents before children."""
        return build_tasks(self.project)

    @cached_property
    def covered(self) -> dict[str, list[Partition]]:
        """The partitions of each asset key."""
        return {
            key: [symbol_and_timeframe(name) for name in chosen.get_partition_keys()]
            for key, chosen in partition_sets(self.project, self.tasks).items()
        }

    @cached_property
    def store(self) -> DatasetStore:
        """Lake and catalog."""
        return StoreResource().store()

    def task(self, key: str) -> Task:
        """The task that yields an asset.

        Raises:
            ConfigurationError: there is no such asset; names the nearest one.
        """
        for task in self.tasks:
            if key in task.names():
                return task
        raise ConfigurationError(
            unknown("asset", key, [k for task in self.tasks for k in task.names()])
        )


def dagster_instance() -> dg.DagsterInstance:
    """The instance that ``make ui`` shows: ``DAGSTER_HOME``, else under the project's state.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or StoreResource().settings().home / "dagster")
    home = home.absolute()
    config = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            shutil.copyfile(PROJECT_ROOT / "dagster.yaml", config)
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be written ({error.strerror}); set HF_HOME, or DAGSTER_HOME, to a "
            "folder that can"
        ) from None
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.get()
