"""A throwaway project: its own YAML, bars on disk, state and Dagster instance.

Everything is real: components are loaded from files, materialisations run through Dagster into a
SQLite event log, datasets go to a lake and a catalog on disk.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import yaml

from hf_assets.build import build_definitions, step_name
from hf_assets.graph import build_tasks
from hf_assets.partitions import partition_key, symbol_and_timeframe
from hf_assets.project import load_project
from hf_assets.resources import StoreResource
from hf_assets.tasks import Partition, Task
from hf_plugins import registry, versioning
from hf_plugins.base import Plugin
from hf_plugins.timeframes import duration
from hf_resources.datasets import Dataset
from hf_resources.store import DatasetStore

CHAIN = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: atr_14, plugin: technical.atr, params: {length: 14}}
---
type: hf_assets.Model
attributes:
  name: forest
  plugin: ml.random_forest
  params: {n_estimators: 5, max_depth: 3}
  features: [rsi_14, atr_14]
  horizon: 2
  min_train: 60
  refit_every: 60
---
type: hf_assets.Signal
attributes:
  name: quantile
  plugin: signal.threshold
  model: forest
  params: {window: 60, min_history: 20}
---
type: hf_assets.Strategy
attributes: {name: trend, universe: [AAA, BBB], timeframe: 1d, signal: quantile}
"""


OF_THE_PLATFORM = ("reports/staleness", "market_data/data_quality_metrics")
"""Assets that no document declares and no task makes."""


@dataclass(frozen=True)
class Event:
    """One materialisation, as the event log has it."""

    asset: str
    partition: str
    tags: dict[str, str]
    metadata: dict[str, Any]
    storage_id: int
    run_id: str

    @property
    def version(self) -> str:
        return self.tags["dagster/data_version"]

    @property
    def cache(self) -> str:
        return self.metadata["cache"]

    @property
    def reason(self) -> str:
        return self.metadata["reason"]


