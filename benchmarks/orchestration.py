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
from sqlalchemy import event

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
    parser.add_argument(
        "--partitions", type=int, help="partitions of the large run, an even number"
    )
    parser.add_argument("--repeats", type=int, help="rounds of the large run, alternating")
    parser.add_argument("--only", choices=("chain", "tick", "import"), help="one measurement")
    parser.add_argument("--sqlite-only", action="store_true", help="without Postgres")
    options = parser.parse_args()
    partitions = options.partitions or (20 if options.quick else 200)
    repeats = options.repeats or (1 if options.quick else 2)
    singles = 3 if options.quick else 15
    warnings.simplefilter("ignore")
    # Not logging.disable: what an asset logs is stored in the event log and costs its share.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)

    figures: dict[str, Any] = {"benchmark": "orchestration", "machine": machine()}
    if options.only in (None, "import"):
        figures |= measure_import(3 if options.quick else 7)
    if options.only in (None, "tick"):
        figures |= measure_tick(50 if options.quick else 1000, ticks=7)
    if options.only in (None, "chain"):
        figures |= measure_chain(partitions, repeats, singles, sqlite_only=options.sqlite_only)
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


def steps_of_chain(defs: dg.Definitions) -> list[dg.AssetsDefinition]:
    """The partitioned steps of a project, in the order in which data flows."""
    return [
        step
        for step in defs.assets or ()
        if isinstance(step, dg.AssetsDefinition) and step.partitions_def is not None
    ]


def noop_definitions(ours: dg.Definitions) -> dg.Definitions:
    """A project of the same shape, whose assets do nothing.

    Same keys, steps, dependencies, partition mappings, partitions and executor.
    """

    def noop(step: dg.AssetsDefinition) -> dg.AssetsDefinition:
        keys = [spec.key for spec in step.specs]

        @dg.multi_asset(
            name=step.node_def.name,
            specs=[dg.AssetSpec(spec.key, deps=spec.deps) for spec in step.specs],
            partitions_def=step.partitions_def,
            can_subset=step.can_subset,
            backfill_policy=step.backfill_policy,
        )
        def nothing() -> Iterator[dg.MaterializeResult]:
            for key in keys:
                yield dg.MaterializeResult(asset_key=key)

        return nothing

    assets = [noop(step) for step in steps_of_chain(ours)]
    return dg.Definitions(assets=assets, executor=dg.in_process_executor)


class Contestant:
    """Definitions with the instance that they run in."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.job = defs.resolve_implicit_global_asset_job_def()
        steps = steps_of_chain(defs)
        self.keys = [spec.key for step in steps for spec in step.specs]
        self.partitions = steps[0].partitions_def.get_partition_keys()  # type: ignore[union-attr]

    def run(self, first: str, last: str) -> None:
        """One run of the whole chain over one partition, or over a range of them."""
        single = first == last
        done = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=self.keys,
            partition_key=first if single else None,
            tags={} if single else {RANGE_START: first, RANGE_END: last},
            run_config=QUIET,
        )
        if not done.success:
            raise SystemExit("a run failed")


# ------------------------------------------------------------------------------------ databases


class Backend:
    """Where Dagster and the catalog keep their tables; everything is fresh for each asker."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def instance(self) -> dg.DagsterInstance:
        """A new Dagster instance."""
        home = self._fresh()
        (home / "dagster.yaml").write_text(yaml.safe_dump(self._configuration(home)))
        return dg.DagsterInstance.from_config(str(home))

    def catalog(self) -> str:
        """URL of a new catalog; empty for a file in the project's own folder."""
        return ""

    def _configuration(self, home: Path) -> dict[str, Any]:
        return {"telemetry": {"enabled": False}}

    def _fresh(self) -> Path:
        self._made += 1
        home = self.folder / f"{self.name}{self._made}"
        home.mkdir()
        return home


