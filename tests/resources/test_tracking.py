from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from hf_plugins.bar_quality import CHECKS, QualityPolicy, check_bars, daily_summary
from hf_plugins.errors import DataError
from hf_resources.calendars import expected_bars
from hf_resources.catalog import Catalog
from hf_resources.catalog.schema import Base, EnrichmentStatus
from hf_resources.datasets import Dataset, DatasetRef, Definition
from hf_resources.ingestion import Ingestion, ingest
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import Source
from hf_resources.store import DatasetStore
from hf_resources.stored_quality import daily_quality, gaps, lateness
from hf_resources.tracking import CHECKED_EVERY, Fetch, Tracking
from tests.faces import CATALOGS
from tests.resources.samples import identity

FACES = CATALOGS
HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
CRYPTO = Instrument("BTCUSDT", "crypto", "24/7", 2, 3)
SERIES = ("BTCUSDT", "1h")


def walk(hours: int) -> pd.DataFrame:
    """Hourly bars from the beginning of 2024, without a fault."""
    random = np.random.default_rng(7)
    index = pd.date_range(START, periods=hours, freq="h", name="timestamp").as_unit("us")
    close = (100 * np.exp(np.cumsum(random.normal(0, 0.005, hours)))).round(2)
    opening = np.r_[100.0, close[:-1]]
    return pd.DataFrame(
        {
            "open": opening,
            "high": np.maximum(opening, close) + 0.5,
            "low": np.minimum(opening, close) - 0.5,
            "close": close,
            "volume": random.uniform(10, 20, hours).round(3),
        },
        index=index,
    )


class Venue(Source):
    """Answers from a frame, and can be asked for the end alone."""

    key = "venue"
    frame: pd.DataFrame

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        return ("1h",)

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        return self.frame if start is None else self.frame.loc[self.frame.index >= start]

    @property
    def incremental(self) -> bool:
        return True


class Desk:
    """Fetches, publishes and records, as the asset does."""

    def __init__(self, store: DatasetStore) -> None:
        self.store, self.tracking, self.venue = store, Tracking(store), Venue()
        self.bars: Dataset | None = None
        self.quarantine: Dataset | None = None

    def fetch(self, frame: pd.DataFrame, now: datetime) -> Ingestion:
        self.venue.frame = frame
        outcome, spool = ingest(
            self.store,
            self.venue,
            CRYPTO,
            "1h",
            policy=QualityPolicy(),
            now=now,
            bars=self.bars,
            quarantine=self.quarantine,
        )
        before = self.bars
        self.bars = self._publish("bars", outcome.bars, outcome, self.bars)
        aside = self._publish("quarantine", outcome.quarantine, outcome, self.quarantine)
        changed = before is None or before.id != self.bars.id
        self.quarantine = aside
        spool.clear()
        self.tracking.fetched(attempt(now), outcome, before=before, bars=self.bars, changed=changed)
        return outcome

    def _publish(
        self, name: str, staged: Any, outcome: Ingestion, expected: Dataset | None
    ) -> Dataset:
        series = DatasetRef("market_data", name, *SERIES)
        return self.store.publish(
            series,
            identity(of=series, params=outcome.digests),
            definition=Definition("market_data", name, "market_data.bars", {}),
            frame=staged,
            summary=outcome.summary(),
            expected=expected,
        )

    @property
    def status(self) -> dict[str, Any]:
        return self.tracking.statuses()[SERIES]


@pytest.fixture
def desk(store: DatasetStore) -> Desk:
    return Desk(store)


def attempt(now: datetime) -> Fetch:
    return Fetch(CRYPTO, "1h", "venue", now - timedelta(seconds=2), now, HOUR)


def rows_of(catalog: Catalog) -> dict[str, int]:
    with catalog.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Base.metadata.tables.items()
        }


# ---------------------------------------------------------------------------------------- fetches


