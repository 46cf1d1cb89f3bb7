"""What the platform costs on top of Dagster's own bookkeeping, per (asset, partition).

Three measurements, each against its floor in the same run, with the contestants taking turns:

* the chain bars -> enriched -> three features -> model and predictions -> signal, in a throwaway
  project on disk, against a project of the same shape whose assets do nothing: one run over many
  partitions, and warm runs of one partition, each on SQLite and on Postgres, computed and cached;
* an idle tick of the automation condition over 1,000 symbols;
* the import of the code location against ``import dagster``.

``ratio_to_noop`` is (time of ours - computation itself) / time of the project that does nothing.
Computation itself is: fetching, computing, reading inputs, and publishing (lake and catalog);
look-ups, fingerprints, provenance, metadata and events are the platform's own cost and stay in.
CPU times are those of this process. The last line is one JSON object.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import argparse
import gc
import importlib
import json
import logging
import os
import platform
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np
import pandas as pd
import sqlalchemy as sa
import yaml

from hf_assets import build
from hf_assets.events import partition_event
from hf_assets.resources import StoreResource
from hf_assets.tasks import Task
from hf_plugins.timeframes import duration
from hf_plugins.versioning import sha256_hex
from hf_resources.catalog import upgrade
from hf_resources.store import DatasetStore

CHAIN: Final = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: atr_14, plugin: technical.atr, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
---
type: hf_assets.Model
attributes:
  name: forest
  plugin: ml.random_forest
  params: {n_estimators: 1, max_depth: 2}
  features: [rsi_14, atr_14, momentum_20]
  horizon: 2
  min_train: 60
  refit_every: 60
---
type: hf_assets.Signal
attributes:
  name: quantile
  plugin: signal.threshold
  model: forest
  params: {window: 40, min_history: 20}
"""
ROWS: Final = 130
TIMEFRAMES: Final = ("1h", "1d")
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


def main() -> None:
    """Measure everything, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few of everything")
    parser.add_argument("--partitions", type=int, help="partitions of the large run, an even number")
    parser.add_argument("--repeats", type=int, help="rounds of the large run, alternating")
    parser.add_argument("--only", choices=("chain", "tick", "import"), help="one measurement")
    options = parser.parse_args()
    partitions = options.partitions or (20 if options.quick else 200)
    repeats = options.repeats or (1 if options.quick else 3)
    singles = 3 if options.quick else 15
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    figures: dict[str, Any] = {"benchmark": "orchestration", "machine": machine()}
    if options.only in (None, "import"):
        figures |= measure_import(3 if options.quick else 7)
    if options.only in (None, "tick"):
        figures |= measure_tick(50 if options.quick else 1000, ticks=7)
    if options.only in (None, "chain"):
        figures |= measure_chain(partitions, repeats, singles)
    print(json.dumps(figures))


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the absolute figures depend on."""
    load, _, _ = os.getloadavg()
    return {
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "dagster": dg.__version__,
        "load_at_start": round(load, 2),
    }