class Lab:
    """One project in one folder.

    ``shared``: threads, commands, other processes or schedules use its instance of Dagster, too.
    """

    def __init__(
        self,
        root: Path,
        symbols: Sequence[str] = ("AAA", "BBB"),
        timeframes: Sequence[str] = ("1d",),
        yaml_text: str = CHAIN,
        rows: int = 260,
        catalog_url: str = "",
        lake_url: str = "",
        shared: bool = False,
    ) -> None:
        self.root = root
        self.symbols, self.timeframes = tuple(symbols), tuple(timeframes)
        self.package = f"lab_{uuid.uuid4().hex[:10]}"
        self.defs_folder = root / self.package / "defs"
        self.bars_folder = root / "bars"
        (self.defs_folder / "all").mkdir(parents=True)
        self.bars_folder.mkdir()
        for folder in (root / self.package, self.defs_folder):
            (folder / "__init__.py").write_text("")
        self.write_universe()
        source = {
            "type": "hf_assets.MarketData",
            "attributes": {"source": "parquet", "params": {"folder": str(self.bars_folder)}},
        }
        (self.defs_folder / "source").mkdir()
        (self.defs_folder / "source" / "defs.yaml").write_text(yaml.safe_dump(source))
        self.write_yaml(yaml_text)
        for number, symbol in enumerate(self.symbols):
            for timeframe in self.timeframes:
                self.write_bars(symbol, timeframe, bars(rows, timeframe, seed=number))
        sys.path.insert(0, str(root))
        self.resource = StoreResource(
            home=str(root / "state"), lake_url=lake_url, catalog_url=catalog_url
        )
        (root / "dagster").mkdir()
        # In memory half the time of a run is saved; one thread alone may use such an instance.
        opened = dg.DagsterInstance.local_temp if shared else dg.DagsterInstance.ephemeral
        self.instance = opened(str(root / "dagster"))

    def close(self) -> None:
        self.instance.dispose()
        sys.path.remove(str(self.root))

    # ------------------------------------------------------------------------------ writing

    def write_universe(self, **fields: Any) -> None:
        entries = [
            {
                "symbol": symbol,
                "asset_class": "equity",
                "calendar": "24/7",
                "price_precision": 4,
                "size_precision": 0,
            }
            | fields
            for symbol in self.symbols
        ]
        universe = {"timeframes": list(self.timeframes), "instruments": entries}
        (self.defs_folder / "universe.yaml").write_text(yaml.safe_dump(universe))

    def write_yaml(self, text: str) -> None:
        (self.defs_folder / "all" / "defs.yaml").write_text(text)

    def edit_yaml(self, old: str, new: str, *, document: str = "all") -> None:
        path = self.defs_folder / document / "defs.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def bars_file(self, symbol: str, timeframe: str = "1d") -> Path:
        return self.bars_folder / f"{symbol}_{timeframe}.parquet"

    def write_bars(self, symbol: str, timeframe: str, frame: pd.DataFrame) -> None:
        frame.reset_index().to_parquet(self.bars_file(symbol, timeframe))

    def read_bars(self, symbol: str, timeframe: str = "1d") -> pd.DataFrame:
        return pd.read_parquet(self.bars_file(symbol, timeframe)).set_index("timestamp")

    # ------------------------------------------------------------------------------ loading

    @property
    def tree(self) -> dg.ComponentTree:
        module = importlib.import_module(f"{self.package}.defs")
        return dg.ComponentTree.from_module(defs_module=module, project_root=self.root)

    def definitions(self) -> dg.Definitions:
        return build_definitions(self.tree, store=self.resource)

    def tasks(self) -> list[Task]:
        return build_tasks(load_project(self.tree))

    @property
    def store(self) -> DatasetStore:
        return self.resource.store()

    # ------------------------------------------------------------------------------ running

    def asset_names(self, defs: dg.Definitions | None = None) -> list[str]:
        return self._names((defs or self.definitions()).resolve_asset_graph())

    @staticmethod
    def _names(graph: Any) -> list[str]:
        names = [key.to_user_string() for key in graph.toposorted_asset_keys]
        return [name for name in names if name not in OF_THE_PLATFORM]

    def run(
        self,
        assets: Iterable[str] | None = None,
        partition: str | None = None,
        *,
        force: bool = False,
        raise_on_error: bool = True,
        tags: dict[str, str] | None = None,
    ) -> dict[tuple[str, str], Event]:
        """Materialise assets, one run per step in graph order; the events that were written."""
        defs = self.definitions()
        job = defs.resolve_implicit_global_asset_job_def()
        graph = defs.resolve_asset_graph()
        wanted = set(assets) if assets is not None else set(self._names(graph))
        before = self.last_storage_id()
        # Assets with equal partitions go into one run, as a user who selects them gets it.
        runs: list[tuple[dg.PartitionsDefinition, list[str], set[str]]] = []
        for task in self.tasks():
            names = [name for name in task.names() if name in wanted]
            if not names:
                continue
            chosen_def = graph.get(dg.AssetKey(names[0].split("/"))).partitions_def
            assert chosen_def is not None
            for definition, selected, steps in runs:
                if definition == chosen_def:
                    selected.extend(task.names())
                    steps.add(step_name(task))
                    break
            else:
                runs.append((chosen_def, list(task.names()), {step_name(task)}))
        for definition, selected, steps in runs:
            keys = definition.get_partition_keys()
            chosen = [key for key in keys if partition in (None, key) or "|" not in key]
            if not chosen:
                continue
            job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey(name.split("/")) for name in selected],
                partition_key=chosen[0] if len(chosen) == 1 else None,
                tags=(tags or {}) | (range_tags(chosen[0], chosen[-1]) if len(chosen) > 1 else {}),
                run_config={
                    "ops": {step: {"config": {"force": force}} for step in steps},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=raise_on_error,
            )
        return self.events_after(before)

    # ------------------------------------------------------------------------------ looking

    def last_storage_id(self) -> int:
        return max((event.storage_id for event in self.all_events()), default=0)

    def all_events(self, asset: str | None = None) -> list[Event]:
        keys = [asset] if asset else [k.to_user_string() for k in self.instance.all_asset_keys()]
        found = []
        for key in keys:
            records = self.instance.fetch_materializations(
                dg.AssetKey(key.split("/")), limit=10_000
            )
            for record in records.records:
                event = record.asset_materialization
                assert event is not None
                found.append(
                    Event(
                        key,
                        str(event.partition),
                        dict(event.tags or {}),
                        {name: value.value for name, value in event.metadata.items()},
                        record.storage_id,
                        record.run_id,
                    )
                )
        return sorted(found, key=lambda event: event.storage_id)

    def events_after(self, storage_id: int) -> dict[tuple[str, str], Event]:
        found: dict[tuple[str, str], Event] = {}
        for event in self.all_events():
            if event.storage_id > storage_id:
                assert (event.asset, event.partition) not in found, f"second event of {event}"
                found[event.asset, event.partition] = event
        return found

    def head(self, asset: str, partition: str) -> Dataset:
        layer, name = asset.split("/")
        return self.store.heads(layer, name)[symbol_and_timeframe(partition)]  # type: ignore[arg-type]

    def covered(self) -> dict[str, list[Partition]]:
        graph = self.definitions().resolve_asset_graph()
        return {
            key: [
                symbol_and_timeframe(name)
                for name in graph.get(
                    dg.AssetKey(key.split("/"))
                ).partitions_def.get_partition_keys()  # type: ignore[union-attr]
            ]
            for key in self._names(graph)
        }