def test_each_kind_of_fetch_has_its_name(desk: Desk) -> None:
    frame = walk(50)
    desk.fetch(frame.iloc[:40], START + 41 * HOUR)
    desk.fetch(frame.iloc[:42], START + 43 * HOUR)
    corrected = frame.iloc[:42].copy()
    corrected.loc[corrected.index[-2], "volume"] += 1
    desk.fetch(corrected, START + 44 * HOUR)
    wrong = corrected.copy()
    wrong.loc[START + 42 * HOUR] = [1.0, 0.5, 2.0, 1.0, 1.0]
    desk.fetch(wrong, START + 45 * HOUR)
    found = [
        (row["status"], row["rows_appended"], row["rows_revised"], row["rows_quarantined"])
        for row in desk.tracking.fetches(SERIES)
    ]
    # Newest first. The row in quarantine changes nothing of the bars.
    assert found[-3:] == [("revised", 0, 1, 0), ("appended", 2, 0, 0), ("appended", 40, 0, 0)]
    assert {row["asset_class"] for row in desk.tracking.fetches()} == {"crypto"}
    (revision,) = desk.tracking.revisions(SERIES)
    volumes = [float(each["volume"].iloc[40]) for each in (frame, corrected)]
    assert revision["changes"] == {
        "volume": {"old": volumes[0], "new": pytest.approx(volumes[1], abs=1e-9)}
    }
    assert (revision["timestamp"], revision["fetched_at"]) == (
        START + 40 * HOUR,
        START + 44 * HOUR,
    )


def test_an_unchanged_fetch_adds_nothing_and_waits_before_it_updates(desk: Desk) -> None:
    frame, then = walk(40), START + 41 * HOUR
    desk.fetch(frame, then)
    rows, status = rows_of(desk.store.catalog), desk.status
    desk.fetch(frame, then + CHECKED_EVERY - timedelta(seconds=1))
    assert desk.status == status
    desk.fetch(frame, then + CHECKED_EVERY)
    assert desk.status == status | {
        "last_checked_at": then + CHECKED_EVERY,
        "last_success_at": then + CHECKED_EVERY,
        "version": status["version"] + 1,
    }
    assert rows_of(desk.store.catalog) == rows


def test_a_failure_is_counted_until_a_fetch_succeeds(desk: Desk) -> None:
    frame, then = walk(40), START + 41 * HOUR
    desk.fetch(frame, then)
    for count in (1, 2, 3):
        moment = then + count * timedelta(seconds=1)
        desk.tracking.failed(attempt(moment), DataError("the venue said 503"))
        assert desk.status["consecutive_failures"] == count
    assert desk.status["last_error"] == "the venue said 503"
    assert desk.status["last_success_at"] == then
    assert desk.status["last_bar"] == START + 39 * HOUR
    assert [row["status"] for row in desk.tracking.fetches(limit=3)] == ["failed"] * 3
    # A success is told at once, however soon it comes and although nothing is new.
    desk.fetch(frame, then + timedelta(seconds=4))
    assert (desk.status["consecutive_failures"], desk.status["last_error"]) == (0, None)


def test_lateness_is_part_of_the_status(desk: Desk) -> None:
    frame = walk(40)
    desk.fetch(frame, START + 41 * HOUR)
    assert desk.status["late_since"] is None
    # The bar that opens at hour 40 closes at 41 and is late from 42 on.
    desk.tracking.failed(attempt(START + 42 * HOUR), DataError("down"))
    assert desk.status["late_since"] == START + 42 * HOUR
    rows = rows_of(desk.store.catalog)
    assert desk.tracking.late({SERIES: START + 42 * HOUR, ("NONE", "1h"): START}) == 0
    assert desk.tracking.late({SERIES: None}) == 1
    assert desk.status["late_since"] is None
    assert rows_of(desk.store.catalog) == rows


