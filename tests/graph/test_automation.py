"""When things run: the condition tick by tick, and the sweep that finds what ticks missed.

Everything is driven against a real instance: what is requested is executed with the real job, and
the next tick sees the events that came of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from hf_assets.sweep import Finding, find_stale
from hf_plugins import market_data
from tests.graph.lab import CHAIN, Lab
from tests.graph.test_events import FEATURES

AssetPartition = tuple[str, str]
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
BARS, ENRICHED = "market_data/bars", "market_data/enriched"
RSI, MOMENTUM = "features/rsi_14", "features/momentum_20"


class Harness:
    """Ticks of the automation sensor and sweeps over one lab, and the runs that they request."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cursor: AssetDaemonCursor | None = None
        self.defs = lab.definitions()

    def reload(self) -> None:
        """What a deploy does: the definitions are loaded anew."""
        self.defs = self.lab.definitions()

    def tick(self) -> set[AssetPartition]:
        """Evaluate the conditions once; what they request."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs, instance=self.lab.instance, cursor=self.cursor
        )
        self.cursor = result.cursor
        return {
            (name, str(partition))
            for name in self.lab.asset_names(self.defs)
            for partition in result.get_requested_partitions(dg.AssetKey(name.split("/")))
        }

    def run(self, requested: Iterable[AssetPartition]) -> dict[AssetPartition, str]:
        """One run per partition, as the daemon makes them; version by asset partition.

        A run that fails has no event here.
        """
        wanted: dict[str, list[str]] = {}
        for asset, partition in sorted(requested):
            wanted.setdefault(partition, []).append(asset)
        before = self.lab.last_storage_id()
        for partition, assets in wanted.items():
            self.launch(assets, partition)
        return {key: found.version for key, found in self.lab.events_after(before).items()}

    def launch(self, assets: Iterable[str], partition: str) -> bool:
        """Execute one run with the real job; whether it succeeded."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.lab.instance,
            asset_selection=[dg.AssetKey(name.split("/")) for name in assets],
            partition_key=partition,
            run_config=QUIET,
            raise_on_error=False,
        ).success

    def tick_and_run(self) -> set[AssetPartition]:
        """A tick, and the runs that it requests."""
        requested = self.tick()
        self.run(requested)
        return requested

    def until_quiet(self, limit: int = 12) -> list[set[AssetPartition]]:
        """Ticks with their runs until one requests nothing; what each requested."""
        waves: list[set[AssetPartition]] = []
        for _ in range(limit):
            waves.append(self.tick_and_run())
            if not waves[-1]:
                return waves[:-1]
        raise AssertionError(f"still requesting after {limit} ticks: {waves}")

    def sweep(self) -> list[Finding]:
        """What the sweep finds."""
        return find_stale(self.lab.store, self.lab.tasks(), self.lab.covered())


@contextmanager
def computing(
    monkeypatch: pytest.MonkeyPatch, during: Callable[[], Any] | None = None
) -> Iterator[list[int]]:
    """Intercept the computation of enriched bars; ``during`` runs once, after inputs were read."""
    calls: list[int] = []
    real = market_data.adjusted_bars

    def adjusted_bars(frame: Any) -> Any:
        calls.append(len(frame))
        if during is not None and len(calls) == 1:
            elsewhere = threading.Thread(target=during)
            elsewhere.start()
            elsewhere.join()
        if during is None:
            raise ValueError("this computation never succeeds")
        return real(frame)

    with monkeypatch.context() as patch:
        patch.setattr(market_data, "adjusted_bars", adjusted_bars)
        yield calls


