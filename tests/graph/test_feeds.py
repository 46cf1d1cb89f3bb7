"""When bars are fetched: schedules by the clock of the exchange, sensors by what a source shows.

Ticks are the real ones: evaluated by Dagster's own code, or by the daemon's, with a clock that
stands still; what they ask for is executed with the real job.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import dagster as dg
import pandas as pd
import pytest
import yaml
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.test_utils import create_run_for_test, freeze_time
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from hf_assets import feeds
from hf_assets.cli.backfill import choose
from hf_assets.cli.session import Session
from hf_assets.feeds import Cursor, Look, blocks, in_flight
from hf_assets.partitions import by_symbol, partition_key, symbol_and_timeframe
from hf_assets.sweep import find_stale
from hf_assets.tasks import Partition
from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.closes import has_session
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, register_source, window
from tests.graph.lab import CHAIN, Lab, bars, range_tags
from tests.graph.test_automation import BARS, ENRICHED, Harness, revise
from tests.graph.test_backfill import daemon_for
from tests.graph.test_events import FEATURES

QUARANTINE: Final = "market_data/quarantine"
NARROW: Final = CHAIN.replace("[AAA, BBB]", "[AAA]")
NONE: Final = "type: hf_assets.Feature\nattributes: {name: rsi_14, plugin: technical.rsi}\n"


@register_source("feed_test")
class Shop(Source):
    """A vendor in this process: what it has and how it fails is set by the test."""

    shelf: ClassVar[dict[str, Any]] = {}
    broken: ClassVar[set[str]] = set()
    asked: ClassVar[list[tuple[str, str, Any]]] = []
    looked: ClassVar[list[str]] = []
    pause: ClassVar[float] = 0.0
    at_once: ClassVar[Counter[str]] = Counter()
    most: ClassVar[int] = 0
    lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def open(cls, **shelf: Any) -> None:
        cls.shelf, cls.broken, cls.asked, cls.looked = shelf, set(), [], []
        cls.pause, cls.at_once, cls.most = 0.0, Counter(), 0

    @property
    def incremental(self) -> bool:
        return True

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        return ("1d",)

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        cls, symbol = type(self), instrument.symbol
        with cls.lock:
            cls.asked.append((symbol, timeframe, start))
            cls.at_once["all"] += 1
            cls.most = max(cls.most, cls.at_once["all"])
        try:
            time.sleep(cls.pause)
            if symbol in cls.broken:
                raise DataError(f"{symbol} is out of stock")
            return window(cls.shelf[symbol], start, end)
        finally:
            with cls.lock:
                cls.at_once["all"] -= 1

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        type(self).looked.append(instrument.symbol)
        if f"marker of {instrument.symbol}" in self.broken:
            raise DataError(f"{instrument.symbol} cannot be looked at")
        frame = self.shelf.get(instrument.symbol)
        return None if frame is None else frame.index[-1].isoformat()


def declare(lab: Lab, **attributes: Any) -> None:
    """Write the market data document of a lab anew."""
    path = lab.defs_folder / "source" / "defs.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"] |= attributes
    if document["attributes"]["source"] != "parquet":
        document["attributes"]["params"] = {}
    path.write_text(yaml.safe_dump(document))


def look(lab: Lab, cursor: str | None = None, defs: dg.Definitions | None = None) -> Any:
    """One tick of the sensor, evaluated by Dagster."""
    defs = defs or lab.definitions()
    sensor = defs.resolve_sensor_def("watch_bars")
    with dg.build_sensor_context(
        instance=lab.instance, cursor=cursor, definitions=defs, sensor_name=sensor.name
    ) as context:
        return sensor.evaluate_tick(context)


def asked(result: Any, lab: Lab) -> set[str]:
    """Partitions that a tick asks for."""
    found: list[str] = []
    for request in result.run_requests:
        keys = {key.to_user_string() for key in request.asset_selection}
        assert keys == {BARS, QUARANTINE}
        found += partitions_of(request, lab)
    assert len(found) == len(set(found)), "a partition is asked for twice"
    return set(found)


def partitions_of(request: Any, lab: Lab) -> list[str]:
    if request.partition_key is not None:
        return [request.partition_key]
    ends = dg.PartitionKeyRange(
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )
    return list(by_symbol(lab.symbols, lab.timeframes).get_partition_keys_in_range(ends))


def obey(lab: Lab, result: Any, defs: dg.Definitions | None = None) -> list[bool]:
    """Execute what a tick asks for; which runs succeeded."""
    job = (defs or lab.definitions()).resolve_implicit_global_asset_job_def()
    return [
        job.execute_in_process(
            instance=lab.instance,
            asset_selection=request.asset_selection,
            partition_key=request.partition_key,
            tags=request.tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        ).success
        for request in result.run_requests
    ]


# ------------------------------------------------------------------------------------- blocks

SYMBOLS: Final = tuple(f"S{number}" for number in range(7))
TIMEFRAMES: Final = ("1h", "4h", "1d")


@given(
    wanted=st.sets(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(TIMEFRAMES))),
    size=st.integers(1, 30),
)
def test_blocks_are_what_dagster_makes_of_their_ranges(wanted: set[Partition], size: int) -> None:
    definition = by_symbol(SYMBOLS, TIMEFRAMES)
    found: list[Partition] = []
    for block in blocks(wanted, SYMBOLS, TIMEFRAMES, size):
        ends = dg.PartitionKeyRange(*(str(partition_key(*block[end])) for end in (0, -1)))
        ranged = [symbol_and_timeframe(key) for key in definition.get_partition_keys_in_range(ends)]
        assert sorted(ranged) == sorted(block)
        assert len(block) <= max(size, len({timeframe for _, timeframe in block}))
        found += block
    assert sorted(found) == sorted(wanted)


def test_neighbours_share_a_run() -> None:
    everything = {(symbol, timeframe) for symbol in SYMBOLS for timeframe in TIMEFRAMES}
    assert len(list(blocks(everything, SYMBOLS, TIMEFRAMES, 200))) == 1
    assert [len(block) for block in blocks(everything, SYMBOLS, TIMEFRAMES, 12)] == [12, 9]
    holed = everything - {("S3", "1d")}
    assert len(list(blocks(holed, SYMBOLS, TIMEFRAMES, 200))) == 3


# ---------------------------------------------------------------------------------- schedules


@pytest.fixture
def markets(make_lab: Callable[..., Lab]) -> Lab:
    """One symbol each of New York, London, crypto and currencies; the hour is not there for all."""
    lab = make_lab(symbols=("AAA", "BBB", "CCC", "DDD"), timeframes=("1h", "1d"), yaml_text=NONE)
    calendars = dict(zip(lab.symbols, ("XNYS", "XLON", "24/7", "24/5"), strict=True))
    path = lab.defs_folder / "universe.yaml"
    universe = yaml.safe_load(path.read_text())
    for entry in universe["instruments"]:
        entry["calendar"] = calendars[entry["symbol"]]
    path.write_text(yaml.safe_dump(universe))
    lab.bars_file("AAA", "1h").unlink()
    declare(lab, schedule=True, lag=45)
    return lab


def tick(lab: Lab, name: str, at: datetime) -> Any:
    """One tick of a schedule, evaluated by Dagster."""
    defs = lab.definitions()
    schedule = defs.resolve_schedule_def(name)
    context = dg.build_schedule_context(
        instance=lab.instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
    )
    return schedule.evaluate_tick(context)


def ticks(lab: Lab, name: str, after: datetime, count: int) -> list[str]:
    """When a schedule ticks, in UTC."""
    schedule = lab.definitions().resolve_schedule_def(name)
    assert isinstance(schedule, dg.ScheduleDefinition)
    times = schedule_execution_time_iterator(
        after.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    )
    return [f"{next(times).astimezone(UTC):%m-%d %H:%M}" for _ in range(count)]


def test_there_is_one_schedule_per_calendar_in_the_zone_of_its_market(markets: Lab) -> None:
    found = {
        schedule.name: (schedule.cron_schedule, schedule.execution_timezone)
        for schedule in markets.definitions().schedules or []
        if isinstance(schedule, dg.ScheduleDefinition) and schedule.name.startswith("fetch_")
    }
    assert found == {
        "fetch_bars_XNYS": ("45 16 * * *", "America/New_York"),
        "fetch_bars_XLON": ("15 17 * * *", "Europe/London"),
        "fetch_bars_24_7": ("45 0 * * *", "UTC"),
        "fetch_bars_24_5": ("45 17 * * *", "America/New_York"),
    }


def test_the_tick_stays_after_the_close_when_the_clocks_change(markets: Lab) -> None:
    spring = datetime(2025, 3, 7, 12, tzinfo=UTC)
    assert ticks(markets, "fetch_bars_XNYS", spring, 4) == [
        "03-07 21:45", "03-08 21:45", "03-09 20:45", "03-10 20:45"
    ]  # fmt: skip
    assert ticks(markets, "fetch_bars_24_5", spring, 4) == [
        "03-07 22:45", "03-08 22:45", "03-09 21:45", "03-10 21:45"
    ]  # fmt: skip
    # London changes three weeks later.
    assert ticks(markets, "fetch_bars_XLON", datetime(2025, 3, 28, 12, tzinfo=UTC), 4) == [
        "03-28 17:15", "03-29 17:15", "03-30 16:15", "03-31 16:15"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "at", "reason"),
    [
        ("fetch_bars_XNYS", "2025-07-04 20:45", "XNYS has no session on Friday 2025-07-04"),
        ("fetch_bars_XNYS", "2025-03-08 21:45", "XNYS has no session on Saturday 2025-03-08"),
        ("fetch_bars_XLON", "2025-05-05 16:15", "XLON has no session on Monday 2025-05-05"),
        ("fetch_bars_24_5", "2025-12-25 22:45", "24/5 has no session on Thursday 2025-12-25"),
    ],
)
def test_a_day_without_a_session_is_skipped_with_the_reason(
    markets: Lab, name: str, at: str, reason: str
) -> None:
    result = tick(markets, name, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert (result.run_requests, result.skip_message) == ([], reason)


@pytest.mark.parametrize(
    ("name", "at", "partitions", "session"),
    [
        # Half a day before Christmas is a session, and so is the Sunday of crypto.
        ("fetch_bars_XNYS", "2025-12-24 21:45", {"AAA|1d"}, "2025-12-24"),
        ("fetch_bars_XLON", "2025-05-06 16:15", {"BBB|1h", "BBB|1d"}, "2025-05-06"),
        ("fetch_bars_24_7", "2025-03-10 00:45", {"CCC|1h", "CCC|1d"}, "2025-03-09"),
        ("fetch_bars_24_5", "2025-03-10 21:45", {"DDD|1h", "DDD|1d"}, "2025-03-10"),
    ],
)
def test_a_session_asks_for_the_symbols_of_its_calendar(
    markets: Lab, name: str, at: str, partitions: set[str], session: str
) -> None:
    result = tick(markets, name, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert asked(result, markets) == partitions, "AAA has no hourly bars at the source"
    assert all(request.run_key.endswith(session) for request in result.run_requests)
    assert {r.tags["hf/requested_by"] for r in result.run_requests} == {"schedule"}
    assert all(obey(markets, result))


def test_a_lag_over_midnight_belongs_to_the_session_before_it(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=NONE)
    lab.write_universe(calendar="XNYS")
    declare(lab, lag=10 * 60)  # two in the morning, in New York
    saturday = datetime(2025, 3, 8, 7, 0, tzinfo=UTC)
    assert ticks(lab, "fetch_bars_XNYS", saturday - timedelta(hours=1), 1) == ["03-08 07:00"]
    assert asked(tick(lab, "fetch_bars_XNYS", saturday), lab) == {"AAA|1d"}
    # At two of the night in which the clocks go forward the tick is an hour later by the clock.
    night = ticks(lab, "fetch_bars_XNYS", saturday + timedelta(hours=1), 1)
    assert night == ["03-09 07:00"]
    sunday = tick(lab, "fetch_bars_XNYS", saturday + timedelta(days=1))
    assert sunday.skip_message == "XNYS has no session on Saturday 2025-03-08"


def test_feeds_run_from_the_start_only_where_the_document_says_so(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=NONE)

    def statuses() -> dict[str, bool]:
        defs = lab.definitions()
        found = [*(defs.schedules or []), *(defs.sensors or [])]
        return {
            each.name: each.default_status.value == "RUNNING"
            for each in found
            if each.name in ("fetch_bars_24_7", "watch_bars")
        }

    assert statuses() == {"fetch_bars_24_7": False, "watch_bars": False}
    declare(lab, watch=True)
    assert statuses() == {"fetch_bars_24_7": False, "watch_bars": True}
    declare(lab, watch=False, schedule=True)
    assert statuses() == {"fetch_bars_24_7": True, "watch_bars": False}


@pytest.mark.slow
def test_the_daemon_fetches_once_per_session(make_lab: Callable[..., Lab]) -> None:
    """Ticks of the daemon over a long weekend: ranges become runs, skips have their reason."""
    lab = make_lab(symbols=("AAA", "BBB"), timeframes=("1h", "1d"), yaml_text=NONE, rows=60)
    lab.write_universe(calendar="XNYS")
    for symbol in lab.symbols:
        lab.bars_file(symbol, "1h").unlink()
    declare(lab, schedule=True)
    log = logging.getLogger(__name__)
    days = [datetime(2025, 7, day, 20, 31, tzinfo=UTC) for day in (2, 3, 4, 5, 6, 7)]
    with daemon_for(lab, queued=False) as daemon:
        for at in [days[0] - timedelta(minutes=40), *days, days[-1] + timedelta(minutes=1)]:
            with freeze_time(at):
                iteration = launch_scheduled_runs(daemon.workspace, log, at, iteration_times={})
                assert [error for error in iteration if error is not None] == []
        (state,) = [
            state
            for state in lab.instance.all_instigator_state()
            if state.instigator_name == "fetch_bars_XNYS"
        ]
        found = lab.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert [tick.status for tick in reversed(found)] == [
            TickStatus.SUCCESS, TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.SKIPPED,
            TickStatus.SKIPPED, TickStatus.SUCCESS,
        ]  # fmt: skip
        assert found[-3].skip_reason == "XNYS has no session on Friday 2025-07-04"
        runs = [run for run in lab.instance.get_runs() if run.tags.get("hf/requested_by")]
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3
        assert {event.cache for event in lab.all_events(BARS)} == {"miss", "hit"}
        assert Counter(e.partition for e in lab.all_events(BARS)) == {"AAA|1d": 3, "BBB|1d": 3}


# ------------------------------------------------------------------------------------ sensors


@pytest.fixture
def shop(make_lab: Callable[..., Lab]) -> Lab:
    """Five symbols at a vendor in this process."""
    lab = make_lab(symbols=("AAA", "BBB", "CCC", "DDD", "EEE"), yaml_text=NONE, shared=True)
    declare(lab, source="feed_test", watch=True)
    Shop.open(**{symbol: bars(60, seed=n) for n, symbol in enumerate(lab.symbols)})
    return lab


def grow(*symbols: str, rows: int) -> None:
    for symbol in symbols:
        Shop.shelf[symbol] = bars(rows, seed=list(Shop.shelf).index(symbol))


def everything(lab: Lab) -> set[str]:
    return {f"{symbol}|1d" for symbol in lab.symbols}


def test_only_partitions_whose_marker_changed_are_asked_for(shop: Lab) -> None:
    first = look(shop)
    assert asked(first, shop) == everything(shop)
    assert len(first.run_requests) == 1, "neighbours share a run"
    assert obey(shop, first) == [True]
    second = look(shop, first.cursor)
    assert second.run_requests == []
    assert second.skip_message == "nothing new in 5 of 5 symbols' bars"
    grow("BBB", "DDD", rows=61)
    third = look(shop, second.cursor)
    assert asked(third, shop) == {"BBB|1d", "DDD|1d"}
    assert all(obey(shop, third))
    assert look(shop, third.cursor).run_requests == []
    # The vendor was asked for the end of the series alone.
    assert [start is not None for symbol, _, start in Shop.asked] == [False] * 5 + [True] * 2


def test_a_single_change_has_its_marker_as_run_key(shop: Lab) -> None:
    first = look(shop)
    obey(shop, first)
    grow("CCC", rows=62)
    (request,) = look(shop, first.cursor).run_requests
    assert request.run_key == f"bars|CCC|1d|{Shop.shelf['CCC'].index[-1].isoformat()}|1"
    assert request.tags["hf/requested_by"] == "watch"
    assert request.tags["hf/market_data"] == "bars"


def test_a_cursor_is_plain_json_and_survives_a_restart(shop: Lab) -> None:
    first = look(shop)
    obey(shop, first)
    stored = json.loads(first.cursor)
    assert stored["seen"]["AAA|1d"] == [Shop.shelf["AAA"].index[-1].isoformat(), 1, 0]
    assert Cursor.parse(first.cursor).dump() == first.cursor
    assert Cursor.parse(None) == Cursor.parse("") == Cursor()
    # A new process knows nothing but the cursor: nothing is asked for again.
    assert look(shop, json.dumps(stored)).run_requests == []


def test_a_marker_that_fails_is_told_and_stops_no_other(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shop.broken = {"marker of BBB"}
    told: list[str] = []
    monkeypatch.setattr(
        dg.SensorEvaluationContext,
        "log",
        property(lambda self: _Log(told)),
    )
    result = look(shop)
    assert asked(result, shop) == everything(shop) - {"BBB|1d"}
    assert told == ["BBB: BBB cannot be looked at"]
    assert all(obey(shop, result))
    quiet = look(shop, result.cursor)
    assert quiet.skip_message is not None
    assert quiet.skip_message.endswith("; 1 could not be looked at (see the log)")
    Shop.broken = set()
    assert asked(look(shop, quiet.cursor), shop) == {"BBB|1d"}


class _Log:
    def __init__(self, told: list[str]) -> None:
        self.told = told

    def warning(self, text: str, **_: Any) -> None:
        self.told.append(text)


@pytest.mark.slow
def test_symbols_take_turns(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(shop, watch_symbols=2)
    cursor, turns = None, []
    for _ in range(4):
        Shop.looked.clear()
        result = look(shop, cursor)
        obey(shop, result)
        turns.append("".join(symbol[0] for symbol in Shop.looked))
        cursor = result.cursor
    assert turns == ["AB", "CD", "EA", "BC"]
    # A slow vendor ends the look early, and the next one goes on there.
    declare(shop, watch_symbols=5)
    monkeypatch.setattr(feeds, "BUDGET_SECONDS", -1.0)
    Shop.looked.clear()
    result = look(shop, cursor)
    assert Shop.looked == ["DDD"]
    # A symbol that is gone does not stop the turn.
    shop.symbols = ("AAA", "BBB")
    shop.write_universe()
    Shop.looked.clear()
    assert json.loads(result.cursor)["next"] == "EEE"
    left = look(shop, result.cursor)
    assert Shop.looked == ["AAA"]
    assert set(json.loads(left.cursor)["seen"]) == {"AAA|1d", "BBB|1d"}


def test_a_failed_fetch_is_tried_again_and_not_for_ever(shop: Lab) -> None:
    Shop.broken = {"CCC"}
    result = look(shop)
    assert obey(shop, result) == [False]
    keys = {request.run_key for request in result.run_requests}
    for _ in range(feeds.TRIES - 1):
        result = look(shop, result.cursor)
        assert asked(result, shop) == {"CCC|1d"}, "the others of the run were fetched"
        assert obey(shop, result) == [False]
        keys |= {request.run_key for request in result.run_requests}
    assert len(keys) == feeds.TRIES, "Dagster drops a run key that it has seen"
    result = look(shop, result.cursor)
    assert result.skip_message.endswith("1 failed 3 times and wait for a change")
    Shop.broken = set()
    assert look(shop, result.cursor).run_requests == []
    grow("CCC", rows=61)  # there is something new: a new reason to try
    result = look(shop, result.cursor)
    assert asked(result, shop) == {"CCC|1d"}
    assert obey(shop, result) == [True]
    assert look(shop, result.cursor).run_requests == []


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ({"dagster/partition": "BBB|1d"}, {"AAA|1d", "CCC|1d", "DDD|1d", "EEE|1d"}),
        (range_tags("BBB|1d", "DDD|1d"), {"AAA|1d", "EEE|1d"}),
    ],
)
def test_what_a_run_is_fetching_is_left_for_a_later_look(
    shop: Lab, tags: dict[str, str], left: set[str]
) -> None:
    key = dg.AssetKey(BARS.split("/"))
    run = create_run_for_test(
        shop.instance,
        status=dg.DagsterRunStatus.STARTED,
        tags=tags,
        asset_selection=frozenset({key}),
    )
    # A run of something else is none of its business.
    create_run_for_test(
        shop.instance,
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": "AAA|1d"},
        asset_selection=frozenset({dg.AssetKey(ENRICHED.split("/"))}),
    )
    busy = in_flight(shop.instance, by_symbol(shop.symbols, shop.timeframes))
    assert {f"{symbol}|1d" for symbol, _ in busy} == everything(shop) - left
    first = look(shop)
    assert asked(first, shop) == left
    obey(shop, first)
    shop.instance.report_run_canceled(run)
    assert asked(look(shop, first.cursor), shop) == everything(shop) - left


def test_a_source_without_markers_is_asked_once(shop: Lab) -> None:
    Shop.shelf.pop("EEE")  # no marker, and as yet no bars
    first = look(shop)
    assert asked(first, shop) == everything(shop)
    assert Cursor.parse(first.cursor).seen["EEE", "1d"] == Look("", 1, 0)


def test_a_document_with_a_pool_gets_as_many_runs_as_it_lets_work(shop: Lab) -> None:
    declare(shop, pool_limit=2)
    assert [len(partitions_of(r, shop)) for r in look(shop).run_requests] == [3, 2]


def test_the_daemon_carries_the_cursor_and_repeats_nothing(make_lab: Callable[..., Lab]) -> None:
    """Files: looks by the daemon, a restart between them, one run for each new state of a file."""
    lab = make_lab(yaml_text=NONE, rows=60)
    declare(lab, watch=True)
    started = datetime.now(UTC)
    for number, expected in ((0, 1), (2, 1), (4, 2), (6, 2)):
        if number == 4:
            lab.write_bars("BBB", "1d", bars(61, seed=1))
        with daemon_for(lab, queued=False) as daemon:  # a daemon and a code location of its own
            for step in (0, 1):
                at = started + timedelta(seconds=61 * (number + step))
                with freeze_time(at):
                    errors = execute_sensor_iteration(
                        daemon.workspace, logging.getLogger(__name__), None, None
                    )
                    assert [error for error in errors if error is not None] == []
            runs = [r for r in lab.instance.get_runs() if r.tags.get("hf/requested_by") == "watch"]
            assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * expected
            counts = Counter(event.partition for event in lab.all_events(BARS))
        assert counts == {"AAA|1d": 1, "BBB|1d": expected}


# ----------------------------------------------------------------------------- down the chain


def flow(harness: Harness, cursor: str | None, limit: int = 14) -> tuple[list[set[Any]], str]:
    """Looks and ticks with what they ask for, until both are quiet; the waves of each."""
    waves: list[set[Any]] = []
    for _ in range(limit):
        found = look(harness.lab, cursor, harness.defs)
        cursor = found.cursor
        assert all(obey(harness.lab, found, harness.defs))
        wave = {(BARS, partition) for partition in asked(found, harness.lab)}
        wave |= harness.tick_and_run()
        if not wave:
            assert cursor is not None
            return waves, cursor
        waves.append(wave)
    raise AssertionError(f"still asking after {limit} ticks: {waves}")


def test_a_new_file_flows_down_to_the_report_with_nothing_but_ticks(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(yaml_text=NARROW, rows=150)
    declare(lab, watch=True)
    lab.run()
    harness = Harness(lab)
    assert harness.tick() == set()
    waves, cursor = flow(harness, None)
    assert waves == [{(BARS, "AAA|1d"), (BARS, "BBB|1d")}], "what a new sensor has never seen"
    revise(lab, "AAA")
    waves, cursor = flow(harness, cursor)
    assert waves[0] >= {(BARS, "AAA|1d")}
    reached = {asset for wave in waves for asset, _ in wave}
    assert reached >= {ENRICHED, "features/rsi_14", "predictions/forest", "signals/quantile"}
    assert reached >= {"backtests/trend", "reports/trend"}
    assert not any(partition == "BBB|1d" for wave in waves for _, partition in wave)
    assert flow(harness, cursor)[0] == []


def test_a_new_symbol_is_fetched_and_flows_down_after_a_reload(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(yaml_text=FEATURES, rows=60)
    declare(lab, watch=True, schedule=True)
    lab.run()
    harness = Harness(lab)
    harness.tick()
    _, cursor = flow(harness, None)
    before = lab.last_storage_id()
    lab.symbols = (*lab.symbols, "ZZZ")
    lab.write_bars("ZZZ", "1d", bars(60, seed=9))
    lab.write_universe()
    harness.reload()
    waves, _ = flow(harness, cursor)
    assert waves[0] == {(BARS, "ZZZ|1d"), (ENRICHED, "ZZZ|1d")} or waves[0] == {(BARS, "ZZZ|1d")}
    events = lab.events_after(before)
    assert {partition for _, partition in events} == {"ZZZ|1d"}
    assert {asset for asset, _ in events} >= {ENRICHED, "features/rsi_14", "features/momentum_20"}
    # Where only the schedule runs, its next tick asks for the symbol like for the others.
    at = datetime(2025, 3, 10, 0, 30, tzinfo=UTC)
    assert "ZZZ|1d" in asked(tick(lab, "fetch_bars_24_7", at), lab)


# -------------------------------------------------------------------- pools, rules, documents


def test_a_pool_holds_over_all_runs(shop: Lab) -> None:
    """Five runs at once, started by nobody's schedule: no more than two fetch at a time."""
    declare(shop, pool="shop", pool_limit=2)
    Shop.pause = 0.3
    defs = shop.definitions()
    job = defs.resolve_implicit_global_asset_job_def()

    def run(symbol: str) -> bool:
        return job.execute_in_process(
            instance=shop.instance,
            asset_selection=[dg.AssetKey(name.split("/")) for name in (BARS, QUARANTINE)],
            partition_key=f"{symbol}|1d",
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        ).success

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(run, shop.symbols)) == [True] * 5
    assert Shop.most == 2
    info = shop.instance.event_log_storage.get_concurrency_info("shop")
    assert (info.slot_count, info.active_slot_count, info.pending_step_count) == (2, 0, 0)