@pytest.mark.parametrize("seed", range(3))
def test_the_running_count_of_gaps_is_that_of_a_whole_count(desk: Desk, seed: int) -> None:
    """Fetches of the end that leave gaps, fill some and reach back over them."""
    random = np.random.default_rng(seed)
    frame = walk(200)
    there = random.random(200) > 0.2
    there[0] = True
    counts = []
    for end in (60, 75, 76, 110, 150, 200):
        there[max(0, end - 12) : end] |= random.random(len(there[max(0, end - 12) : end])) > 0.5
        there[end - 1] = True
        desk.fetch(frame.iloc[:end].loc[there[:end]], START + (end + 1) * HOUR)
        assert desk.bars is not None
        stored = desk.store.read(desk.bars, ["close"]).index
        missing = ~np.isin(frame.index[:end], stored)
        runs = int((missing & ~np.r_[False, missing[:-1]]).sum())
        counts.append((runs, int(missing.sum())))
        assert (desk.status["gaps"], desk.status["missing_bars"]) == counts[-1]
        whole = gaps(desk.store, desk.bars, CRYPTO)
        assert (whole.runs, whole.bars) == counts[-1]
    assert len(set(counts)) > 3


def test_the_running_count_reads_the_end_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = walk(2000)
    desk.fetch(frame.iloc[:1990], START + 1991 * HOUR)
    read: list[int] = []
    real = DatasetStore.read

    def watch(self: DatasetStore, dataset: Dataset, *args: Any, **options: Any) -> pd.DataFrame:
        found = real(self, dataset, *args, **options)
        if list(found.columns) == ["gap_detected"]:
            read.append(len(found))
        return found

    monkeypatch.setattr(DatasetStore, "read", watch)
    desk.fetch(frame, START + 2001 * HOUR)
    assert read
    assert max(read) < 50


def test_a_revision_is_recorded_once(desk: Desk) -> None:
    frame = walk(40)
    desk.fetch(frame, START + 41 * HOUR)
    before = desk.bars
    corrected = frame.copy()
    corrected.loc[corrected.index[-3:], "volume"] += 1
    outcome = desk.fetch(corrected, START + 42 * HOUR)
    assert desk.bars is not None
    known = desk.tracking.revisions()
    assert len(known) == 3
    # The same outcome told again, as after a conflict, adds no revision.
    desk.tracking.fetched(
        attempt(START + 42 * HOUR), outcome, before=before, bars=desk.bars, changed=True
    )
    assert desk.tracking.revisions() == known
    (counted,) = desk.tracking.revised_series(START)
    assert (counted["revisions"], counted["first_bar"], counted["last_bar"]) == (
        3,
        START + 37 * HOUR,
        START + 39 * HOUR,
    )
    assert desk.tracking.revised_series(START + 43 * HOUR) == []


def test_a_stale_write_of_a_status_is_a_conflict(desk: Desk) -> None:
    desk.tracking.failed(attempt(START), DataError("down"))
    engine = desk.store.catalog.engine
    with Session(engine) as session:
        stale = session.scalars(select(EnrichmentStatus)).one()
        session.expunge(stale)
    desk.tracking.failed(attempt(START + HOUR), DataError("still down"))
    with Session(engine) as session:
        session.add(stale)
        stale.last_error = "from an old copy"
        with pytest.raises(StaleDataError):
            session.commit()
    assert desk.status["last_error"] == "still down"


def test_records_written_at_once_are_all_kept(desk: Desk) -> None:
    """The row of the status is made by one of them; none is lost and none is refused."""
    writers, each = 4, 5
    together = Barrier(writers)

    def write(number: int) -> None:
        together.wait()
        for _ in range(each):
            desk.tracking.failed(attempt(START), DataError(f"writer {number}"))

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    assert desk.status["consecutive_failures"] == writers * each
    assert desk.status["version"] == writers * each
    assert len(desk.tracking.fetches()) == writers * each


# -------------------------------------------------------------------------------- quality by day


def metric(day: int, score: float = 1.0, symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "timeframe": "1h",
        "day": date(2024, 1, day),
        "rows_in": 24,
        "rows_kept": 24,
        "rows_quarantined": 0,
        "rows_expected": 24,
        "rows_missing": 0,
        "quality_score": score,
        "data_completeness": None,
        "gap_detected": False,
        "failed": {},
        "version_hash": "v1",
    }


