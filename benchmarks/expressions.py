"""Fourteen expressions on 800 symbols of 3,400 days: cold, warm and after one more day.

The task is that of the benchmark of Qlib's data server: a dataset of 14 features from the daily
bars of a stock market, 800 stocks a day from 2007 to 2020. Its published times on one processor are
in the result for reference (README of microsoft/qlib, "Performance of Qlib Data Server"); which
14 features they are of is not published, nor is the machine, so only their class can be compared.
``-E -D`` is Qlib without its caches, ``+E -D`` with that of expressions, ``+E +D`` with that of
datasets too.

Measured is what the body of an asset does, in one process over all symbols: the guard with its
look-ups, the tails and whole histories that it has computed, publishing to a lake and a catalog on
disk, and the events that it yields; then reading all features of all symbols through the client.
Bars are generated and stored before the clock starts, kernels are compiled. *Cold*: nothing is
known. *Warm*: the same again, every partition a hit. *Appended*: a day more, of which the tails are
computed. What Dagster adds, which writes two rows to its event log for each asset and partition, is
measured with real runs of fewer symbols, per asset and partition (``run_ms``); that is a cost of
Dagster and its database, and ``benchmarks/orchestration.py`` compares it with assets that do
nothing. *Polars*: the same expressions in one thread, from a plain Parquet file to another, in a
process of its own, without identity, history or events; it has no memory, so a day more costs it
all of it again. Values are compared on a sample before anything is told.

Each time is of one pass, on the clock and (``cpu``) of the processor, which a busy machine does not
stretch. The last line is one JSON object.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import argparse
import gc
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import yaml

FEATURES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "momentum_5": ("statistical.momentum", {"window": 5}),
    "momentum_20": ("statistical.momentum", {"window": 20}),
    "momentum_60": ("statistical.momentum", {"window": 60}),
    "mean_reversion_20": ("statistical.mean_reversion", {"window": 20}),
    "z_score_60": ("statistical.z_score", {"window": 60}),
    "z_score_volume_20": ("statistical.z_score", {"window": 20, "column": "volume"}),
    "bbands_20": ("technical.bbands", {"length": 20}),
    "alpha009": ("alpha101.alpha009", {}),
    "alpha012": ("alpha101.alpha012", {}),
    "alpha023": ("alpha101.alpha023", {}),
    "alpha046": ("alpha101.alpha046", {}),
    "alpha053": ("alpha101.alpha053", {}),
    "alpha054": ("alpha101.alpha054", {}),
    "alpha101": ("alpha101.alpha101", {}),
}
PUBLISHED: Final = {
    "source": "README of microsoft/qlib, Performance of Qlib Data Server",
    "one_cpu_s": {
        "HDF5": 184.4,
        "MySQL": 365.3,
        "MongoDB": 253.6,
        "InfluxDB": 368.2,
        "Qlib -E -D": 147.0,
        "Qlib +E -D": 47.6,
        "Qlib +E +D": 7.4,
    },
    "sixty_four_cpus_s": {"Qlib -E -D": 8.8, "Qlib +E -D": 4.2},
}
COLUMNS: Final = ("open", "high", "low", "close", "volume")
UNITS: Final = ("wall", "cpu")
SAMPLE: Final = 5
TOLERANCE: Final = 1e-9
"""Of two numbers, as a fraction of the larger or of 1: polars runs its moving sums along."""
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main() -> None:
    """Measure everything, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=800)
    parser.add_argument("--days", type=int, default=3400)
    parser.add_argument("--run-symbols", type=int, default=20, help="of the runs of Dagster")
    parser.add_argument("--polars", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.polars:
        print(json.dumps(polars_alone(options.polars)))
        return
    warnings.simplefilter("ignore")
    for name in ("dagster", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    started = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder) / "guard", options.symbols, options.days)
        figures["run_ms"] = runs(Path(folder) / "runs", options.run_symbols, options.days)
    shape = {"symbols": options.symbols, "days": options.days, "expressions": len(FEATURES)}
    machine = {"cpus": os.cpu_count(), "load_at_start": round(started, 2)}
    told = {"benchmark": "expressions", **shape, "machine": machine, **figures}
    print(json.dumps({**told, "published": PUBLISHED}))


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def measure(root: Path, symbols: int, days: int) -> dict[str, Any]:
    """All figures."""
    platform = Platform(root, symbols)
    frames = {symbol: bars(days + 1, number) for number, symbol in enumerate(platform.symbols)}
    platform.publish({symbol: frame.iloc[:days] for symbol, frame in frames.items()})
    compile_kernels(frames[platform.symbols[0]])
    figures: dict[str, Any] = {}
    figures["plugins_alone"] = stopwatch(lambda: plugins_alone(frames, days))
    for name, hits in (("cold", 0), ("warm", symbols * len(FEATURES))):
        figures[name] = stopwatch(lambda hits=hits: platform.guard(hits))
        say(f"{name}: {figures[name]}")
    loaded: dict[str, pl.DataFrame] = {}
    figures["load"] = stopwatch(lambda: loaded.update(platform.load()))
    say(f"load: {figures['load']}")
    figures["polars"] = polars_of(root, {each: frames[each].iloc[:days] for each in frames})
    figures["worst_difference"] = agree(root, loaded, platform.symbols)
    loaded.clear()
    platform.publish({symbol: frame.iloc[days:] for symbol, frame in frames.items()})
    figures["appended"] = stopwatch(lambda: platform.guard(0))
    say(f"appended: {figures['appended']}")
    figures["load_appended"] = stopwatch(lambda: loaded.update(platform.load()))
    rows = {len(frame) for frame in loaded.values()}
    if rows != {days + 1}:
        raise AssertionError(f"the grown features have {rows} rows, not {days + 1}")
    alone = figures["polars"]["total"]
    figures["over_polars"] = {
        name: {unit: round(figures[name][f"{unit}_s"] / alone[f"{unit}_s"], 3) for unit in UNITS}
        for name in ("cold", "warm", "appended")
    }
    return figures