# ----------------------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> "Cost":
        """The clocks."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


def stopwatch(action: Callable[[], object]) -> Cost:
    """Cost of an action, after the garbage of what came before is gone."""
    gc.collect()
    before = Cost.now()
    action()
    return Cost.now() - before


class Meter:
    """Time inside wrapped functions by part; nested ones count for the outermost."""

    PARTS: Final[Mapping[str, str]] = {
        "publish": "publish",
        "read": "read",
        "adopt": "adopt",
        "heads": "look_up",
        "head": "look_up",
        "lookup": "look_up",
        "lookup_many": "look_up",
        "attachment": "attachment",
    }
    COMPUTATION: Final = ("fetch", "compute", "read", "publish")

    def __init__(self) -> None:
        self.spent: dict[str, Cost] = defaultdict(Cost)
        self._inside = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with its time added to a part."""

        @wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self._inside = True
            before = Cost.now()
            try:
                return function(*args, **options)
            finally:
                self.spent[part] += Cost.now() - before
                self._inside = False

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wrap the methods of the store."""
        originals = {name: getattr(DatasetStore, name) for name in self.PARTS}
        for name, part in self.PARTS.items():
            setattr(DatasetStore, name, self.timed(part, originals[name]))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(DatasetStore, name, original)

    def watched(self, task: Task) -> Task:
        """A task whose fetching and computing is timed."""
        fetch = self.timed("fetch", task.fetch) if task.fetch else None
        return replace(task, compute=self.timed("compute", task.compute), fetch=fetch)

    def take(self) -> dict[str, Cost]:
        """What was spent since the last call."""
        spent, self.spent = dict(self.spent), defaultdict(Cost)
        return spent


@dataclass
class Samples:
    """Repeated measurements of one contestant in one case."""

    total: list[Cost] = field(default_factory=list)
    parts: list[dict[str, Cost]] = field(default_factory=list)

    def add(self, total: Cost, parts: dict[str, Cost]) -> None:
        """One more measurement."""
        self.total.append(total)
        self.parts.append(parts)

    def computation(self) -> list[Cost]:
        """Computation itself, of each measurement."""
        return [
            sum((parts.get(name, Cost()) for name in Meter.COMPUTATION), Cost())
            for parts in self.parts
        ]


# ------------------------------------------------------------------------------------- projects


class Project:
    """A throwaway project on disk: YAML, bars, and stores as fresh as one asks for."""

    def __init__(self, root: Path, symbols: int, timeframes: Sequence[str], rows: int) -> None:
        self.symbols = [f"S{number:04d}" for number in range(symbols)]
        self.timeframes = tuple(timeframes)
        self.root = root
        self.package = f"project_{uuid.uuid4().hex[:10]}"
        folder, bars = root / self.package / "defs", root / "bars"
        for name in ("source", "chain"):
            (folder / name).mkdir(parents=True)
        bars.mkdir()
        for each in (folder.parent, folder):
            (each / "__init__.py").write_text("")
        source = {"source": "parquet", "params": {"folder": str(bars)}}
        document = {"type": "hf_assets.MarketData", "attributes": source}
        (folder / "source" / "defs.yaml").write_text(yaml.safe_dump(document))
        (folder / "chain" / "defs.yaml").write_text(CHAIN)
        (folder / "universe.yaml").write_text(yaml.safe_dump(self._universe()))
        for number, symbol in enumerate(self.symbols if rows else ()):
            for timeframe in self.timeframes:
                frame = random_bars(rows, timeframe, number)
                frame.to_parquet(bars / f"{symbol}_{timeframe}.parquet", index=False)
        sys.path.insert(0, str(root))
        self.stores = 0

    def _universe(self) -> dict[str, Any]:
        instruments = [
            {
                "symbol": symbol,
                "asset_class": "equity",
                "calendar": "24/7",
                "price_precision": 4,
                "size_precision": 0,
            }
            for symbol in self.symbols
        ]
        return {"timeframes": list(self.timeframes), "instruments": instruments}

    def definitions(self, catalog: str = "", meter: Meter | None = None) -> dg.Definitions:
        """The project as it is loaded, on an empty store of its own."""
        self.stores += 1
        store = StoreResource(home=str(self.root / f"state{self.stores}"), catalog_url=catalog)
        module = importlib.import_module(f"{self.package}.defs")
        tree = dg.ComponentTree.from_module(defs_module=module, project_root=self.root)
        real = build.build_tasks
        if meter:
            build.build_tasks = lambda project: [meter.watched(task) for task in real(project)]
        try:
            return build.build_definitions(tree, store=store)
        finally:
            build.build_tasks = real


def random_bars(rows: int, timeframe: str, seed: int) -> pd.DataFrame:
    """A seeded random walk of valid bars."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, rows)))
    opening = np.r_[100.0, close[:-1]]
    frame = {
        "timestamp": pd.date_range("2020-01-01", periods=rows, freq=duration(timeframe), tz="UTC"),
        "open": opening,
        "high": np.maximum(opening, close) * 1.01,
        "low": np.minimum(opening, close) * 0.99,
        "close": close,
        "volume": random.integers(1_000, 100_000, rows).astype(float),
    }
    return pd.DataFrame(frame).round(4)


def chain_keys(defs: dg.Definitions) -> list[dg.AssetKey]:
    """The partitioned assets of the chain, parents first."""
    graph = defs.resolve_asset_graph()
    return [key for key in graph.toposorted_asset_keys if graph.get(key).partitions_def]


def noop_definitions(ours: dg.Definitions) -> dg.Definitions:
    """A project of the same shape, whose assets do nothing.

    Same keys, steps, dependencies, partition mappings, partitions and executor.
    """
    assets = []
    for definition in ours.resolve_all_asset_specs_by_step():  # type: ignore[attr-defined]
        assets.append(definition)
    return dg.Definitions(assets=assets, executor=dg.in_process_executor)