def range_tags(first: str, last: str) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


def missed(events: dict[tuple[str, str], Event]) -> set[tuple[str, str]]:
    """Assets and partitions that were computed."""
    return {key for key, event in events.items() if event.cache == "miss"}


def bars(rows: int, timeframe: str = "1d", seed: int = 0) -> pd.DataFrame:
    """A seeded random walk of bars with valid open, high, low and close."""
    random = np.random.default_rng(seed)
    drawn = 4_000  # always as many, so that a longer frame begins with the shorter one
    assert rows <= drawn
    index = pd.date_range("2020-01-01", periods=drawn, freq=duration(timeframe), tz="UTC")
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, drawn)))
    opening = np.r_[100.0, close[:-1]] * np.exp(random.normal(0, 0.002, drawn))
    spread = 1 + np.abs(random.normal(0, 0.004, drawn))
    frame = pd.DataFrame(
        {
            "open": opening,
            "high": np.maximum(opening, close) * spread,
            "low": np.minimum(opening, close) / spread,
            "close": close,
            "volume": random.integers(1_000, 100_000, drawn).astype(float),
        },
        index=index.rename("timestamp"),
    ).iloc[:rows]
    return frame.round(4)


@contextmanager
def registered(**plugins: type[Plugin]) -> Iterator[None]:
    """Plugins of a test under ``test.<name>``, gone when it ends."""
    kinds = {
        name: next(kind for kind in registry.ALL if issubclass(cls, kind.base))
        for name, cls in plugins.items()
    }
    for name, kind in kinds.items():
        kind.register(f"test.{name}")(plugins[name])
    try:
        yield
    finally:
        for name, kind in kinds.items():
            del kind._plugins[f"test.{name}"]


def reload_plugin(module_name: str) -> None:
    """Load a plugin module anew, as a fresh process would."""
    for plugins in registry.ALL:
        for key, cls in list(plugins._plugins.items()):
            if cls.__module__ == module_name:
                del plugins._plugins[key]
    versioning._parse_module.cache_clear()
    importlib.invalidate_caches()
    module = sys.modules.pop(module_name, None)
    if module is not None:
        cached = Path(importlib.util.cache_from_source(str(module.__file__)))
        if cached.exists():
            cached.unlink()
    importlib.import_module(module_name)


__all__ = [
    "CHAIN",
    "Event",
    "Lab",
    "bars",
    "missed",
    "partition_key",
    "range_tags",
    "registered",
    "reload_plugin",
]
