"""When side tables are fetched: ticks as Dagster evaluates them, and what the runs leave."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.test_utils import create_run_for_test, freeze_time
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster._utils.schedules import schedule_execution_time_iterator

from hf_assets.cli import inspect
from hf_assets.cli.session import Session
from hf_assets.side_feeds import BEGINNING, cron_of
from hf_plugins.errors import ConfigurationError
from tests.graph.lab import Lab, missed, range_tags
from tests.graph.test_automation import Harness
from tests.graph.test_backfill import daemon_for
from tests.graph.test_feeds import obey, tick

TABLES = """
type: hf_assets.SideData
attributes:
  name: filings
  source: table.files
  every_minutes: 90
  params: {{folder: {folder}, pattern: "{{symbol}}.csv", known_at: accepted, clock: UTC,
    numbers: {{equity: equity, net_income_ttm: income}}}}
---
type: hf_assets.SideData
attributes:
  name: macro
  source: table.files
  scope: market
  every_minutes: 1440
  params: {{folder: {folder}, pattern: macro.csv, known_at: released, clock: UTC,
    numbers: {{ten_years: y10, two_years: y2}}}}
---
type: hf_assets.Feature
attributes: {{name: ratios, plugin: fundamental.ratios,
  params: {{table: filings, ratios: [return_on_equity]}}}}
"""
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday: a multiple of 90 minutes after midnight."""


@pytest.fixture
def lab(make_lab: Callable[..., Lab], tmp_path: Path) -> Lab:
    made = make_lab(yaml_text="", rows=10, symbols=("AAA", "BBB", "CCC"), shared=True)
    for symbol in made.symbols:
        filings(made, symbol, "2020-01-03 21:30,200,20")
    write(made, "macro.csv", "released,y10,y2", "2020-01-02 13:30,2.5,1.5")
    made.write_yaml(TABLES.format(folder=made.root / "files"))
    return made


def write(lab: Lab, name: str, *rows: str) -> None:
    (lab.root / "files").mkdir(exist_ok=True)
    (lab.root / "files" / name).write_text("\n".join(rows) + "\n")


def filings(lab: Lab, symbol: str, *rows: str) -> None:
    write(lab, f"{symbol}.csv", "accepted,equity,income", *rows)