def runs(root: Path, symbols: int, days: int) -> dict[str, dict[str, float]]:
    """Milliseconds of real runs for each asset and partition."""
    platform = Platform(root, symbols)
    frames = {symbol: bars(days + 1, number) for number, symbol in enumerate(platform.symbols)}
    platform.publish({symbol: frame.iloc[:days] for symbol, frame in frames.items()})
    figures = {name: stopwatch(platform.run) for name in ("cold", "warm")}
    platform.publish({symbol: frame.iloc[days:] for symbol, frame in frames.items()})
    figures["appended"] = stopwatch(platform.run)
    each = 1e3 / (symbols * len(FEATURES))
    found = {
        name: {unit.replace("_s", "_ms"): round(each * value, 2) for unit, value in costs.items()}
        for name, costs in figures.items()
    }
    say(f"runs: {found}")
    return found


def stopwatch(action: Callable[[], object]) -> dict[str, float]:
    """Seconds of an action, after the garbage of what came before is gone."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return {
        "wall_s": round(time.perf_counter() - wall, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
    }


def bars(rows: int, seed: int) -> pd.DataFrame:
    """Daily bars of a random walk: prices in hundredths of a cent, whole shares."""
    random = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.015, rows)))
    opening = np.r_[50.0, close[:-1]] * np.exp(random.normal(0.0, 0.005, rows))
    reach = 1.0 + np.abs(random.normal(0.0, 0.006, (2, rows)))
    prices = {
        "open": opening,
        "high": np.maximum(opening, close) * reach[0],
        "low": np.minimum(opening, close) / reach[1],
        "close": close,
    }
    frame = pd.DataFrame(prices).round(4)
    frame["volume"] = np.floor(random.lognormal(12.0, 0.5, rows))
    frame.index = pd.date_range("2007-01-01", periods=rows, freq="1D", tz="UTC", name="timestamp")
    return frame


def compile_kernels(frame: pd.DataFrame) -> None:
    """Compute every feature once."""
    plugins_alone({"": frame}, len(frame))


def plugins_alone(frames: Mapping[str, pd.DataFrame], days: int) -> None:
    """What the plugins take for everything, without a platform around them."""
    from hf_plugins.registry import features

    plugins = [features.create(key, **params) for key, params in FEATURES.values()]
    for frame in frames.values():
        for plugin in plugins:
            plugin.compute(frame.iloc[:days].loc[:, list(plugin.columns)])


# ---------------------------------------------------------------------------------- the platform


class Platform:
    """A throwaway project on disk, whose bars are put into the store as they are."""

    def __init__(self, root: Path, symbols: int) -> None:
        import dagster as dg

        from hf_assets.build import build_definitions
        from hf_assets.graph import build_tasks
        from hf_assets.partitions import partition_key
        from hf_assets.project import load_project
        from hf_assets.resources import StoreResource

        self.symbols = [f"S{number:04d}" for number in range(symbols)]
        self.partitions = [partition_key(symbol, "1d") for symbol in self.symbols]
        package = root / f"expressions_{root.name}"
        self._write(package)
        sys.path.insert(0, str(root))
        resource = StoreResource(home=str(root / "state"))
        tree = dg.ComponentTree.from_module(
            defs_module=importlib.import_module(f"{package.name}.defs"), project_root=root
        )
        definitions = build_definitions(tree, store=resource)
        (root / "dagster").mkdir()
        self.instance = dg.DagsterInstance.local_temp(str(root / "dagster"))
        self.job = definitions.resolve_implicit_global_asset_job_def()
        names = {f"features/{name}" for name in FEATURES}
        self.tasks = [task for task in build_tasks(load_project(tree)) if names & set(task.names())]
        self.store = resource.store()

    def _write(self, package: Path) -> None:
        folder = package / "defs"
        for name in ("source", "features"):
            (folder / name).mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (folder / "__init__.py").write_text("")
        source = {"source": "parquet", "params": {"folder": str(package)}}
        market = {"type": "hf_assets.MarketData", "attributes": source}
        (folder / "source" / "defs.yaml").write_text(yaml.safe_dump(market))
        documents = [
            {
                "type": "hf_assets.Feature",
                "attributes": {"name": name, "plugin": key, "params": params},
            }
            for name, (key, params) in FEATURES.items()
        ]
        (folder / "features" / "defs.yaml").write_text(yaml.safe_dump_all(documents))
        like = {"asset_class": "equity", "calendar": "24/7"}
        precision = {"price_precision": 4, "size_precision": 0}
        instruments = [{"symbol": symbol, **like, **precision} for symbol in self.symbols]
        universe = {"timeframes": ["1d"], "instruments": instruments}
        (folder / "universe.yaml").write_text(yaml.safe_dump(universe))

    def publish(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Put bars behind those that there are."""
        from hf_plugins.versioning import (
            Identity,
            Implementation,
            InputVersion,
            frame_digests,
            source_fingerprint,
        )
        from hf_resources.datasets import DatasetRef, Definition

        definition = Definition("market_data", "enriched", "market_data.enriched", {})
        for symbol, frame in frames.items():
            ref = DatasetRef("market_data", "enriched", symbol, "1d")
            head = self.store.head(ref)
            used = {"fetched": InputVersion("", frame_digests(frame))}
            identity = Identity(
                plugin_key=definition.plugin_key,
                params={},
                symbol=symbol,
                timeframe="1d",
                start_date="",
                end_date=str(frame.index[-1]),
                source_fingerprint=source_fingerprint(used),
                code_version="benchmark",
                implementation=Implementation({}, {}),
                inputs=used,
            )
            staged = self.store.stage(frame, "1d", base=head)
            self.store.publish(ref, identity, definition=definition, frame=staged, expected=head)

    def guard(self, hits: int) -> None:
        """The body of the assets over all symbols, without Dagster's log of events."""
        import dagster as dg

        from hf_assets.execution import RunOptions, execute

        context: Any = SimpleNamespace(
            selected_asset_keys={key for task in self.tasks for key in task.asset_keys()},
            partition_keys=self.partitions,
            instance=self.instance,
            run=SimpleNamespace(tags={}),
            log=logging.getLogger(__name__),
        )
        events = [
            event
            for event in execute(context, self.store, self.tasks, RunOptions())
            if isinstance(event, dg.AssetMaterialization)
        ]
        found = [event.metadata["cache"].value for event in events]
        if len(found) != len(self.partitions) * len(FEATURES) or found.count("hit") != hits:
            raise AssertionError(f"{found.count('hit')} of {len(found)} were hits, not {hits}")

    def run(self) -> None:
        """One run of all features over all symbols."""
        import dagster as dg

        done = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(["features", name]) for name in FEATURES],
            tags={
                "dagster/asset_partition_range_start": self.partitions[0],
                "dagster/asset_partition_range_end": self.partitions[-1],
            },
            run_config=QUIET,
        )
        if not done.success:
            raise SystemExit("a run failed")

    def load(self) -> dict[str, pl.DataFrame]:
        """All features of each symbol beside each other, as a new client reads them."""
        from hf_resources.client import Client

        client = Client(self.store)
        return {symbol: client.features(symbol, "1d", [*FEATURES]) for symbol in self.symbols}


