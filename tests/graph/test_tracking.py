"""What happens to market data is recorded, whatever happens, and never changes what happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from hf_assets import tracking
from hf_assets.cli import cli
from hf_assets.cli.session import Session as CliSession
from hf_assets.project import load_project
from hf_resources.catalog.schema import Base
from hf_resources.stored_quality import daily_quality
from hf_resources.tracking import Tracking
from tests.graph.lab import Lab, bars, range_tags

FEATURE = """
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
"""
DAYS = 60
MARKET_DATA = ("market_data/bars", "market_data/enriched")
AAA, BBB = ("AAA", "1d"), ("BBB", "1d")


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(yaml_text=FEATURE, rows=DAYS)


def record(lab: Lab) -> Tracking:
    return Tracking(lab.store)


def row_counts(lab: Lab) -> dict[str, int]:
    with lab.store.catalog.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Base.metadata.tables.items()
        }


def objects(lab: Lab) -> set[str]:
    return {item.path for item in lab.store.lake.list()}


def evaluations(lab: Lab, *names: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks alone, as their schedule does."""
    job = lab.definitions().resolve_job_def("market_data_checks")
    result = job.execute_in_process(instance=lab.instance)
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    return {name: found[name] for name in names}


def findings(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    table = evaluation.metadata.get("findings")
    return [dict(record.data) for record in table.records] if table else []  # type: ignore[union-attr]


# ------------------------------------------------------------------------------ fetch log, status


def test_a_first_fetch_is_logged_with_its_status(lab: Lab) -> None:
    lab.run(MARKET_DATA)
    (fetch,) = record(lab).fetches(AAA)
    assert (fetch["status"], fetch["rows_fetched"], fetch["rows_appended"]) == (
        "appended",
        DAYS,
        DAYS,
    )
    assert (fetch["asset_class"], fetch["source"], fetch["error"]) == ("equity", "parquet", None)
    assert fetch["started_at"] <= fetch["finished_at"]
    head = lab.head("market_data/bars", "AAA|1d")
    assert fetch["version_hash"] == head.version_hash
    status = record(lab).statuses()[AAA]
    assert status["last_bar"] == head.end_date
    assert status["version_hash"] == head.version_hash
    assert (status["consecutive_failures"], status["last_error"]) == (0, None)
    assert (status["gaps"], status["missing_bars"], status["faults"]) == (0, 0, [])
    assert status["last_success_at"] == status["last_checked_at"] == fetch["finished_at"]


def test_a_repeated_run_adds_no_row_and_no_object(lab: Lab) -> None:
    lab.run()
    rows, stored, status = row_counts(lab), objects(lab), record(lab).statuses()
    lab.run()
    assert row_counts(lab) == rows
    assert objects(lab) == stored
    assert record(lab).statuses() == status  # not touched within a minute either


def test_an_unchanged_fetch_updates_its_status_in_place_after_a_minute(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run(MARKET_DATA)
    rows, before = row_counts(lab), record(lab).statuses()[AAA]
    later = before["last_checked_at"] + timedelta(minutes=5)
    monkeypatch.setattr(tracking, "_now", lambda: later)
    lab.run(MARKET_DATA)
    after = record(lab).statuses()[AAA]
    assert row_counts(lab) == rows
    assert (after["last_checked_at"], after["last_success_at"]) == (later, later)
    assert after["version"] == before["version"] + 1


def test_a_revised_bar_is_recorded_with_its_old_and_new_values(lab: Lab) -> None:
    lab.run(MARKET_DATA)
    frame = lab.read_bars("AAA")
    old = float(frame["close"].iloc[20])
    frame.loc[frame.index[20], ["close", "high"]] = [old + 1, float(frame["high"].iloc[20]) + 5]
    lab.write_bars("AAA", "1d", frame)
    lab.run(MARKET_DATA)
    (revision,) = record(lab).revisions()
    assert (revision["symbol"], revision["timestamp"]) == ("AAA", frame.index[20].to_pydatetime())
    assert (revision["revision"], revision["amended_from"]) == (2, 1)
    assert set(revision["changes"]) == {"close", "high"}
    assert revision["changes"]["close"] == {"old": old, "new": round(old + 1, 4)}
    newest = record(lab).fetches(AAA)[0]
    assert (newest["status"], newest["rows_revised"], newest["rows_appended"]) == ("revised", 1, 0)
    assert len(record(lab).fetches(BBB)) == 1
    # Corrected again, and a bar appended: the third revision of the same bar.
    longer = bars(DAYS + 1, seed=0)
    lab.write_bars("AAA", "1d", longer)
    lab.run(MARKET_DATA)
    newest = record(lab).fetches(AAA)[0]
    assert (newest["status"], newest["rows_revised"], newest["rows_appended"]) == ("revised", 1, 1)
    assert [row["revision"] for row in record(lab).revisions()] == [3, 2]
    check = evaluations(lab, "revisions")["revisions"]
    assert not check.passed
    assert findings(check)[0] | {"recorded": ""} == {
        "partition": "AAA|1d",
        "revisions": 2,
        "first_bar": "2020-01-21 00:00",
        "last_bar": "2020-01-21 00:00",
        "recorded": "",
    }


def test_a_revision_is_seen_after_an_unchanged_fetch(lab: Lab) -> None:
    """Pages of a fetch that found nothing new must not stand in for the next one."""
    lab.run(["market_data/bars"])
    lab.run(["market_data/bars"])
    frame = lab.read_bars("AAA")
    frame.loc[frame.index[20], "volume"] += 7
    lab.write_bars("AAA", "1d", frame)
    lab.run(["market_data/bars"])
    assert len(record(lab).revisions(AAA)) == 1


def test_a_failed_fetch_is_recorded_and_still_fails(lab: Lab) -> None:
    lab.run(MARKET_DATA)
    good = lab.bars_file("AAA").read_bytes()
    lab.bars_file("AAA").unlink()
    for failures in (1, 2):
        with pytest.raises(Exception, match=r"AAA_1d\.parquet"):
            lab.run(["market_data/bars"])
        newest = record(lab).fetches(AAA)[0]
        assert newest["status"] == "failed"
        assert "AAA_1d.parquet" in newest["error"]
        assert (newest["rows_fetched"], newest["version_hash"]) == (None, None)
        status = record(lab).statuses()[AAA]
        assert status["consecutive_failures"] == failures
        assert status["last_error"] == newest["error"]
        assert status["last_success_at"] < status["last_checked_at"]
    assert record(lab).statuses()[BBB]["consecutive_failures"] == 0
    check = evaluations(lab, "enrichment_status")["enrichment_status"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.metadata["failing"].value == 1
    lab.bars_file("AAA").write_bytes(good)
    rows = row_counts(lab)
    lab.run(["market_data/bars"])
    status = record(lab).statuses()[AAA]
    assert (status["consecutive_failures"], status["last_error"]) == (0, None)
    assert row_counts(lab) == rows


def test_what_the_policy_refuses_is_told_apart_from_what_could_not_be_fetched(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.edit_yaml("source: parquet", "quality: {ohlc: block}\n  source: parquet", document="source")
    lab.write_bars("AAA", "1d", faulty())
    lab.bars_file("BBB").unlink()
    with pytest.raises(
        Exception, match=r"AAA_1d\.parquet: refused by the quality policy \(ohlc: bl"
    ):
        lab.run(["market_data/bars"])
    assert {key[0]: row["last_failure"] for key, row in record(lab).statuses().items()} == {
        "AAA": "refused",
        "BBB": "failed",
    }
    assert [record(lab).fetches(key)[0]["status"] for key in (AAA, BBB)] == ["refused", "failed"]
    found = evaluations(lab, "quality", "enrichment_status")
    for check in found.values():
        assert check.severity == dg.AssetCheckSeverity.ERROR
        assert check.description is not None
        assert "1 could not be fetched, 1 were refused by the quality policy" in check.description
    told = {row["partition"]: row["check"] for row in findings(found["quality"])}
    assert told == {"AAA|1d": "policy", "BBB|1d": "fetch"}
    monkeypatch.setenv("HF_HOME", str(lab.root / "state"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(CliSession, "load", lambda: CliSession(lab.tree))
    output = CliRunner().invoke(cli, ["status", "--data"]).output
    assert "refused 1 x: " in output
    assert "failed 1 x: " in output
    # Released by the policy, the bars come, and the refusal is no more.
    lab.edit_yaml("ohlc: block", "ohlc: quarantine", document="source")
    lab.run(["market_data/bars"], raise_on_error=False)
    assert record(lab).statuses()[AAA]["last_failure"] is None


def test_a_series_that_never_could_be_fetched_has_a_status(lab: Lab) -> None:
    lab.bars_file("BBB").unlink()
    lab.run(["market_data/bars"], raise_on_error=False)
    status = record(lab).statuses()[BBB]
    assert (status["last_bar"], status["version_hash"], status["faults"]) == (None, None, None)
    assert status["consecutive_failures"] == 1
    rows = {
        row["partition"]: row
        for row in findings(evaluations(lab, "enrichment_status")["enrichment_status"])
    }
    assert "BBB_1d.parquet" in rows["BBB|1d"]["error"]


@pytest.mark.parametrize("method", ["fetched", "computed"])
def test_a_record_that_cannot_be_written_changes_no_outcome(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Tracking, method, broken)
    events = lab.run(MARKET_DATA)
    assert len(events) == 6
    asset = {"fetched": "market_data/bars", "computed": "market_data/enriched"}[method]
    told = events[asset, "AAA|1d"].metadata["not_recorded"]
    assert told.endswith("could not be recorded: the disk is full")
    run_id = events[asset, "AAA|1d"].run_id
    logged = [entry for entry in lab.instance.all_logs(run_id) if entry.level == 30]
    assert any("the disk is full" in entry.user_message for entry in logged)


def test_a_failure_that_cannot_be_recorded_is_raised_as_it_is(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Tracking, "failed", broken)
    lab.bars_file("AAA").unlink()
    with pytest.raises(Exception, match=r"AAA_1d\.parquet"):
        lab.run(["market_data/bars"])


def test_computations_are_logged_whole_and_by_their_tail(lab: Lab) -> None:
    lab.run(MARKET_DATA)
    (first,) = record(lab).computations(AAA)
    head = lab.head("market_data/enriched", "AAA|1d")
    assert (first["asset"], first["mode"]) == ("market_data/enriched", "whole")
    assert (first["rows_computed"], first["rows_total"]) == (DAYS, DAYS)
    assert first["version_hash"] == head.version_hash
    assert 0 < first["seconds"] < 60
    lab.write_bars("AAA", "1d", bars(DAYS + 3, seed=0))
    lab.run(MARKET_DATA)
    newest, _ = record(lab).computations(AAA)
    assert newest["rows_total"] == DAYS + 3
    assert newest["mode"] in ("tail", "whole")
    assert len(record(lab).computations(BBB)) == 1


# ----------------------------------------------------------------------------------------- checks


def faulty(rows: int = DAYS) -> pd.DataFrame:
    """Bars with a missing day, two missing days, and a row whose high is below its low."""
    frame = bars(rows)
    frame.loc[frame.index[14], "high"] = float(frame["low"].iloc[14]) - 1
    return frame.drop(frame.index[[10, 40, 41]])


def test_gaps_and_faults_are_told_by_the_checks_of_the_run_that_found_them(lab: Lab) -> None:
    lab.write_bars("AAA", "1d", faulty())
    job = lab.definitions().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=lab.instance,
        asset_selection=[tracking.BARS_KEY, tracking.QUARANTINE_KEY],
        tags=range_tags("AAA|1d", "BBB|1d"),
    )
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert set(found) == {"quality", "gaps", "revisions", "clock", "enrichment_status"}
    assert not found["quality"].passed
    assert found["quality"].severity == dg.AssetCheckSeverity.WARN
    sentences = {
        (row["partition"], row["check"]): row["finding"] for row in findings(found["quality"])
    }
    assert set(sentences) == {("AAA|1d", "ohlc"), ("AAA|1d", "missing")}
    assert "in quarantine" in sentences["AAA|1d", "ohlc"]
    # The row in quarantine is not stored: it is missing from the series too.
    assert findings(found["gaps"]) == [
        {"partition": "AAA|1d", "gaps": 3, "missing_bars": 4, "stored_bars": DAYS - 4}
    ]
    assert found["revisions"].passed


@pytest.mark.slow
def test_gaps_that_come_and_are_filled_are_counted(lab: Lab) -> None:
    frame = bars(DAYS)
    versions = [
        frame.iloc[:30].drop(frame.index[[5, 6]]),
        frame.iloc[:40].drop(frame.index[[5, 6, 28, 33, 34, 38]]),
        frame.iloc[:40].drop(frame.index[[5, 33]]),
        frame.iloc[:60].drop(frame.index[[5, 33, 50]]),
    ]
    known: set[Any] = set()
    for version in versions:
        lab.write_bars("AAA", "1d", version)
        lab.run(["market_data/bars"])
        # A bar that is no longer sent stays.
        known |= set(version.index)
        missing = ~frame.index[: len(frame.loc[: version.index[-1]])].isin(list(known))
        runs = int((missing & ~np.r_[False, missing[:-1]]).sum())
        assert runs
        status = record(lab).statuses()[AAA]
        assert (status["gaps"], status["missing_bars"]) == (runs, int(missing.sum()))


def test_all_is_well_with_current_bars(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run(MARKET_DATA)
    monkeypatch.setattr(tracking, "_now", lambda: datetime(2020, 3, 1, 12, tzinfo=UTC))
    found = evaluations(lab, "quality", "gaps", "revisions", "enrichment_status")
    assert {name: each.passed for name, each in found.items()} == dict.fromkeys(found, True)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("now", "late"),
    [
        # The last bar is that of 2020-02-29; that of 03-01 closes at 03-02 00:00.
        (datetime(2020, 3, 2, 0, 59, tzinfo=UTC), 0),
        (datetime(2020, 3, 2, 1, 0, tzinfo=UTC), 1),
        (datetime(2020, 3, 4, 1, 0, tzinfo=UTC), 3),
    ],
)
def test_lateness_is_told_by_the_calendar_and_kept(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, now: datetime, late: int
) -> None:
    lab.write_bars("BBB", "1d", bars(DAYS + 10, seed=1))
    lab.run(["market_data/bars"])
    monkeypatch.setattr(tracking, "_now", lambda: now)
    check = evaluations(lab, "enrichment_status")["enrichment_status"]
    assert check.passed is not bool(late)
    assert [(row["partition"], row["bars_late"]) for row in findings(check)] == (
        [("AAA|1d", late)] if late else []
    )
    since = datetime(2020, 3, 2, 1, tzinfo=UTC) if late else None
    assert record(lab).statuses()[AAA]["late_since"] == since
    assert record(lab).statuses()[BBB]["late_since"] is None


def test_lateness_follows_the_exchange(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Friday's bar is the last one until Monday's session has closed, and a holiday waits."""
    lab.write_universe(calendar="XNYS")
    frame = bars(DAYS)
    frame = frame.loc["2020-01-02":"2020-01-17"]
    for symbol in lab.symbols:
        lab.write_bars(symbol, "1d", frame.loc[frame.index.dayofweek < 5])
    lab.run(["market_data/bars"])
    # 2020-01-20 was Martin Luther King day; New York closes at 21:00 UTC in January.
    for now, late in (
        (datetime(2020, 1, 21, 21, 59, tzinfo=UTC), 0),
        (datetime(2020, 1, 21, 22, 0, tzinfo=UTC), 2),
    ):
        monkeypatch.setattr(tracking, "_now", lambda now=now: now)
        check = evaluations(lab, "enrichment_status")["enrichment_status"]
        assert check.metadata["late"].value == late


# ---------------------------------------------------------------------------------- daily metrics


def materialise_days(lab: Lab, first: str, last: str) -> dict[str, dict[str, Any]]:
    before = lab.last_storage_id()
    job = lab.definitions().resolve_implicit_global_asset_job_def()
    ranged = first != last
    job.execute_in_process(
        instance=lab.instance,
        asset_selection=[tracking.METRICS_KEY],
        partition_key=None if ranged else first,
        tags=range_tags(first, last) if ranged else None,
    )
    events = lab.events_after(before)
    assert {asset for asset, _ in events} == {"market_data/data_quality_metrics"}
    return {day: {"version": e.version, **e.metadata} for (_, day), e in events.items()}


def test_daily_metrics_are_what_is_stored_beside_the_bars(lab: Lab) -> None:
    lab.write_bars("AAA", "1d", faulty())
    lab.run(["market_data/bars"])
    events = materialise_days(lab, "2020-01-09", "2020-01-16")
    assert len(events) == 8  # one event a day
    rows = {row["day"]: row for row in record(lab).quality(date(2020, 1, 1), date(2020, 3, 1), AAA)}
    assert len(rows) == 8
    clean = rows[date(2020, 1, 9)]
    assert (clean["rows_in"], clean["rows_kept"], clean["rows_expected"]) == (1, 1, 1)
    assert (clean["rows_missing"], clean["quality_score"], clean["failed"]) == (0, 1.0, {})
    missing = rows[date(2020, 1, 11)]
    assert (missing["rows_in"], missing["rows_missing"], missing["quality_score"]) == (0, 1, 0.0)
    assert (missing["gap_detected"], missing["data_completeness"]) == (True, None)
    after = rows[date(2020, 1, 12)]
    assert (after["failed"], after["quality_score"]) == ({"missing": 1}, 0.9)
    aside = rows[date(2020, 1, 15)]
    assert (aside["rows_in"], aside["rows_kept"], aside["rows_quarantined"]) == (1, 0, 1)
    assert (aside["failed"], aside["quality_score"], aside["rows_missing"]) == ({"ohlc": 1}, 0.0, 0)
    assert events["2020-01-11"]["rows_missing"] == 1
    assert events["2020-01-11"]["dagster/partition_row_count"] == 2


def test_daily_metrics_are_idempotent_and_follow_the_bars(lab: Lab) -> None:
    lab.write_bars("AAA", "1d", faulty())
    lab.run(["market_data/bars"])
    first = materialise_days(lab, "2020-01-10", "2020-01-12")
    rows = record(lab).quality(date(2020, 1, 1), date(2020, 3, 1))
    again = materialise_days(lab, "2020-01-10", "2020-01-12")
    assert record(lab).quality(date(2020, 1, 1), date(2020, 3, 1)) == rows
    assert {day: e["version"] for day, e in again.items()} == {
        day: e["version"] for day, e in first.items()
    }
    # The missing bar comes late: its day and the one after it change, no other does.
    lab.write_bars("AAA", "1d", bars(DAYS))
    lab.run(["market_data/bars"])
    filled = materialise_days(lab, "2020-01-10", "2020-01-12")
    changed = {day for day, e in filled.items() if e["version"] != first[day]["version"]}
    assert changed == {"2020-01-11", "2020-01-12"}
    now = {r["day"]: r for r in record(lab).quality(date(2020, 1, 11), date(2020, 1, 12), AAA)}
    assert now[date(2020, 1, 11)]["rows_missing"] == 0
    assert now[date(2020, 1, 11)]["version"] == 2


def test_a_single_day_and_a_day_without_bars(lab: Lab) -> None:
    lab.run(["market_data/bars"])
    before_all = materialise_days(lab, "2019-12-31", "2019-12-31")
    assert before_all["2019-12-31"]["dagster/partition_row_count"] == 0
    # Nothing came since the end of February, and the calendar goes on.
    event = materialise_days(lab, "2020-03-05", "2020-03-05")["2020-03-05"]
    assert (event["rows_expected"], event["rows_missing"]) == (2, 2)
    assert event["lowest_score"] == 0.0


def test_a_bar_that_is_not_closed_yet_is_not_missing(lab: Lab) -> None:
    lab.run(["market_data/bars"])
    instrument = load_project(lab.tree).universe.get("AAA")
    head = lab.head("market_data/bars", "AAA|1d")
    day = [date(2020, 3, 1)]
    closed = datetime(2020, 3, 2, tzinfo=UTC)
    for now, rows in ((closed - timedelta(seconds=1), 0), (closed, 1)):
        assert len(daily_quality(lab.store, head, None, instrument, day, now=now)) == rows


def test_the_schedule_asks_for_the_days_that_are_over(lab: Lab) -> None:
    definitions = lab.definitions()
    schedule = definitions.resolve_schedule_def("data_quality_daily")
    moment = datetime(2020, 2, 1, 6, 30, tzinfo=UTC)
    with dg.build_schedule_context(
        instance=lab.instance,
        scheduled_execution_time=moment,
        repository_def=definitions.get_repository_def(),
    ) as context:
        ticked = schedule.evaluate_tick(context)
    days = [request.partition_key for request in ticked.run_requests or []]
    assert days == ["2020-01-29", "2020-01-30", "2020-01-31"]


# --------------------------------------------------------------------------------------- terminal


def test_the_terminal_tells_how_the_bars_stand(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_bars("AAA", "1d", faulty())
    lab.bars_file("BBB").unlink()
    lab.run(["market_data/bars"], raise_on_error=False)
    materialise_days(lab, "2020-01-11", "2020-01-11")
    monkeypatch.setenv("HF_HOME", str(lab.root / "state"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(CliSession, "load", lambda: CliSession(lab.tree))
    result = CliRunner().invoke(cli, ["status", "--data"])
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line.strip()}
    assert "2020-02-29 00:00" in lines["AAA"]
    assert "late since 2020-03-02 01:00" in lines["AAA"]
    assert lines["AAA"].endswith("2020-01-11: 0.000  ")
    assert "no bars yet" in lines["BBB"]
    assert "1 x: " in lines["BBB"]
    assert "BBB_1d.parquet" in lines["BBB"]


# ------------------------------------------------------------------------------------------ notes


def test_what_a_source_says_of_a_fetch_stands_in_its_event_and_in_the_log(lab: Lab) -> None:
    lab.edit_yaml(
        "folder:", "pattern: '{symbol}_{timeframe}*.parquet'\n    folder:", document="source"
    )
    frame = lab.read_bars("AAA")
    frame.iloc[-7:].reset_index().to_parquet(lab.bars_folder / "AAA_1d_again.parquet")
    told = "rows that repeat a bar of the files, with the same content: 7"
    events = lab.run(MARKET_DATA)
    assert events["market_data/bars", "AAA|1d"].metadata["notes"] == f"* {told}"
    assert "notes" not in events["market_data/bars", "BBB|1d"].metadata
    assert record(lab).fetches(AAA)[0]["notes"] == [told]
    assert record(lab).fetches(BBB)[0]["notes"] == []
    again = lab.run(MARKET_DATA)["market_data/bars", "AAA|1d"]
    assert (again.cache, again.metadata["notes"]) == ("hit", f"* {told}")
    assert len(record(lab).fetches(AAA)) == 1
