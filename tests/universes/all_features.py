"""Every feature plugin as a user would declare it, over days of shares and hours of perpetuals.

Documents are made from the registry, so that a new plugin is in them by itself, unless it needs
something beside the bars: then it is told here how it is declared, or why it is left out. Running
them and looking at what came of it is here, too; what has to come of it belongs in the tests.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.instance_for_test import instance_for_test
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._time import get_current_timestamp
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.sql.functions import count

from hf_assets import certification
from hf_assets.cli import cli
from hf_assets.cli.run import materialise
from hf_assets.cli.session import Session
from hf_assets.partitions import partition_key, symbol_and_timeframe
from hf_plugins import registry
from hf_plugins.base import OHLCV, BaseFeature
from hf_plugins.versioning import canonical_json
from hf_resources.catalog.schema import TABLES
from hf_resources.datasets import Dataset
from tests.replay import BinanceReplay, PolygonReplay, ReplayServer
from tests.replay.polygon import NEW_YORK
from tests.universes import replays

Partition = tuple[str, str]

SHARES: Final = ("AAPL", "AVGO", "MSFT")
PERPETUALS: Final = ("BTCUSDT", "SOLUSDT")

# ----------------------------------------------------------------------------- what is declared


@dataclass(frozen=True)
class Declared:
    """How a plugin is declared whose defaults on bars alone do not say enough.

    Attributes:
        params: one document is made with each.
        beside: documents that those read, without which they cannot be.
    """

    params: tuple[Mapping[str, Any], ...] = ({},)
    beside: tuple[Mapping[str, Any], ...] = ()


SOME_INDICATORS: Final = (
    *("aroon", "roc", "willr", "linreg", "donchian"),  # finite
    *("adx", "stoch", "mfi", "bbands", "cdl_pattern"),  # fading
    *("obv", "psar", "supertrend", "kama"),  # cumulative
)
"""Of each kind of memory, and of each column of the bars; all 179 are the business of the tests of
the plugin."""

DECLARED: Final[Mapping[str, Declared]] = {
    "technical.ta": Declared(tuple({"indicator": name} for name in SOME_INDICATORS)),
}

_MINUTES: Final = (
    "reads minutes of silver, the dollar or an index beside those of gold; what comes of appended "
    "ones is shown in tests/gold/test_in_dagster.py and tests/gold/test_plugins.py"
)
_TABLES: Final = (
    "reads a side table, of which there are no real rows over all of these bars; the same story on "
    "those there are is in tests/graph/test_real_side_data.py"
)
LEFT_OUT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("gold.extended", "gold.features107", "gold.lead_lag", "gold.original", "gold.risk"),
        _MINUTES,
    ),
    **dict.fromkeys(
        (
            *("fundamental.ratios", "macro.indicators", "news.finbert_sentiment"),
            *("news.sentiment", "news.sentiment_divergence", "news.sentiment_momentum"),
        ),
        _TABLES,
    ),
}


@dataclass(frozen=True)
class Feature:
    """One declared feature."""

    name: str
    key: str
    params: Mapping[str, Any]
    beside: tuple[Mapping[str, Any], ...] = ()

    @property
    def plugin(self) -> BaseFeature:
        return registry.features.create(self.key, **self.params)

    @property
    def document(self) -> dict[str, Any]:
        attributes = {"name": self.name, "plugin": self.key, "params": dict(self.params)}
        return {"type": "hf_assets.Feature", "attributes": attributes}


def built_in() -> list[str]:
    """The keys of the feature plugins of this project, whatever else is registered."""
    keys = sorted(registry.features.keys())
    return [key for key in keys if registry.features.get(key).__module__.startswith("hf_plugins.")]


def all_features() -> dict[str, Feature]:
    """The features of every plugin of this project that is not left out, by name."""
    found = {}
    for key in built_in():
        if key in LEFT_OUT:
            continue
        declared = DECLARED.get(key, Declared())
        for params in declared.params:
            name = "_".join([key.replace(".", "_"), *map(str, params.values())])
            found[name] = Feature(name, key, params, declared.beside)
    return found


# --------------------------------------------------------------------------------- the vendors


@dataclass
class Vendors:
    """Polygon and Binance on one server, with one clock, up to which they have bars."""

    server: ReplayServer
    polygon: PolygonReplay
    binance: BinanceReplay

    @property
    def environment(self) -> dict[str, str]:
        names = ("POLYGON_BASE_URL", "BINANCE_USD_M_BASE_URL")
        return {"POLYGON_API_KEY": replays.KEY, **dict.fromkeys(names, self.server.url)}

    def correct(self, partition: Partition, column: str, at: datetime, change: float) -> None:
        """Another value of one bar from now on: the old one times ``change``."""
        symbol, timeframe = partition
        # The vendor's day begins at midnight in New York.
        local = at.replace(tzinfo=NEW_YORK) if timeframe == "1d" else at
        stamp = int(local.timestamp() * 1000)
        if timeframe == "1d":
            (row,) = (r for r in self.polygon.results[symbol, 1, "day"] if r["t"] == stamp)
            row[column[0]] = type(row[column[0]])(row[column[0]] * change)
        else:
            (row,) = (r for r in self.binance.klines["usd_m", symbol, "1h"] if r[0] == stamp)
            place = OHLCV.index(column) + 1
            row[place] = f"{float(row[place]) * change:.8f}"


@contextmanager
def vendors(shared_data: Path, symbols: Iterable[str], now: datetime) -> Iterator[Vendors]:
    """The vendors of some shares and perpetuals, as long as the context lasts."""
    polygon, binance = PolygonReplay(replays.KEY), BinanceReplay()
    for symbol in symbols:
        if symbol in SHARES:
            replays.add_days(polygon, shared_data, symbol)
            continue
        hours = replays.perpetual_hours(shared_data, symbol)
        binance.add_klines("usd_m", symbol, "1h", hours)
        binance.add_funding(symbol, replays.funding(shared_data, symbol))
    with ReplayServer(polygon, binance, now=now) as server:
        yield Vendors(server, polygon, binance)


# -------------------------------------------------------------------------- an installation


@dataclass(frozen=True)
class Computed:
    """One call of a plugin by the platform: the feature, and the rows that it was given."""

    feature: str
    rows: int
    first: pd.Timestamp


@dataclass
class Step:
    """What one command did: its events by asset and partition, and the plugins' calls."""

    events: dict[tuple[str, Partition], dict[str, Any]]
    calls: list[Computed]
    output: str = ""

    @property
    def misses(self) -> set[tuple[str, Partition]]:
        """What was computed."""
        return {key for key, metadata in self.events.items() if metadata["cache"] == "miss"}

    def rows(self, feature: str) -> list[int]:
        """How many rows each computation of a feature was given."""
        return sorted(call.rows for call in self.calls if call.feature == feature)


