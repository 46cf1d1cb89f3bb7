"""When things run: the condition tick by tick, and the sweep that finds what ticks missed.

Everything is driven against a real instance: what is requested is executed with the real job, and
the next tick sees the events that came of it.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.test_utils import create_run_for_test, freeze_time
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._time import get_current_timestamp
from sqlalchemy import event

from hf_assets.build import partition_sets
from hf_assets.project import load_project
from hf_assets.sweep import REPORT_KEY, Finding, busy_partitions, find_stale, requests
from hf_plugins.enrichment import bars as enrichment
from tests.graph.lab import CHAIN, Lab, range_tags
from tests.graph.test_backfill import daemon_for
from tests.graph.test_events import FEATURES, FETCHED, FIVE

NARROW: Final = CHAIN.replace("[AAA, BBB]", "[AAA]")
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
        graph = self.defs.resolve_asset_graph()
        runs: dict[tuple[Any, str], list[str]] = {}
        for asset, partition in sorted(requested):
            definition = graph.get(dg.AssetKey(asset.split("/"))).partitions_def
            runs.setdefault((definition, partition), []).append(asset)
        before = self.lab.last_storage_id()
        for (_, partition), assets in runs.items():
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

    def sweep_requests(self) -> list[dg.RunRequest]:
        """What the sweep requests."""
        busy = busy_partitions(self.lab.instance, self.lab.covered())
        definitions = partition_sets(load_project(self.lab.tree), self.lab.tasks())
        return requests(self.sweep(), busy, definitions)

    def launch_request(self, request: dg.RunRequest) -> bool:
        """Execute what the sweep requests."""
        assert request.partition_key is not None
        return self.launch([asset for asset, _ in asset_partitions(request)], request.partition_key)


def asset_partitions(request: dg.RunRequest) -> set[AssetPartition]:
    """What a run request covers."""
    return {
        (key.to_user_string(), str(request.partition_key)) for key in request.asset_selection or ()
    }


@contextmanager
def computing(
    monkeypatch: pytest.MonkeyPatch,
    during: Callable[[], Any] = lambda: None,
    *,
    fails: bool = False,
) -> Iterator[None]:
    """Intercept the computation of enriched bars: ``during`` runs when the inputs were read."""
    real = enrichment.adjusted_bars

    def adjusted_bars(frame: Any) -> Any:
        elsewhere = threading.Thread(target=during)
        elsewhere.start()
        elsewhere.join()
        if fails:
            raise ValueError("this computation never succeeds")
        return real(frame)

    with monkeypatch.context() as patch:
        patch.setattr(enrichment, "adjusted_bars", adjusted_bars)
        yield


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


@pytest.fixture
def chain(make_lab: Callable[..., Lab]) -> Harness:
    """Bars to the report of a strategy that trades one symbol in one of two timeframes."""
    lab = make_lab(timeframes=("1h", "1d"), yaml_text=NARROW, rows=150)
    lab.run()
    harness = Harness(lab)
    assert harness.tick() == set()
    return harness


@pytest.mark.slow
def test_the_whole_chain_level_by_level(chain: Harness) -> None:
    """The model also reads prices, the backtest too: both wait for what comes by the longer way."""
    revise(chain.lab, "AAA")
    chain.lab.run([BARS])
    assert chain.until_quiet() == [
        {(ENRICHED, "AAA|1d")},
        {("features/rsi_14", "AAA|1d"), ("features/atr_14", "AAA|1d")},
        {("models/forest", "AAA|1d"), ("predictions/forest", "AAA|1d")},
        {("signals/quantile", "AAA|1d")},
        {("backtests/trend", "AAA|1d")},
        {("reports/trend", "1d")},
    ]
    # Nothing of it was computed from something old: it stands as the sweep would have it.
    assert chain.sweep() == []
    # A volume changes enriched bars, but neither features nor predictions: below them is silence.
    frame = chain.lab.read_bars("AAA")
    frame.loc[frame.index[100], "volume"] += 1
    chain.lab.write_bars("AAA", "1d", frame)
    chain.lab.run([BARS])
    assert chain.until_quiet() == [
        {(ENRICHED, "AAA|1d")},
        {("features/rsi_14", "AAA|1d"), ("features/atr_14", "AAA|1d")},
        {("models/forest", "AAA|1d"), ("predictions/forest", "AAA|1d")},
        {("backtests/trend", "AAA|1d")},
    ]


@pytest.mark.parametrize("ticks", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_change_during_the_computation_is_not_lost(
    small: Harness, monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    """With no tick during the run the change meets the tick that follows the request."""
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    assert small.tick() == {(ENRICHED, "AAA|1d")}
    seen: list[set[AssetPartition]] = []

    def meanwhile() -> None:
        revise(small.lab, "AAA", by=0.03)
        assert small.launch(FETCHED, "AAA|1d")
        seen.extend(small.tick() for _ in range(ticks))

    with computing(monkeypatch, meanwhile):
        small.run({(ENRICHED, "AAA|1d")})
    assert seen == [set()] * ticks, "nothing is requested twice at once"
    newest, finished = small.lab.all_events(BARS)[-1], small.lab.all_events(ENRICHED)[-1]
    assert newest.storage_id < finished.storage_id
    assert newest.version != finished.tags[f"dagster/input_data_version/{BARS}"]
    waves = small.until_quiet()
    assert waves[0] == {(ENRICHED, "AAA|1d")}
    finished = small.lab.all_events(ENRICHED)[-1]
    assert newest.version == finished.tags[f"dagster/input_data_version/{BARS}"]
    assert small.sweep() == []


@pytest.mark.parametrize("ticks", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_failed_run_is_retried_once(
    small: Harness, monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    """Also when ticks fall into the runs, which then are seen to begin and to fail."""
    revise(small.lab, "AAA")
    small.lab.run([BARS])
    requested: Counter[AssetPartition] = Counter()

    def meanwhile() -> None:
        for _ in range(ticks):
            requested.update(small.tick())

    with computing(monkeypatch, meanwhile, fails=True):
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


@pytest.mark.slow
def test_a_later_failure_has_a_retry_of_its_own(
    small: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for by in (0.02, 0.03):
        revise(small.lab, "AAA", by=by)
        small.lab.run([BARS])
        with computing(monkeypatch, fails=True):
            assert small.until_quiet() == [{(ENRICHED, "AAA|1d")}] * 2
        small.run({(ENRICHED, "AAA|1d")})  # an operator mends it
        small.until_quiet()


def test_a_changed_code_version_is_requested_while_the_cursor_lives(small: Harness) -> None:
    small.lab.edit_yaml("length: 14", "length: 21")
    small.reload()
    assert small.until_quiet() == [{(RSI, "AAA|1d"), (RSI, "BBB|1d")}]


def test_new_bars_of_a_symbol_are_followed_down(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(yaml_text=FEATURES, rows=60)
    lab.run(partition="AAA|1d")
    harness = Harness(lab)
    assert harness.tick() == set()
    harness.launch(FETCHED, "BBB|1d")
    assert harness.until_quiet() == [
        {(ENRICHED, "BBB|1d")},
        {(RSI, "BBB|1d"), (MOMENTUM, "BBB|1d")},
    ]


def test_what_was_missing_before_the_first_tick_is_left_to_the_sweep(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(yaml_text=FEATURES, rows=40)
    lab.run([BARS])
    harness = Harness(lab)
    assert [harness.tick(), harness.tick()] == [set(), set()]
    found = {(finding.key, finding.partition, finding.status) for finding in harness.sweep()}
    assert found == {(ENRICHED, (symbol, "1d"), "missing") for symbol in lab.symbols}


# ---------------------------------------------------------------------------------- the sweep


@pytest.mark.slow
def test_a_deploy_with_a_reset_cursor_is_found_by_the_sweep_and_settled(chain: Harness) -> None:
    chain.lab.edit_yaml(
        "length: 14}}\n---\ntype: hf_assets.Model", "length: 9}}\n---\ntype: hf_assets.Model"
    )
    chain.lab.edit_yaml("signal: quantile}", "signal: quantile, commission: 0.001}")
    chain.reload()
    chain.cursor = None
    assert [chain.tick(), chain.tick()] == [set(), set()], "the edge is gone for good"
    everywhere = {
        f"{symbol}|{timeframe}" for symbol in ("AAA", "BBB") for timeframe in ("1h", "1d")
    }
    found = chain.sweep()
    assert {(f.key, f.reasons) for f in found} == {
        ("features/atr_14", ("parameter length 14 -> 9",)),
        ("backtests/trend", ("parameter params.commission 0.0005 -> 0.001",)),
    }
    waves = []
    while wanted := chain.sweep_requests():
        waves.append({pair for request in wanted for pair in asset_partitions(request)})
        for request in wanted:
            assert chain.launch_request(request)
        assert len(waves) <= 6
    assert waves == [
        {("features/atr_14", partition) for partition in everywhere},
        {
            (asset, partition)
            for asset in ("models/forest", "predictions/forest")
            for partition in everywhere
        },
        {("signals/quantile", partition) for partition in everywhere},
        {("backtests/trend", "AAA|1d")},
        {("reports/trend", "1d")},
    ]
    assert chain.sweep() == []
    assert len(chain.lab.all_events("backtests/trend")) == 2, "computed once, when all was there"


@pytest.mark.slow
def test_a_source_that_is_read_otherwise_is_found_by_the_sweep(chain: Harness) -> None:
    moved = chain.lab.bars_folder.with_name("elsewhere")
    chain.lab.bars_folder.rename(moved)
    chain.lab.edit_yaml(str(chain.lab.bars_folder), str(moved), document="source")
    chain.reload()
    found = [finding for finding in chain.sweep() if not finding.waits]
    assert {(f.key, f.partition[0]) for f in found} == {(BARS, "AAA"), (BARS, "BBB")}
    assert found[0].reasons == (f"parameter params.folder {chain.lab.bars_folder} -> {moved}",)
    for request in chain.sweep_requests():
        assert chain.launch_request(request)
    assert chain.sweep() == [], "the same bars from elsewhere change nothing below"


EXTRA = """
---
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
"""


@pytest.mark.slow
def test_assets_with_other_partitions_are_requested_apart(make_lab: Callable[..., Lab]) -> None:
    """One run cannot hold assets whose partitions differ, though the partition is the same."""
    lab = make_lab(timeframes=("1h", "1d"), yaml_text=NARROW.rstrip() + EXTRA, rows=150)
    lab.run(partition="AAA|1d")
    lab.edit_yaml("window: 20}}", "window: 10}}")
    lab.edit_yaml("signal: quantile}", "signal: quantile, commission: 0.001}")
    harness = Harness(lab)
    wanted = harness.sweep_requests()
    assert sorted(map(asset_partitions, wanted), key=str) == [
        {("backtests/trend", "AAA|1d")},
        {(MOMENTUM, "AAA|1d")},
    ]
    assert all(harness.launch_request(request) for request in wanted)
    assert [asset_partitions(r) for r in harness.sweep_requests()] == [{("reports/trend", "1d")}]


@pytest.mark.slow
def test_the_sweep_leaves_out_partitions_of_unfinished_runs(small: Harness) -> None:
    small.lab.edit_yaml("length: 14", "length: 21")
    small.reload()
    key = dg.AssetKey(RSI.split("/"))

    def wanted() -> set[AssetPartition]:
        return {pair for request in small.sweep_requests() for pair in asset_partitions(request)}

    assert wanted() == {(RSI, "AAA|1d"), (RSI, "BBB|1d")}
    one = {"dagster/partition": "AAA|1d"}
    for status, tags, left in (
        (dg.DagsterRunStatus.NOT_STARTED, one, {(RSI, "BBB|1d")}),
        (dg.DagsterRunStatus.STARTED, range_tags("AAA|1d", "BBB|1d"), set()),
    ):
        run = create_run_for_test(
            small.lab.instance,
            job_name="__ASSET_JOB",
            status=status,
            asset_selection={key},
            tags=tags,
        )
        assert wanted() == left
        small.lab.instance.report_run_canceled(run)
    assert wanted() == {(RSI, "AAA|1d"), (RSI, "BBB|1d")}


@pytest.mark.slow
def test_the_sweep_asks_the_catalog_once_per_asset(make_lab: Callable[..., Lab]) -> None:
    counts = {}
    for symbols in (FIVE[:1], FIVE):
        lab = make_lab(symbols=symbols, yaml_text=FEATURES, rows=40)
        lab.run()
        harness, tasks, covered = Harness(lab), lab.tasks(), lab.covered()
        seen: list[str] = []

        def executed(
            _connection: Any, _cursor: Any, text: str, *_: Any, seen: list[str] = seen
        ) -> None:
            seen.append(text)

        engine = lab.store.catalog.engine
        event.listen(engine, "before_cursor_execute", executed)
        assert find_stale(lab.store, tasks, covered) == []
        event.remove(engine, "before_cursor_execute", executed)
        counts[len(symbols)] = len([text for text in seen if "SELECT" in text.upper()])
        assert len(harness.lab.asset_names()) == counts[len(symbols)]
    assert counts == {1: 5, 5: 5}


def test_the_staleness_report_has_counts_and_reasons(small: Harness) -> None:
    def reported() -> dict[str, Any]:
        result = small.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=small.lab.instance, asset_selection=[REPORT_KEY], run_config=QUIET
        )
        (materialisation,) = result.asset_materializations_for_node("reports__staleness")
        return {name: value.value for name, value in materialisation.metadata.items()}

    metadata = reported()
    assert (metadata["stale"], metadata["missing"], metadata["findings"].records) == (0, 0, [])
    small.lab.edit_yaml("length: 14", "length: 21")
    small.lab.edit_yaml("name: momentum_20", "name: momentum_new")
    small.reload()
    metadata = reported()
    assert (metadata["stale"], metadata["missing"]) == (2, 2)
    assert sorted(tuple(record.data.values()) for record in metadata["findings"].records) == [
        ("features/momentum_new", "AAA|1d", "missing", "first computation"),
        ("features/momentum_new", "BBB|1d", "missing", "first computation"),
        (RSI, "AAA|1d", "stale", "parameter length 14 -> 21"),
        (RSI, "BBB|1d", "stale", "parameter length 14 -> 21"),
    ]


def test_the_sweep_sensor_reports_only_what_changed(small: Harness) -> None:
    def evaluate(cursor: str | None) -> Any:
        sensor = small.defs.resolve_sensor_def("staleness_sweep")
        with dg.build_sensor_context(
            instance=small.lab.instance,
            cursor=cursor,
            definitions=small.defs,
            resources={"store": small.lab.resource},
        ) as context:
            return sensor.evaluate_tick(context)

    def events(result: Any) -> list[dict[str, Any]]:
        assert {found.asset_key for found in result.asset_events} <= {REPORT_KEY}
        return [
            {name: found.metadata[name].value for name in ("stale", "missing")}
            for found in result.asset_events
        ]

    first = evaluate(None)
    assert (events(first), first.run_requests) == ([{"stale": 0, "missing": 0}], [])
    assert events(evaluate(first.cursor)) == []
    small.lab.edit_yaml("length: 14", "length: 21")
    small.reload()
    second = evaluate(first.cursor)
    assert events(second) == [{"stale": 2, "missing": 0}]
    assert {pair for request in second.run_requests for pair in asset_partitions(request)} == {
        (RSI, "AAA|1d"),
        (RSI, "BBB|1d"),
    }
    again = evaluate(second.cursor)
    assert events(again) == []
    assert {r.run_key for r in again.run_requests} == {r.run_key for r in second.run_requests}


@pytest.mark.slow
def test_the_daemon_tries_what_cannot_succeed_once_and_reports_changes_only(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor in the daemon's own loop: run keys hold, a new cause is a new request."""
    lab = make_lab(yaml_text=FEATURES, rows=40)
    lab.run()
    revise(lab, "AAA")
    lab.run([BARS])
    with daemon_for(lab, queued=False) as daemon, computing(monkeypatch, fails=True):
        started = get_current_timestamp()
        before = {run.run_id for run in lab.instance.get_runs()}

        def sweeps(first: int, last: int) -> list[dg.DagsterRunStatus]:
            for number in range(first, last):
                with freeze_time(started + 601 * number):
                    iteration = execute_sensor_iteration(
                        daemon.workspace, logging.getLogger(__name__), None, None
                    )
                    assert [error for error in iteration if error is not None] == []
            return [run.status for run in lab.instance.get_runs() if run.run_id not in before]

        assert sweeps(0, 4) == [dg.DagsterRunStatus.FAILURE]
        assert len(lab.all_events("reports/staleness")) == 1
        revise(lab, "AAA", by=0.05)
        (bars_run,) = {e.run_id for e in lab.run([BARS], partition="AAA|1d").values()}
        before.add(bars_run)
        assert sweeps(4, 7) == [dg.DagsterRunStatus.FAILURE] * 2
        assert len(lab.all_events("reports/staleness")) == 2