def test_a_fetch_that_fails_gives_its_slot_back(shop: Lab) -> None:
    declare(shop, pool_limit=1)
    Shop.broken = set(shop.symbols)
    assert obey(shop, look(shop)) == [False]
    info = shop.instance.event_log_storage.get_concurrency_info("feed_test")
    assert (info.slot_count, info.active_slot_count) == (1, 0)


def test_other_rules_fetch_the_whole_history(shop: Lab) -> None:
    """An earlier first day is fetched although the source could send the end alone."""
    declare(shop, since="2020-02-01")
    obey(shop, look(shop))
    assert shop.head(BARS, "AAA|1d").start_date == datetime(2020, 2, 1, tzinfo=UTC)
    declare(shop, since="2020-01-15")
    Shop.asked.clear()
    shop.run([BARS])
    assert {start for _, _, start in Shop.asked} == {datetime(2020, 1, 15, tzinfo=UTC)}
    assert shop.head(BARS, "AAA|1d").start_date == datetime(2020, 1, 15, tzinfo=UTC)
    Shop.asked.clear()
    shop.run([BARS])
    assert all(start > datetime(2020, 2, 1, tzinfo=UTC) for _, _, start in Shop.asked)


@pytest.mark.slow
def test_another_precision_or_calendar_in_the_universe_is_noticed(shop: Lab) -> None:
    """Neither is a parameter of the source; both decide what the bars are."""
    shop.run()
    assert find_stale(shop.store, shop.tasks(), shop.covered()) == []
    shop.write_universe(price_precision=2)
    findings = find_stale(shop.store, shop.tasks(), shop.covered())
    bars_found = [finding for finding in findings if finding.key == BARS]
    assert {finding.partition[0] for finding in bars_found} == set(shop.symbols)
    assert bars_found[0].reasons == ("parameter instrument.price_precision 4 -> 2",)
    Shop.asked.clear()
    events = shop.run()
    assert {start for _, _, start in Shop.asked} == {None}
    close = shop.store.read(shop.head(BARS, "AAA|1d"), ["close"])["close"]
    assert close.tolist() == Shop.shelf["AAA"]["close"].round(2).tolist()
    assert events["features/rsi_14", "AAA|1d"].cache == "miss"
    assert find_stale(shop.store, shop.tasks(), shop.covered()) == []
    # Trading days of an exchange alone: the bars of weekends and holidays are put aside.
    shop.write_universe(price_precision=2, calendar="XNYS")
    shop.run()
    stamps = shop.store.read(shop.head(BARS, "AAA|1d"), []).index
    kept = Shop.shelf["AAA"].index
    assert list(stamps) == [each for each in kept if has_session("XNYS", each.date())]
    assert shop.head(ENRICHED, "AAA|1d").row_count == len(stamps) < len(kept)
    assert shop.head(QUARANTINE, "AAA|1d").row_count == len(kept) - len(stamps)
    assert find_stale(shop.store, shop.tasks(), shop.covered()) == []