def revise(lab: Lab, symbol: str, timeframe: str = "1d", *, by: float = 0.02) -> None:
    """A vendor corrects one close, which every feature here reads."""
    frame = lab.read_bars(symbol, timeframe)
    row = frame.index[len(frame) // 2]
    frame.loc[row, "close"] += by
    frame.loc[row, "high"] = max(frame.loc[row, "high"], frame.loc[row, "close"])
    lab.write_bars(symbol, timeframe, frame)


@pytest.fixture
def small(make_lab: Callable[..., Lab]) -> Harness:
    """Two symbols, bars to features, all computed, and a first tick taken."""
    lab = make_lab(yaml_text=FEATURES, rows=60)
    lab.run()
    harness = Harness(lab)
    assert harness.tick() == set(), "what was there before the first tick is not requested"
    return harness


# ------------------------------------------------------------------------------ the condition


def test_an_unchanged_rematerialisation_requests_nothing(small: Harness) -> None:
    before = {e.storage_id for e in small.lab.all_events(BARS)}
    small.lab.run([BARS])
    assert len({e.storage_id for e in small.lab.all_events(BARS)} - before) == 2
    assert [small.tick(), small.tick()] == [set(), set()]


def test_a_revised_symbol_requests_exactly_what_is_affected_level_by_level(small: Harness) -> None:
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    assert small.until_quiet() == [
        {(ENRICHED, "AAA|1d")},
        {(RSI, "AAA|1d"), (MOMENTUM, "AAA|1d")},
    ]


def test_a_request_alone_does_not_cascade(small: Harness) -> None:
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    assert small.tick() == {(ENRICHED, "AAA|1d")}
    assert [small.tick(), small.tick()] == [set(), set()], "enriched has not changed yet"
    small.run({(ENRICHED, "AAA|1d")})
    assert small.tick() == {(RSI, "AAA|1d"), (MOMENTUM, "AAA|1d")}


def test_levels_below_a_hit_are_not_requested(make_lab: Callable[..., Lab]) -> None:
    """A revised volume changes no feature here, so nothing below the features is requested."""
    lab = make_lab(yaml_text=CHAIN, rows=150)
    lab.run()
    harness = Harness(lab)
    assert harness.tick() == set()
    frame = lab.read_bars("BBB")
    frame.loc[frame.index[100], "volume"] += 1
    lab.write_bars("BBB", "1d", frame)
    lab.run([BARS])
    waves = harness.until_quiet()
    for w in waves:
        print(w)
    assert 0


def test_whole_chain(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(yaml_text=CHAIN, rows=150)
    lab.run()
    harness = Harness(lab)
    assert harness.tick() == set()
    revise(lab, "BBB")
    lab.run([BARS])
    waves = harness.until_quiet()
    for w in waves:
        print(w)
    assert 0


@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_a_change_during_the_computation_is_not_lost(
    small: Harness, monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    assert small.tick() == {(ENRICHED, "AAA|1d")}
    seen = []

    def meanwhile() -> None:
        revise(small.lab, "AAA", by=0.03)
        small.launch([BARS], "AAA|1d")
        seen.extend(small.tick() for _ in range(ticks))

    with computing(monkeypatch, meanwhile):
        small.run({(ENRICHED, "AAA|1d")})
    assert seen == [set()] * ticks, "nothing is requested twice at once"
    latest = small.lab.head(BARS, "AAA|1d").version_hash
    read = small.lab.all_events(ENRICHED)[-1].tags[f"dagster/input_data_version/{BARS}"]
    assert read != latest, "the run has read what stood when it began"
    requested = [asset for wave in small.until_quiet() for asset in wave]
    assert (ENRICHED, "AAA|1d") in requested
    read = small.lab.all_events(ENRICHED)[-1].tags[f"dagster/input_data_version/{BARS}"]
    assert read == latest
    assert small.sweep() == []


@pytest.mark.parametrize("ticks", [0, 2])
def test_a_failed_run_is_retried_once(
    small: Harness, monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    requested: Counter[AssetPartition] = Counter()
    with computing(monkeypatch):
        for _ in range(8):
            requested.update(small.tick_and_run())
    assert requested == {(ENRICHED, "AAA|1d"): 2}
    # A later change is a new reason to try.
    revise(small.lab, "AAA", by=0.05)
    small.lab.run([BARS])
    assert small.until_quiet() == [
        {(ENRICHED, "AAA|1d")},
        {(RSI, "AAA|1d"), (MOMENTUM, "AAA|1d")},
    ]