@dataclass
class Installation:
    """A project with its own state: lake, catalog and Dagster instance."""

    root: Path
    features: Mapping[str, Feature]
    partitions: tuple[Partition, ...]
    instance: dg.DagsterInstance = field(init=False)

    def __post_init__(self) -> None:
        defs = self.root / "defs"
        universe = {each: _universe(each) for each in ("us_equities", "crypto_perps")}
        known = {each["symbol"]: each for of in universe.values() for each in of["instruments"]}
        instruments = [known[symbol] for symbol, _ in self.partitions]
        for each in instruments:
            if each["symbol"] in PERPETUALS:
                each["source"] = "perpetuals"
        _write(defs / "universe.yaml", {"timeframes": ["1d", "1h"], "instruments": instruments})
        days, hours = _market_data("us_equities"), _market_data("crypto_perps")
        # What a vendor tells of the last 30 days alone is another thing for each that comes later.
        hours["attributes"]["params"]["series"] = ["funding_rate"]
        hours["attributes"]["name"] = "perpetuals"
        del days["attributes"]["resample"]
        _write(defs / "market_data" / "defs.yaml", days, hours)
        beside = {str(each): each for feature in self.features.values() for each in feature.beside}
        documents = [feature.document for feature in self.features.values()]
        _write(defs / "features" / "defs.yaml", *beside.values(), *documents)

    @contextmanager
    def open(self, environment: Mapping[str, str]) -> Iterator[Installation]:
        """What its commands need, as long as the context lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setenv("HF_DEFS", str(self.root / "defs"))
            patch.setenv("HF_HOME", str(self.root / "state"))
            folder = self.root / "dagster"
            folder.mkdir(exist_ok=True)
            with instance_for_test(
                temp_dir=str(folder),
                synchronous_run_launcher=True,
                synchronous_run_coordinator=True,
            ) as instance:
                self.instance = instance
                yield self

    # ------------------------------------------------------------------------------- commands

    def backfill(self, name: str) -> Step:
        """One backfill of everything, as the web UI launches it and the daemon executes it."""
        target = InProcessWorkspaceLoadTarget(
            InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="hf_assets.definitions"))
        )
        with (
            self._watched() as step,
            create_test_daemon_workspace_context(target, self.instance) as workspace,
        ):
            graph = workspace.create_request_context().asset_graph
            names = [*MARKET_DATA, *(f"features/{each}" for each in self.features)]
            self.instance.add_backfill(
                PartitionBackfill.from_asset_partitions(
                    backfill_id=name,
                    asset_graph=graph,
                    partition_names=[partition_key(*each) for each in self.partitions],
                    asset_selection=[dg.AssetKey(each.split("/")) for each in names],
                    backfill_timestamp=get_current_timestamp(),
                    tags={},
                    dynamic_partitions_store=self.instance,
                    all_partitions=False,
                    title=None,
                    description=None,
                    run_config=None,
                )
            )
            for _ in range(ITERATIONS):
                if self._status(name) != BulkActionStatus.REQUESTED:
                    break
                errors = execute_backfill_iteration(workspace, logging.getLogger(__name__))
                assert [error for error in errors if error is not None] == []
        assert self._status(name) == BulkActionStatus.COMPLETED_SUCCESS
        return step

    def _status(self, backfill: str) -> BulkActionStatus:
        found = self.instance.get_backfill(backfill)
        assert found is not None
        return found.status

    def run(self) -> Step:
        """``hf run`` of the days of the shares and the hours of the perpetuals."""
        with self._watched() as step:
            session, console = Session.load(), Console(file=io.StringIO())
            for timeframe in ("1d", "1h"):
                symbols = [symbol for symbol, each in self.partitions if each == timeframe]
                tally = materialise(session, console, symbols=symbols, timeframes=[timeframe])
                assert not tally.failures
        return step

    def fetch_again(self, partition: Partition) -> Step:
        """``hf backfill SYMBOL --again``, which asks for the whole history once more."""
        symbol, timeframe = partition
        with self._watched() as step:
            arguments = ["backfill", symbol, "--timeframe", timeframe, "--again"]
            result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
            assert result.exit_code == 0, result.output
            step.output = result.output
        return step

    # -------------------------------------------------------------------------------- looking

    @contextmanager
    def _watched(self) -> Iterator[Step]:
        before = self._last_event()
        step = Step({}, [])
        with computations(step.calls):
            yield step
        step.events |= self._events_after(before)

    def _last_event(self) -> int:
        records = [
            record
            for key in self.instance.all_asset_keys()
            for record in self.instance.fetch_materializations(key, limit=1).records
        ]
        return max((record.storage_id for record in records), default=0)

    def _events_after(self, storage_id: int) -> dict[tuple[str, Partition], dict[str, Any]]:
        found = {}
        for key in self.instance.all_asset_keys():
            chosen = dg.AssetRecordsFilter(asset_key=key, after_storage_id=storage_id)
            for record in self.instance.fetch_materializations(
                chosen, limit=1000, ascending=True
            ).records:
                event = record.asset_materialization
                assert event is not None
                place = symbol_and_timeframe(str(event.partition))
                metadata = {name: value.value for name, value in event.metadata.items()}
                found[key.to_user_string(), place] = metadata
        return found

    def heads(self) -> dict[str, dict[Partition, Dataset]]:
        """The datasets that stand, of the features and of the enriched bars."""
        store = Session.load().store
        named = [("market_data", "enriched"), *(("features", name) for name in self.features)]
        return {f"{layer}/{name}": store.heads(layer, name) for layer, name in named}  # type: ignore[arg-type]

    def stored(self) -> tuple[dict[str, int], list[str]]:
        """Rows in the catalog's tables of datasets, and the objects of the lake."""
        store = Session.load().store
        with store.catalog.read() as connection:
            rows = {
                layer: connection.execute(select(count()).select_from(tables.dataset)).scalar_one()
                for layer, tables in TABLES.items()
            }
        return rows, sorted(path for path, _, _ in store.lake.list(""))