# --------------------------------------------------------------------------------- polars alone


def polars_of(root: Path, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What polars takes, in a process with one thread."""
    parts = [
        pl.from_pandas(frame.reset_index()).select(
            pl.lit(symbol).alias("symbol"), pl.all().exclude("symbol")
        )
        for symbol, frame in frames.items()
    ]
    pl.concat(parts).write_parquet(root / "bars.parquet", compression="zstd")
    done = subprocess.run(
        [sys.executable, __file__, "--polars", str(root)],
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    figures = json.loads(done.stdout.splitlines()[-1])
    say(f"polars: {figures}")
    return figures


def polars_alone(root: Path) -> dict[str, Any]:
    """Read plain Parquet, compute, write plain Parquet; one thread."""
    if pl.thread_pool_size() != 1:
        raise SystemExit("polars has more than one thread")
    made: dict[str, pl.DataFrame] = {}
    steps = {
        "read": lambda: made.update(bars=pl.read_parquet(root / "bars.parquet")),
        "compute": lambda: made.update(
            features=made["bars"].lazy().select("symbol", "timestamp", *expressions()).collect()
        ),
        "write": lambda: made["features"].write_parquet(
            root / "features.parquet", compression="lz4"
        ),
    }
    figures = {name: stopwatch(step) for name, step in steps.items()}
    total = {
        f"{unit}_s": round(sum(each[f"{unit}_s"] for each in figures.values()), 3) for unit in UNITS
    }
    return {"total": total, **figures}


def expressions() -> list[pl.Expr]:
    """The features as polars writes them, by the names of their columns."""
    opening, high, low, close, volume = (pl.col(name) for name in COLUMNS)

    def score(column: pl.Expr, window: int) -> pl.Expr:
        return (column - column.rolling_mean(window)) / column.rolling_std(window, ddof=1)

    def change(column: pl.Expr, rows: int) -> pl.Expr:
        return column - column.shift(rows)

    middle, deviation = close.rolling_mean(20), close.rolling_std(20, ddof=0)
    lower, upper = middle - 2.0 * deviation, middle + 2.0 * deviation
    moved = change(close, 1)
    # Rounded, as the feature takes what cancels but for rounding for 0.
    bend = ((close.shift(20) - close.shift(10)) / 10 - (close.shift(10) - close) / 10).round(12)
    place = (close - low - (high - close)) / (close - low)
    named = {
        **{f"momentum_{rows}": close / close.shift(rows) - 1.0 for rows in (5, 20, 60)},
        "mean_reversion_20": score(close, 20),
        "z_score_60": score(close, 60),
        "z_score_volume_20": score(volume, 20),
        "bbands_lower_20_2": lower,
        "bbands_middle_20_2": middle,
        "bbands_upper_20_2": upper,
        "bbands_width_20_2": (upper - lower) / middle,
        "bbands_percent_20_2": (close - lower) / (upper - lower),
        "alpha009": pl.when(moved.rolling_min(5).is_null())
        .then(None)
        .when((moved.rolling_min(5) > 0) | (moved.rolling_max(5) < 0))
        .then(moved)
        .otherwise(-moved),
        "alpha012": change(volume, 1).sign() * -moved,
        "alpha023": pl.when(high.rolling_mean(20).is_null())
        .then(None)
        .when(high.rolling_mean(20) < high)
        .then(-change(high, 2))
        .otherwise(0.0),
        "alpha046": pl.when(bend.is_null())
        .then(None)
        .when(bend > 0.25)
        .then(-1.0)
        .when(bend < 0)
        .then(1.0)
        .otherwise(-moved),
        "alpha053": -change(place, 9),
        "alpha054": -((low - close) * opening**5) / ((low - high) * close**5),
        "alpha101": (close - opening) / (high - low + 0.001),
    }
    return [each.over("symbol").alias(name) for name, each in named.items()]


def agree(root: Path, ours: Mapping[str, pl.DataFrame], symbols: list[str]) -> float:
    """Refuse to compare the speed of different numbers; the largest difference of a sample."""
    theirs = pl.read_parquet(root / "features.parquet")
    worst = 0.0
    for symbol in symbols[:: max(1, len(symbols) // SAMPLE)]:
        expected = theirs.filter(pl.col("symbol") == symbol).drop("symbol", "timestamp")
        found = ours[symbol].select(expected.columns).to_numpy()
        values = expected.to_numpy()
        values = np.where(np.isfinite(values), values, np.nan)
        if not np.array_equal(np.isnan(found), np.isnan(values)):
            raise AssertionError(f"{symbol}: other values are null than with polars")
        scale = np.maximum(1.0, np.maximum(np.abs(found), np.abs(values)))
        worst = max(worst, float(np.nanmax(np.abs(found - values) / scale)))
    if not worst <= TOLERANCE:
        raise AssertionError(f"values differ by {worst:g}")
    return worst


if __name__ == "__main__":
    main()