def test_entries_of_a_day_are_replaced_where_they_differ(store: DatasetStore) -> None:
    tracking, other = Tracking(store), ("ETHUSDT", "1h")
    days = [date(2024, 1, 1), date(2024, 1, 2)]
    rows = [metric(1), metric(2), metric(1, symbol="ETHUSDT")]
    assert tracking.daily([SERIES, other], days, rows, at=START) == 3
    standing = tracking.quality(days[0], days[1])
    assert tracking.daily([SERIES, other], days, rows, at=START + HOUR) == 0
    later = [row | {"version_hash": "v2"} for row in rows]
    assert tracking.daily([SERIES, other], days, later, at=START + HOUR) == 0
    assert tracking.quality(days[0], days[1]) == standing
    # One differs, one is no more, and that of a series that was not looked at stays.
    assert tracking.daily([SERIES], days, [metric(2, 0.5)], at=START + HOUR) == 2
    found = {(row["symbol"], row["day"].day): row for row in tracking.quality(days[0], days[1])}
    assert set(found) == {("BTCUSDT", 2), ("ETHUSDT", 1)}
    changed = found["BTCUSDT", 2]
    assert (changed["quality_score"], changed["computed_at"], changed["version"]) == (
        0.5,
        START + HOUR,
        2,
    )
    assert tracking.quality(days[0], days[1], other) == [found["ETHUSDT", 1]]
    assert tracking.latest_quality() == {SERIES: changed, other: found["ETHUSDT", 1]}
    assert tracking.daily([SERIES], [], [], at=START) == 0


@pytest.fixture
def local_desk(tmp_path: Path) -> Desk:
    return Desk(DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)})))