def wanted(result: Any) -> list[str | tuple[str, str]]:
    """Partition, or ends of the range, of each run that a tick asks for."""
    return [
        request.partition_key
        or tuple(request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        for request in result.run_requests
    ]


@pytest.mark.parametrize(
    ("minutes", "cron"),
    [
        (7, "*/1 * * * *"),
        (15, "*/15 * * * *"),
        (60, "0 */1 * * *"),
        (90, "*/30 * * * *"),
        (100, "*/20 * * * *"),
        (300, "0 */1 * * *"),
        (480, "0 */8 * * *"),
        (1440, "0 0 * * *"),
        (2160, "0 */12 * * *"),
        (10_080, "0 0 * * *"),
    ],
)
def test_no_end_of_an_interval_is_missed(minutes: int, cron: str) -> None:
    assert cron_of(minutes) == cron
    interval = timedelta(minutes=minutes)
    start = datetime(2026, 2, 26, 23, 58, tzinfo=UTC)
    after = start - (start - BEGINNING) % interval
    times = schedule_execution_time_iterator(start.timestamp(), cron, "UTC")
    found = list(takewhile(lambda at: at <= after + 3 * interval, times))
    due = [at for at in found if (at - BEGINNING) % interval == timedelta(0)]
    assert due == [after + count * interval for count in (1, 2, 3)]


def test_a_table_has_a_schedule_where_it_says_so(lab: Lab) -> None:
    def schedules() -> dict[str, Any]:
        found = lab.definitions().schedules or []
        return {
            each.name: (each.cron_schedule, each.execution_timezone, each.default_status.value)
            for each in found
            if isinstance(each, dg.ScheduleDefinition)
            and each.name in ("fetch_filings", "fetch_macro")
        }

    assert schedules() == {
        "fetch_filings": ("*/30 * * * *", "UTC", "RUNNING"),
        "fetch_macro": ("0 0 * * *", "UTC", "RUNNING"),
    }
    lab.run(["side_data/filings"])
    lab.edit_yaml("  every_minutes: 90\n", "")
    assert schedules().keys() == {"fetch_macro"}
    assert missed(lab.run(["side_data/filings"])) == set(), (
        "when a table is fetched is no part of what it is"
    )
    lab.edit_yaml("every_minutes: 1440", "every_minutes: 10081")
    with pytest.raises(ConfigurationError, match=r"'every_minutes'.*10080"):
        lab.definitions()


def test_one_run_fetches_a_table_and_only_when_it_is_due(lab: Lab) -> None:
    early = tick(lab, "fetch_filings", NOON + timedelta(minutes=30))
    assert early.run_requests == []
    assert early.skip_message == (
        "'filings' is fetched every 90 minutes; the next time is 2026-03-02 13:30 UTC"
    )
    due = tick(lab, "fetch_filings", NOON)
    assert wanted(due) == [("AAA|event", "CCC|event")]
    (request,) = due.run_requests
    assert request.run_key == "filings|AAA|event..CCC|event|2026-03-02T12:00:00+00:00"
    assert request.tags["hf/requested_by"] == "schedule"
    midnight = tick(lab, "fetch_macro", datetime(2026, 3, 3, tzinfo=UTC))
    assert wanted(midnight) == ["event"]
    before = lab.last_storage_id()
    assert obey(lab, due) == obey(lab, midnight) == [True]
    assert lab.events_after(before).keys() == {
        ("side_data/macro", "event"),
        *(("side_data/filings", f"{symbol}|event") for symbol in lab.symbols),
    }


@pytest.mark.slow
def test_what_came_is_followed_and_nothing_else(lab: Lab) -> None:
    lab.run()
    ticks = Harness(lab)
    ticks.until_quiet()
    before = lab.last_storage_id()
    assert obey(lab, tick(lab, "fetch_filings", NOON)) == [True]
    again = lab.events_after(before)
    assert len(again) == 3
    assert missed(again) == set()
    assert ticks.until_quiet() == []
    filings(lab, "BBB", "2020-01-03 21:30,200,20", "2020-01-06 21:30,100,30")
    assert obey(lab, tick(lab, "fetch_filings", NOON + timedelta(minutes=90))) == [True]
    assert ticks.until_quiet() == [{("features/ratios", "BBB|1d")}]
    values = lab.store.read(lab.head("features/ratios", "BBB|1d")).iloc[:, 0]
    assert values.iloc[-1] == 0.3


def test_the_daemon_fetches_at_each_end_of_an_interval(lab: Lab) -> None:
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    half_hours = [midnight + timedelta(minutes=30 * count) for count in range(-1, 4)]
    with daemon_for(lab, queued=False) as daemon:
        for at in half_hours:
            with freeze_time(at + timedelta(seconds=5)):
                iteration = launch_scheduled_runs(
                    daemon.workspace, logging.getLogger(__name__), at, iteration_times={}
                )
                assert [error for error in iteration if error is not None] == []
        # The platform's own schedules tick as well.
        runs = [run for run in lab.instance.get_runs() if "hf/side_data" in run.tags]
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3
    assert Counter(run.tags["hf/side_data"] for run in runs) == {"filings": 2, "macro": 1}
    assert Counter(event.asset for event in lab.all_events()) == {
        "side_data/filings": 2 * len(lab.symbols),
        "side_data/macro": 1,
    }


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ({"dagster/partition": "BBB|event"}, ["AAA|event", "CCC|event"]),
        (range_tags("BBB|event", "CCC|event"), ["AAA|event"]),
        (range_tags("AAA|event", "CCC|event"), []),
    ],
)
def test_what_a_run_is_fetching_is_not_asked_for_again(
    lab: Lab, tags: dict[str, str], left: list[Any]
) -> None:
    def started(asset: str, tags: dict[str, str]) -> dg.DagsterRun:
        return create_run_for_test(
            lab.instance,
            status=dg.DagsterRunStatus.STARTED,
            tags=tags,
            asset_selection=frozenset({dg.AssetKey(asset.split("/"))}),
        )

    started("side_data/macro", {"dagster/partition": "event"})
    run = started("side_data/filings", tags)
    result = tick(lab, "fetch_filings", NOON)
    assert wanted(result) == left
    if not left:
        assert result.skip_message == "'filings' is still being fetched"
    assert tick(lab, "fetch_macro", NOON.replace(hour=0)).run_requests == []
    lab.instance.report_run_canceled(run)
    assert wanted(tick(lab, "fetch_filings", NOON)) == [("AAA|event", "CCC|event")]


def test_a_symbol_that_fails_leaves_its_table_and_stops_no_other(lab: Lab) -> None:
    lab.run(["side_data/filings"])
    filings(lab, "AAA", "2020-01-03 21:30,200,20", "2020-01-06 21:30,what,30")
    filings(lab, "CCC", "2020-01-03 21:30,200,20", "2020-01-06 21:30,100,30")
    assert obey(lab, tick(lab, "fetch_filings", NOON)) == [False]
    rows = [lab.head("side_data/filings", f"{each}|event").row_count for each in lab.symbols]
    assert rows == [1, 1, 2]
    filings(lab, "AAA", "2020-01-03 21:30,200,20", "2020-01-06 21:30,100,30")
    assert obey(lab, tick(lab, "fetch_filings", NOON + timedelta(minutes=90))) == [True]
    assert lab.head("side_data/filings", "AAA|event").row_count == 2


def test_why_tells_of_a_table_by_its_name(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "load", lambda: Session(lab.tree))
    monkeypatch.setenv("HF_HOME", str(lab.root / "state"))

    def told() -> str:
        ask = ["side_data/macro", "*", "event"]
        found = CliRunner().invoke(inspect.why, ask, catch_exceptions=False)
        return " ".join(found.output.split())

    asked = "side_data/macro: known to be new or not once the source was asked"
    assert told() == f"side_data/macro * event: never computed {asked}"
    lab.run(["side_data/macro"])
    write(lab, "macro.csv", "released,y10,y2", "2020-01-02 13:30,2.5,1.5", "2020-01-03 09:00,3,2")
    lab.run(["side_data/macro"])
    assert told().endswith(
        " UTC was computed: source: 1 row appended"
        f" was computed: range end 2020-01-02 13:30 -> 2020-01-03 09:00 {asked}"
    )