class PostgresBackend(Backend):
    """As production: Dagster's storage and the catalog in one server."""

    name = "postgres"

    def __init__(self, folder: Path, url: sa.URL) -> None:
        super().__init__(folder)
        self.url = url

    def catalog(self) -> str:
        """URL of a new catalog with its tables."""
        url = self._database().render_as_string(hide_password=False)
        upgrade(url)
        return url

    def _configuration(self, home: Path) -> dict[str, Any]:
        url = self._database()
        database = {
            "username": url.username,
            "password": url.password,
            "hostname": url.host,
            "port": url.port,
            "db_name": url.database,
            "scheme": "postgresql+psycopg2",
        }
        storage = {"storage": {"postgres": {"postgres_db": database}}}
        return super()._configuration(home) | storage

    def _database(self) -> sa.URL:
        name = f"bench_{secrets.token_hex(5)}"
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url.set(database=name)


def no_postgres() -> str | None:
    """Why there can be no Postgres here, or None."""
    try:
        importlib.import_module("dagster_postgres")
    except ImportError:
        return "dagster-postgres is not installed (pip install 'hf-assets[postgres]')"
    if postgres_binaries() is None:
        return "no PostgreSQL server binaries (on Debian: apt-get install postgresql-15)"
    return None


def postgres_binaries() -> Path | None:
    """Folder with ``initdb`` and ``pg_ctl``, newest version first."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def postgres_server() -> Iterator[sa.URL]:
    """A server of one's own with its default settings, that of durability included."""
    binaries = postgres_binaries()
    assert binaries is not None
    # The server refuses to run as root, and its user must be able to enter the folder.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="hf-postgres-"))
    password, secret, data = secrets.token_hex(8), folder / "password", folder / "data"
    secret.write_text(password)
    if user:
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(program: str, *arguments: str) -> None:
        # To a file: the server inherits the output, and a pipe would keep this call waiting.
        with (folder / "commands.log").open("ab") as log:
            command = [str(binaries / program), "-D", str(data), *arguments]
            subprocess.run(command, cwd="/", user=user, stdout=log, stderr=log, check=True)

    try:
        call(
            *("initdb", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}"),
            *("-E", "UTF8", "--locale=C.UTF-8"),
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        call("pg_ctl", "-w", "-l", str(folder / "server.log"), "-o", options, "start")
        try:
            address = f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/postgres"
            yield sa.make_url(address)
        finally:
            call("pg_ctl", "-m", "fast", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------------------------- the chain's cost


def measure_chain(
    partitions: int, repeats: int, singles: int, *, sqlite_only: bool
) -> dict[str, Any]:
    """Our chain against the one that does nothing, on SQLite and on Postgres."""
    cases: dict[str, Any] = {}
    shape: dict[str, int] = {}

    def on(backend_type: Callable[[Path], Backend]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            backend = backend_type(Path(folder))
            found, measured = measure_backend(Path(folder), backend, partitions, repeats, singles)
            cases.update(measured)
            shape.update(found)

    on(Backend)
    reason = "not asked for" if sqlite_only else no_postgres()
    if reason:
        say(f"skipped Postgres: {reason}")
        cases |= {case.replace("sqlite", "postgres"): None for case in cases}
    else:
        with postgres_server() as url:
            on(lambda folder: PostgresBackend(folder, url))

    def each(key: str) -> dict[str, Any]:
        return {case: figures and figures[key] for case, figures in cases.items()}

    return {
        "ratio_to_noop": cases["sqlite_many_cached"]["ratio_to_noop"],
        "goal": 1.3,
        "ratio_to_noop_by_case": each("ratio_to_noop"),
        "cpu_ratio_to_noop_by_case": each("cpu_ratio_to_noop"),
        "raw_ratio_by_case": each("raw_ratio"),
        "wall_ms_per_asset_partition": each("wall_ms"),
        "cpu_ms_per_asset_partition": each("cpu_ms"),
        "noop_wall_ms_per_asset_partition": each("noop_wall_ms"),
        "noop_cpu_ms_per_asset_partition": each("noop_cpu_ms"),
        "computation_wall_ms_per_asset_partition": each("computation_wall_ms"),
        "parts_wall_ms_per_asset_partition": each("parts_wall_ms"),
        "postgres_skipped": reason,
        "shape": shape,
    }


def measure_backend(
    folder: Path, backend: Backend, partitions: int, repeats: int, singles: int
) -> tuple[dict[str, int], dict[str, Any]]:
    """All cases of one backend: its shape, and figures by case."""
    meter = Meter()
    project = Project(folder, partitions // len(TIMEFRAMES), TIMEFRAMES, ROWS)
    instances = backend.instance(), backend.instance()

    def fresh() -> Contestant:
        return Contestant(project.definitions(backend.catalog(), meter), instances[0])

    ours = fresh()
    noop = Contestant(noop_definitions(project.definitions(backend.catalog())), instances[1])
    samples: dict[str, Samples] = defaultdict(Samples)

    def measure(case: str, contestant: Contestant, first: str, last: str) -> None:
        meter.take()
        cost = stopwatch(lambda: contestant.run(first, last))
        samples[case].add(cost, meter.take())
        if first != last:
            say(f"{backend.name} {case}: {cost.wall:.1f} s, of which {cost.cpu:.1f} s CPU")

    keys = noop.partitions
    with meter.watching():
        for contestant in (noop, ours):  # everything is imported and every table exists
            contestant.run(keys[0], keys[0])
        for turn in range(repeats):
            ours = fresh()
            turns = [("noop", noop), ("cold", ours), ("cached", ours)]
            for name, contestant in turns if turn % 2 == 0 else turns[1:] + turns[:1]:
                measure(f"many_{name}", contestant, keys[0], keys[-1])
        ours = fresh()
        for key in keys[:: max(1, len(keys) // singles)][:singles]:
            for name, contestant in (("noop", noop), ("cold", ours), ("cached", ours)):
                measure(f"one_{name}", contestant, key, key)
    for instance in instances:
        instance.dispose()
    sys.path.remove(str(folder))
    counted = {"many": len(keys) * len(noop.keys), "one": len(noop.keys)}
    cases = {
        f"{backend.name}_{runs}_{name}": compare(
            samples[f"{runs}_{name}"], samples[f"{runs}_noop"], counted[runs]
        )
        for runs in ("one", "many")
        for name in ("cold", "cached")
    }
    for case, figures in cases.items():
        say(f"{case}: {figures}")
    shape = {
        "assets": len(noop.keys),
        "steps": len(steps_of_chain(project.definitions(backend.catalog()))),
        "partitions": len(keys),
        "rounds": repeats,
        "one_partition_runs": len(samples["one_noop"].total),
        "rows": ROWS,
    }
    return shape, cases


def compare(ours: Samples, noop: Samples, asset_partitions: int) -> dict[str, Any]:
    """Figures of one case, per (asset, partition).

    The large runs are few and their disturbances only ever add, so the least counts; of the many
    small ones the median.
    """
    typical = min if len(ours.total) < 10 else statistics.median
    own = [total - spent for total, spent in zip(ours.total, ours.computation(), strict=True)]

    def wall(costs: Sequence[Cost]) -> float:
        return typical([cost.wall for cost in costs]) / asset_partitions * 1e3

    def cpu(costs: Sequence[Cost]) -> float:
        return typical([cost.cpu for cost in costs]) / asset_partitions * 1e3

    names = sorted({name for parts in ours.parts for name in parts})
    parts = {name: wall([each.get(name, Cost()) for each in ours.parts]) for name in names}
    return {
        "ratio_to_noop": round(wall(own) / wall(noop.total), 3),
        "cpu_ratio_to_noop": round(cpu(own) / cpu(noop.total), 3),
        "raw_ratio": round(wall(ours.total) / wall(noop.total), 3),
        "wall_ms": round(wall(ours.total), 2),
        "cpu_ms": round(cpu(ours.total), 2),
        "noop_wall_ms": round(wall(noop.total), 2),
        "noop_cpu_ms": round(cpu(noop.total), 2),
        "computation_wall_ms": round(wall(ours.computation()), 2),
        "parts_wall_ms": {name: round(value, 3) for name, value in parts.items()},
    }


# -------------------------------------------------------------------------------- the idle tick


def measure_tick(symbols: int, ticks: int) -> dict[str, Any]:
    """Cost of evaluating the automation condition when nothing has changed."""
    with tempfile.TemporaryDirectory() as folder:
        backend = Backend(Path(folder))
        defs = Project(Path(folder), symbols, ("1d",), rows=0).definitions()
        instance = backend.instance()
        with without_fsync():
            events = record_everything(defs, instance)
        say(f"recorded {events} events")
        result = dg.evaluate_automation_conditions(defs=defs, instance=instance)
        costs, requested = [], 0
        for _ in range(ticks):
            before, cursor = Cost.now(), result.cursor
            result = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=cursor)
            costs.append(Cost.now() - before)
            requested += result.total_requested
        instance.dispose()
    sys.path.remove(folder)
    if requested:
        raise SystemExit(f"an idle tick requested {requested} partitions")
    figures = {
        f"idle_tick_ms_{symbols}_symbols": statistics.median(cost.wall for cost in costs) * 1e3,
        f"idle_tick_cpu_ms_{symbols}_symbols": statistics.median(cost.cpu for cost in costs) * 1e3,
    }
    say(f"idle tick: {figures}")
    return {name: round(value, 1) for name, value in figures.items()}


@contextmanager
def without_fsync() -> Iterator[None]:
    """Let SQLite write without waiting for the disk, for what is not measured."""

    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(sa.Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(sa.Engine, "connect", hurry)


def record_everything(defs: dg.Definitions, instance: dg.DagsterInstance) -> int:
    """Report a materialisation of every asset partition, as a run would have left it."""
    recorded = 0
    for step in steps_of_chain(defs):
        for spec in step.specs:
            for key in step.partitions_def.get_partition_keys():  # type: ignore[union-attr]
                version = sha256_hex(f"{spec.key} {key}")
                recorded_event = partition_event(
                    spec.key,
                    key,
                    data_version=version,
                    code_version=spec.code_version or "",
                    provenance=(),
                    metadata={"rows": ROWS},
                    backfill_id=None,
                )
                instance.report_runless_asset_event(recorded_event)
                recorded += 1
    return recorded


# ------------------------------------------------------------------------------------ the import

FLOOR: Final = """
import time
started = time.perf_counter()
import dagster
print(time.perf_counter() - started)
"""
LOAD: Final = """
import time
started = time.perf_counter()
from hf_assets import definitions
imported = time.perf_counter()
definitions.defs()
print(time.perf_counter() - started, imported - started)
"""


def measure_import(rounds: int) -> dict[str, Any]:
    """Import and load of the code location against the import of Dagster, in fresh processes."""
    floor, import_only, load = [], [], []
    with tempfile.TemporaryDirectory() as home:

        def seconds(script: str) -> list[float]:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", script],
                env={**os.environ, "HF_HOME": home},
                capture_output=True,
                check=True,
                text=True,
            )
            return [float(part) for part in done.stdout.split()]

        for turn in range(rounds + 1):
            base, (whole, imported) = seconds(FLOOR), seconds(LOAD)
            if turn:  # the first round fills the caches of the disk
                floor.append(base[0])
                load.append(whole)
                import_only.append(imported)
    base = statistics.median(floor)
    figures = {
        "import_ratio": round(statistics.median(load) / base, 2),
        "import_only_ratio": round(statistics.median(import_only) / base, 2),
        "import_dagster_s": round(base, 3),
    }
    say(f"import: {figures}")
    return figures


if __name__ == "__main__":
    main()