ITERATIONS: Final = 20
"""Far more than any backfill here needs; one that stalls fails instead of hanging."""
MARKET_DATA: Final = ("market_data/bars", "market_data/quarantine", "market_data/enriched")


@contextmanager
def computations(seen: list[Computed]) -> Iterator[None]:
    """Write down each call of a feature plugin that makes values.

    What a plugin calls is a part of one, and a certificate computes what stands already.
    """
    inside = False

    def watch(real: Any) -> Any:
        @functools.wraps(real)
        def watched(self: BaseFeature, data: pd.DataFrame, *arguments: Any) -> Any:
            nonlocal inside
            if inside:
                return real(self, data, *arguments)
            name = names[self.key, canonical_json(self.parameters())]
            seen.append(Computed(name, len(data), data.index[0]))
            inside = True
            try:
                return real(self, data, *arguments)
            finally:
                inside = False

        return watched

    def aside(real: Any) -> Any:
        @functools.wraps(real)
        def unwatched(*arguments: Any, **options: Any) -> Any:
            nonlocal inside
            inside, before = True, inside
            try:
                return real(*arguments, **options)
            finally:
                inside = before

        return unwatched

    names = {
        (each.key, canonical_json(each.plugin.parameters())): each.name
        for each in all_features().values()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certification, "certify", aside(certification.certify))
        for key in built_in():
            plugin = registry.features.get(key)
            for method in ("compute", "advance"):
                patch.setattr(plugin, method, watch(getattr(plugin, method)))
        yield


def _universe(example: str) -> dict[str, Any]:
    return yaml.safe_load((replays.EXAMPLES / example / "universe.yaml").read_text())


def _market_data(example: str) -> dict[str, Any]:
    """The first market data document of an example."""
    text = (replays.EXAMPLES / example / "market_data" / "defs.yaml").read_text()
    return next(iter(yaml.safe_load_all(text)))


def _write(file: Path, *documents: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