@pytest.mark.slow
def test_a_timeframe_that_the_files_lack_is_made_and_flows_down(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(timeframes=("1h", "1d"), yaml_text=FEATURES, rows=24 * 70)
    for symbol in lab.symbols:
        lab.bars_file(symbol, "1d").unlink()
    declare(lab, watch=True, resample={"1d": "1h"})
    harness = Harness(lab)
    harness.tick()
    flow(harness, None)
    head = lab.head("features/rsi_14", "AAA|1d")
    assert head.row_count == 70
    assert lab.head(BARS, "AAA|1d").identity["params"]["params"]["resample"] == {"1d": "1h"}
    hours: Any = lab.read_bars("AAA", "1h")
    days: Any = lab.store.read(lab.head(BARS, "AAA|1d"), ["open", "close", "volume"])
    assert days["close"].iloc[-1] == hours["close"].iloc[-1]
    assert days["volume"].sum() == hours["volume"].sum()


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"resample": {"1d": "2h"}}, "'resample': unknown timeframe '2h'"),
        ({"lag": -1}, "lag"),
        ({"since": "yesterday"}, "since"),
        ({"pool": "no spaces"}, "pool"),
        ({"watch_second": 30}, "Did you mean 'watch_seconds'"),
    ],
)
def test_a_wrong_attribute_is_told_with_file_and_line(
    make_lab: Callable[..., Lab], attributes: dict[str, Any], sentence: str
) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=NONE)
    declare(lab, **attributes)
    with pytest.raises(ConfigurationError, match=sentence) as error:
        lab.definitions()
    assert "defs.yaml:" in str(error.value)


def test_a_backfill_takes_what_the_source_offers_and_tells_what_it_does_not(markets: Lab) -> None:
    session = Session(markets.tree)
    assert choose(session, "BBB", ()) == ["1h", "1d"]
    assert choose(session, "AAA", ()) == ["1d"], "no hourly bars at the source"
    assert choose(session, "BBB", ("1d",)) == ["1d"]
    with pytest.raises(ConfigurationError, match=r"has no 1h of AAA; it has: 1d"):
        choose(session, "AAA", ("1h",))
    with pytest.raises(ConfigurationError, match="Did you mean '1h'"):
        choose(session, "BBB", ("1hr",))
    with pytest.raises(ConfigurationError, match="unknown symbol 'BBBB'"):
        choose(session, "BBBB", ())