def corrupted(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = frame.drop(frame.index[random.choice(np.arange(1, len(frame) - 1), 6, replace=False)])
    wrong = random.choice(len(frame), 4, replace=False)
    frame.iloc[wrong[:2], 1] = frame.iloc[wrong[:2], 2] - 1  # a high below the low
    frame.iloc[wrong[2], 3] = np.nan
    frame.iloc[wrong[3], 4] = -1.0
    again = frame.iloc[random.choice(len(frame), 2, replace=False)]
    return pd.concat([frame, again]).sort_index(kind="stable")


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_stored_bars_are_those_of_the_batch_that_came(
    local_desk: Desk, seed: int
) -> None:
    """Nothing that the check of the batch knew by day is lost by storing the rows."""
    frame = corrupted(walk(24 * 6), seed)
    now = START + timedelta(days=7)
    local_desk.fetch(frame, now)
    bars, aside = local_desk.bars, local_desk.quarantine
    assert bars is not None
    assert bars.start_date is not None
    days = [date(2024, 1, day) for day in range(1, 7)]
    found = daily_quality(local_desk.store, bars, aside, CRYPTO, days, now=now)

    end = START + 24 * 6 * HOUR
    expected = expected_bars(CRYPTO, "1h", bars.start_date, end)
    batch = check_bars(frame, symbol="BTCUSDT", timeframe="1h", expected=expected)
    oracle = daily_summary(batch, expected).set_index("day")
    for row in found:
        truth = oracle.loc[pd.Timestamp(row["day"], tz="UTC")]
        for name in ("rows_in", "rows_kept", "rows_quarantined", "rows_expected", "rows_missing"):
            assert row[name] == truth[name], (row["day"], name)
        assert row["gap_detected"] == truth["gap_detected"]
        failed = {name: int(truth[f"failed_{name}"]) for name in CHECKS}
        assert row["failed"] == {name: count for name, count in failed.items() if count}
        assert row["quality_score"] == pytest.approx(truth["quality_score"], abs=1e-12)
    assert sum(row["rows_in"] for row in found) == len(frame)


def test_an_unfinished_bar_counts_until_the_finished_one_is_there(local_desk: Desk) -> None:
    frame = walk(48)
    early = frame.iloc[:25].copy()
    early["is_final"] = [True] * 24 + [False]
    day = [date(2024, 1, 2)]

    def counted(now: datetime) -> tuple[int, int, float]:
        bars = local_desk.bars
        assert bars is not None
        (row,) = daily_quality(local_desk.store, bars, local_desk.quarantine, CRYPTO, day, now=now)
        return row["rows_kept"], row["rows_quarantined"], row["quality_score"]

    local_desk.fetch(early, START + 24.5 * HOUR)
    assert counted(START + 24.5 * HOUR) == (0, 1, 0.0)
    local_desk.fetch(frame, START + 50 * HOUR)
    kept, aside, score = counted(START + 50 * HOUR)
    assert (kept, aside) == (24, 0)
    # All of them were fetched long after their closes, which is all that is wrong with them.
    assert score == pytest.approx(0.9)


def test_a_note_of_other_code_is_an_error(
    local_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_desk.fetch(corrupted(walk(48), 1), START + 50 * HOUR)
    assert local_desk.bars is not None
    monkeypatch.setattr("hf_resources.stored_quality._BITS", {})
    with pytest.raises(DataError, match=r"is of no check that this code knows"):
        daily_quality(
            local_desk.store,
            local_desk.bars,
            local_desk.quarantine,
            CRYPTO,
            [date(2024, 1, 1), date(2024, 1, 2)],
            now=START + 50 * HOUR,
        )


# --------------------------------------------------------------------------------------- lateness


@given(bars=st.integers(0, 500), minutes=st.integers(0, 40_000), tolerance=st.integers(1, 300))
@hypothesis_settings(max_examples=60)
def test_lateness_around_the_clock_is_arithmetic(bars: int, minutes: int, tolerance: int) -> None:
    last = START + bars * HOUR
    now = START + timedelta(minutes=minutes)
    allowed = timedelta(minutes=tolerance)
    late = lateness(CRYPTO, "1h", last, now=now, tolerance=allowed)
    # The bar k hours after the last one is due at its close, k + 1 hours after, plus the tolerance.
    due = max(0, (now - allowed - last) // HOUR - 1)
    assert (late.bars if late else 0) == due
    if late:
        assert (late.first, late.last) == (last + HOUR, last + due * HOUR)
        assert late.since == last + 2 * HOUR + allowed <= now


def test_lateness_knows_half_days_and_holidays() -> None:
    apple = Instrument("AAPL", "equity", "XNYS", 2, 0)
    zone = ZoneInfo("America/New_York")

    def late(timeframe: str, last: str, now: str) -> int:
        found = lateness(
            apple,
            timeframe,
            datetime.fromisoformat(last).replace(tzinfo=zone).astimezone(UTC),
            now=datetime.fromisoformat(now).replace(tzinfo=zone).astimezone(UTC),
            tolerance=timedelta(minutes=15),
        )
        return found.bars if found else 0

    # The day after Thanksgiving 2024 closed at 13:00; nothing was due until Monday's first bar.
    assert late("5m", "2024-11-29 12:55", "2024-12-02 09:49") == 0
    assert late("5m", "2024-11-29 12:55", "2024-12-02 09:50") == 1
    assert late("5m", "2024-11-29 12:50", "2024-11-29 13:14") == 0
    assert late("5m", "2024-11-29 12:50", "2024-11-29 13:15") == 1


# -------------------------------------------------------------------------------------- migration


def test_a_catalog_of_the_first_release_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Datasets stay; the first fetch after it gives its series a status."""
    environment = Settings.from_env({"HF_HOME": str(tmp_path)})
    desk = Desk(DatasetStore.open(environment))
    desk.fetch(walk(40), START + 41 * HOUR)
    file = tmp_path / "catalog.sqlite"
    desk.store.catalog.close()
    new = (
        "enrichment_status",
        "data_quality_metrics",
        "market_data_revisions",
        "enrichment_compute_log",
        "enrichment_fetch_log",
        "feature_quality_reports",
        "feature_quality",
        "side_data",
        "side_data_sources",
        "text_scores",
        "certificates",
    )
    with sqlite3.connect(file) as connection:
        for name in new:
            connection.execute(f"DROP TABLE {name}")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    again = Desk(DatasetStore.open(environment))
    again.bars, again.quarantine = desk.bars, desk.quarantine
    assert again.tracking.statuses() == {}
    again.fetch(walk(40), START + 41 * HOUR)
    assert again.status["missing_bars"] == 0
    assert again.tracking.fetches() == []
