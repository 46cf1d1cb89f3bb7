"""The examples, run through the platform against replayed vendors, and what came of it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from rich.console import Console

from hf_assets.cli.run import RANGE_END, RANGE_START, Tally, materialise
from hf_assets.cli.session import Session, dagster_instance
from hf_assets.tracking import METRICS_KEY
from hf_resources.datasets import Dataset
from hf_resources.tracking import Tracking
from tests.universes.replays import CLOCKS, EXAMPLES, replay

CUT = {
    "us_equities": ("AAPL", "AVGO"),
    "crypto_perps": ("BTCUSDT", "SOLUSDT", "BTC/USDT"),
}
METRIC_DAYS = {
    "us_equities": ("2026-01-30", "2026-02-02"),
    "crypto_perps": ("2026-03-18", "2026-03-19"),
}
Partition = tuple[str, str]


@dataclass
class Ran:
    """An example after two runs, its asset checks and some days of quality metrics."""

    name: str
    session: Session
    first: Tally
    again: Tally
    heads_before: dict[str, dict[Partition, str]]
    requests: int
    requests_again: int
    checks: dict[str, dg.AssetCheckEvaluation]

    @property
    def clock(self) -> datetime:
        """The vendor's."""
        return CLOCKS[self.name]

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.session.project.universe.symbols

    @cached_property
    def partitions(self) -> list[Partition]:
        universe = self.session.project.universe
        return [(symbol, each) for symbol in universe.symbols for each in universe.timeframes]

    def head(self, layer: str, name: str, partition: Partition) -> Dataset:
        return self.session.store.heads(layer, name)[partition]  # type: ignore[index]

    def read(self, layer: str, name: str, partition: Partition) -> Any:
        return self.session.store.read(self.head(layer, name, partition))

    def bars(self, symbol: str, timeframe: str) -> Any:
        return self.read("market_data", "bars", (symbol, timeframe))

    def quarantine(self, symbol: str, timeframe: str) -> Any:
        return self.read("market_data", "quarantine", (symbol, timeframe))

    def enriched(self, symbol: str, timeframe: str) -> Any:
        return self.read("market_data", "enriched", (symbol, timeframe))

    def status(self, symbol: str, timeframe: str) -> Any:
        return Tracking(self.session.store).statuses()[symbol, timeframe]

    def metrics(self, day: str, partition: Partition) -> dict[str, Any]:
        at = date.fromisoformat(day)
        return Tracking(self.session.store).quality(at, at, partition)[0]

    def findings(self, check: str) -> list[dict[str, Any]]:
        table: Any = self.checks[check].metadata.get("findings")
        return [dict(record.data) for record in table.records] if table else []


def heads(session: Session) -> dict[str, dict[Partition, str]]:
    """The version of every dataset of every asset."""
    found = {}
    for name in (name for task in session.tasks for name in task.names()):
        layer, asset = name.split("/")
        stored = session.store.heads(layer, asset)  # type: ignore[arg-type]
        found[name] = {partition: head.version_hash for partition, head in stored.items()}
    return found


def run_example(name: str, folder: Path, home: Path, shared_data: Path, *, runs: int = 2) -> Ran:
    """Run the documents in a folder, twice if not told otherwise, with a state of their own."""
    with replay(name, shared_data) as vendor:
        return run_documents(
            name,
            folder,
            home,
            environment=vendor.environment,
            asked=lambda: len(vendor.server.requests),
            days=METRIC_DAYS[name],
            runs=runs,
        )


def run_documents(
    name: str,
    folder: Path,
    home: Path,
    *,
    environment: Mapping[str, str],
    days: tuple[str, str],
    asked: Callable[[], int] = lambda: 0,
    runs: int = 2,
) -> Ran:
    """Run documents whose sources are there; ``asked`` counts the requests to them so far."""
    console = Console(file=io.StringIO())
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        patch.setenv("HF_DEFS", str(folder))
        patch.setenv("HF_HOME", str(home))
        patch.setenv("DAGSTER_HOME", str(home / "dagster"))
        first = materialise(Session.load(), console)
        requests = asked()
        session = Session.load()
        before = heads(session)
        again = materialise(session, console) if runs > 1 else Tally()
        return Ran(
            name=name,
            session=session,
            first=first,
            again=again,
            heads_before=before,
            requests=requests,
            requests_again=asked() - requests,
            checks=evaluate(session, days),
        )


def evaluate(session: Session, days: tuple[str, str]) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the asset checks, and the quality metrics of some days, as their schedules do."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dagster_instance() as instance:
        session.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[METRICS_KEY],
            tags=dict(zip((RANGE_START, RANGE_END), days, strict=True)),
            run_config=quiet,
        )
        job = session.definitions.resolve_job_def("market_data_checks")
        result = job.execute_in_process(instance=instance, run_config=quiet)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def cut(name: str, folder: Path) -> Path:
    """A copy of an example with a few of its instruments."""
    shutil.copytree(EXAMPLES / name, folder)
    file = folder / "universe.yaml"
    universe = yaml.safe_load(file.read_text())
    chosen = [each for each in universe["instruments"] if each["symbol"] in CUT[name]]
    assert len(chosen) == len(CUT[name])
    file.write_text(yaml.safe_dump({**universe, "instruments": chosen}))
    return folder
