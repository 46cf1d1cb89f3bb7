"""What a source sends becomes revisions, quarantined rows and nothing else; nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_plugins.bar_quality import CHECKS, QualityPolicy
from hf_plugins.bar_quality.report import FLAGS
from hf_plugins.errors import DataError
from hf_resources.ingestion import RECHECKED, as_of
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import RAW_COLUMNS
from hf_resources.store import DatasetStore
from tests.plugins.bar_quality.test_corruptions import ROWS, clean
from tests.resources.series import SHARE, Series, Shelf, after, walk

HOUR = timedelta(hours=1)
WEEK = walk(168)
NUMBERS = [name for name in RAW_COLUMNS if name != "is_final"]


@pytest.fixture
def series(store: DatasetStore) -> Series:
    return Series(store)


def change(bars: Any, row: int, **values: float) -> Any:
    bars = bars.copy()
    for name, value in values.items():
        bars.iloc[row, bars.columns.get_loc(name)] = value
    return bars


def known_to(bars: Any, rows: int) -> datetime:
    """The instant at which so many bars have closed, and a little more."""
    return after(bars.iloc[:rows])


# ------------------------------------------------------------------------------------ revisions


def test_a_first_ingestion_keeps_the_rows_as_they_came(series: Series):
    now = after(WEEK)
    outcome = series.ingest(WEEK, now)
    found = series.read()
    pd.testing.assert_frame_equal(
        found[list(WEEK)], WEEK.set_axis(WEEK.index.as_unit("ns")), check_exact=True
    )
    assert (found["revision"] == 1).all()
    assert found["amended_from"].isna().all()
    assert (found["fetched_at"] == pd.Timestamp(now)).all()
    assert found["is_final"].all()
    assert found["is_validated"].all()
    assert found["validation_notes"].isna().all()
    assert found[["vwap", "open_interest", "dividend"]].isna().all(axis=None)
    assert (found["adjustment"] == 1.0).all()
    assert (outcome.appended, outcome.revised, outcome.unchanged) == (168, (), 0)
    assert series.aside().empty


def test_the_same_bars_again_are_the_same_version(series: Series):
    series.ingest(WEEK, after(WEEK))
    before = series.bars
    for whole in (False, True):
        outcome = series.ingest(WEEK, after(WEEK) + HOUR, whole=whole)
        assert outcome.revised == ()
        assert outcome.appended == outcome.vanished == 0
        assert outcome.unchanged == (168 if whole else RECHECKED + 1)
    assert series.bars == before
    assert len(series.history) == 1


def test_an_incremental_fetch_asks_for_the_last_bars_again_and_appends(series: Series):
    series.ingest(WEEK.iloc[:100], known_to(WEEK, 100))
    source = Shelf(WEEK.iloc[:120])
    outcome = series.ingest(source, known_to(WEEK, 120))
    assert source.asked == [WEEK.index[99] - RECHECKED * HOUR]
    assert (outcome.appended, outcome.unchanged, outcome.vanished) == (20, RECHECKED + 1, 0)
    whole = Series(series.store, Instrument("ETH", "crypto", "24/7", 2, 5))
    whole.ingest(WEEK.iloc[:120], known_to(WEEK, 120))
    names = [*NUMBERS, *FLAGS, "revision", "amended_from"]
    late = np.arange(120) >= 100  # the flag says so, and only there
    expected = whole.read(*names)
    found = series.read(*names)
    on_time = found["validation_notes"].isna()
    assert on_time.to_numpy()[~late].all()
    pd.testing.assert_frame_equal(found[on_time], expected[on_time.to_numpy()], check_exact=True)
    assert (found.loc[~on_time, "validation_notes"] == CHECKS["late"].note).all()
    arrived = series.read("fetched_at")["fetched_at"]
    assert set(arrived.iloc[:100]) == {pd.Timestamp(known_to(WEEK, 100))}
    assert set(arrived.iloc[100:]) == {pd.Timestamp(known_to(WEEK, 120))}


def test_bars_that_come_in_time_are_not_late_when_they_are_asked_for_again(series: Series):
    for rows in range(100, 130):
        series.ingest(WEEK.iloc[:rows], known_to(WEEK, rows))
    found = series.read("validation_notes")
    assert found["validation_notes"].isna().all()
    assert series.aside().empty
    # Three bars are late, then two of three; they stay so.
    series.ingest(WEEK.iloc[:132], known_to(WEEK, 134))
    series.ingest(WEEK.iloc[:135], known_to(WEEK, 135))
    series.ingest(WEEK.iloc[:135], known_to(WEEK, 140), whole=True)
    notes = series.read("validation_notes")["validation_notes"]
    assert np.flatnonzero(notes.notna()).tolist() == [129, 130, 131, 132, 133]
    assert set(notes.dropna()) == {CHECKS["late"].note}


def test_a_changed_bar_is_a_new_revision_and_a_revert_is_a_third(series: Series):
    first, second, third = (after(WEEK) + each * HOUR for each in (0, 1, 2))
    row, close = 165, float(WEEK["close"].iloc[165])
    series.ingest(WEEK, first)
    other = change(WEEK, row, close=close + 0.01)
    outcome = series.ingest(other, second)
    assert outcome.revised == ((WEEK.index[row].to_pydatetime(), 2, ("close",)),)
    found = series.read().iloc[row]
    assert (found["close"], found["revision"], found["amended_from"]) == (
        other["close"].iloc[row], 2, 1,
    )  # fmt: skip
    assert found["fetched_at"] == pd.Timestamp(second)
    outcome = series.ingest(WEEK, third)
    assert outcome.revised == ((WEEK.index[row].to_pydatetime(), 3, ("close",)),)
    found = series.read()
    assert found["close"].iloc[row] == close
    assert found["revision"].tolist() == [1] * row + [3] + [1] * (167 - row)
    assert found["amended_from"].iloc[row] == 2
    assert found["amended_from"].notna().sum() == 1
    assert found["fetched_at"].iloc[row] == pd.Timestamp(third)
    # All three versions stand, each as it was known.
    for moment, bars in ((first, WEEK), (second, other), (third, WEEK)):
        version = as_of(series.history, moment)
        assert version is not None
        read = series.store.read(version, ["close"])["close"]
        assert read.tolist() == bars["close"].tolist()
    assert as_of(series.history, first - HOUR) is None


def test_a_change_beyond_the_window_waits_for_a_whole_fetch(series: Series):
    series.ingest(WEEK, after(WEEK))
    other = change(WEEK, 20, volume=1.0)
    assert series.ingest(other, after(WEEK)).revised == ()
    outcome = series.ingest(other, after(WEEK), whole=True)
    assert outcome.revised == ((WEEK.index[20].to_pydatetime(), 2, ("volume",)),)


def test_what_is_below_the_precision_is_no_revision(series: Series):
    series.ingest(WEEK, after(WEEK))
    generator = np.random.default_rng(1)
    noise = WEEK.copy()
    for name in ("open", "high", "low", "close"):
        noise[name] += generator.uniform(-0.0049, 0.0049, len(noise))
    noise["volume"] += generator.uniform(-4e-6, 4e-6, len(noise))
    assert series.ingest(noise, after(WEEK) + HOUR, whole=True).revised == ()
    assert len(series.history) == 1


SIDES = {"open_interest": 1000.0, "funding_rate": 1e-4, "trades": 100.0, "liquidations_long": 5.0}


@pytest.mark.parametrize("name", SIDES)
def test_a_side_value_that_is_no_longer_sent_stays(series: Series, name: str):
    bars = WEEK.assign(**SIDES)
    series.ingest(bars, after(bars))
    gone = change(bars, 160, **{name: np.nan})
    outcome = series.ingest(gone, after(bars) + HOUR)
    assert outcome.revised == ()
    assert len(series.history) == 1
    assert (series.read(name)[name] == SIDES[name]).all()
    # Another value is a revision, as is one where there was none.
    outcome = series.ingest(change(gone, 161, **{name: 7.0}), after(bars) + 2 * HOUR)
    assert [names for _, _, names in outcome.revised] == [(name,)]
    assert series.read(name)[name].tolist() == [*[SIDES[name]] * 161, 7.0, *[SIDES[name]] * 6]


def test_a_side_value_that_comes_later_is_a_revision(series: Series):
    series.ingest(WEEK.assign(open_interest=np.nan), after(WEEK))
    outcome = series.ingest(WEEK.assign(open_interest=5.0), after(WEEK) + HOUR)
    assert [names for _, _, names in outcome.revised] == [("open_interest",)] * (RECHECKED + 1)
    assert series.read("open_interest")["open_interest"].isna().sum() == 168 - RECHECKED - 1


def test_bars_that_vanish_stay_and_are_reported(series: Series):
    series.ingest(WEEK, after(WEEK))
    outcome = series.ingest(WEEK.drop(WEEK.index[[160, 162]]), after(WEEK) + HOUR)
    assert (outcome.vanished, outcome.revised) == (2, ())
    assert outcome.summary()["rows_vanished"] == 2
    # There is no gap in the series, so that none is flagged.
    assert len(series.history) == 1
    outcome = series.ingest(WEEK.iloc[100:], after(WEEK) + HOUR, whole=True)
    assert outcome.vanished == 100
    assert len(series.read()) == 168


def with_instrument(series: Series, **fields: Any) -> Series:
    return replace(series, instrument=replace(series.instrument, **fields))


def flags(series: Series) -> Any:
    return series.read("quality_score", "validation_notes", "gap_detected", "volume_anomaly")


@pytest.mark.parametrize("source", ["whole", "short"])
def test_another_calendar_judges_all_bars_anew(series: Series, store: DatasetStore, source: str):
    """The result is that of a series that never had another calendar, also without the source."""
    series.ingest(WEEK, after(WEEK))
    assert len(series.read()) == 168
    week = with_instrument(series, calendar="24/5", asset_class="fx")
    sent = WEEK if source == "whole" else WEEK.iloc[100:]
    outcome = week.ingest(sent, after(WEEK) + HOUR, whole=True)
    other = replace(week, instrument=replace(week.instrument, symbol="ETH"))
    other.ingest(WEEK, after(WEEK) + HOUR)
    pd.testing.assert_frame_equal(week.read(*NUMBERS), other.read(*NUMBERS), check_exact=True)
    pd.testing.assert_frame_equal(flags(week), flags(other), check_exact=True)
    assert len(week.read()) < 168
    assert outcome.revised == ()
    # No row is lost, and none is told twice.
    stamps = [*week.read().index, *week.aside()["bar_timestamp"]]
    assert sorted(stamps) == list(WEEK.index)
    # And back: what was put aside comes again where the source still has it.
    back = with_instrument(week, calendar="24/7", asset_class="crypto")
    back.ingest(WEEK, after(WEEK) + 2 * HOUR, whole=True)
    assert len(back.read()) == 168
    assert not back.read("gap_detected")["gap_detected"].any()


@pytest.mark.parametrize("rows", [168, 68])
def test_another_precision_rounds_all_bars_anew(series: Series, rows: int):
    """Digits come back where the source still sends them."""
    fine = walk(168)
    fine["volume"] = np.round(fine["volume"] / 7, 5)
    coarse = with_instrument(series, size_precision=1)
    coarse.ingest(fine, after(fine))
    assert coarse.read("volume")["volume"].tolist() == fine["volume"].round(1).tolist()
    sharp = with_instrument(series, size_precision=5)
    outcome = sharp.ingest(fine.iloc[168 - rows :], after(fine) + HOUR, whole=True)
    found = sharp.read("volume", "revision")
    expected = fine["volume"].where(fine.index >= fine.index[168 - rows], fine["volume"].round(1))
    assert found["volume"].tolist() == expected.tolist()
    assert len(outcome.revised) == (found["revision"] == 2).sum() > 0.9 * rows
    rough = with_instrument(series, size_precision=0)
    rough.ingest(fine.iloc[100:], after(fine) + 2 * HOUR, whole=True)
    assert rough.read("volume")["volume"].tolist() == expected.round(0).tolist()


def test_a_known_bar_is_judged_anew_where_a_broken_one_comes(series: Series):
    series.ingest(WEEK, after(WEEK))
    other = with_instrument(series, price_precision=1)
    outcome = other.ingest(change(WEEK, 60, high=1.0), after(WEEK) + HOUR, whole=True)
    assert len(outcome.quality.quarantined) == 1
    assert other.read("close")["close"].tolist() == WEEK["close"].round(1).tolist()
    assert len(other.aside()) == 1


def test_a_known_bar_that_comes_broken_has_not_vanished(series: Series):
    series.ingest(WEEK, after(WEEK))
    before = series.bars
    assert before is not None
    outcome = series.ingest(change(WEEK, 160, high=1.0), after(WEEK) + HOUR)
    assert (outcome.vanished, outcome.revised) == (0, ())
    assert len(outcome.quality.quarantined) == 1
    assert series.bars is not None
    assert series.bars.column_digests == before.column_digests
    assert len(series.aside()) == 1


def test_a_gap_is_closed_by_the_bar_that_comes_later(series: Series):
    series.ingest(WEEK.drop(WEEK.index[160]), after(WEEK))
    assert series.read("gap_detected")["gap_detected"].sum() == 1
    outcome = series.ingest(WEEK, after(WEEK))
    assert (outcome.appended, outcome.revised) == (1, ())
    assert series.read("gap_detected")["gap_detected"].sum() == 0
    assert series.read("close")["close"].tolist() == WEEK["close"].tolist()


def test_an_empty_reply_changes_nothing(series: Series):
    series.ingest(WEEK, after(WEEK))
    outcome = series.ingest(WEEK.iloc[:0], after(WEEK) + HOUR)
    assert outcome.vanished == RECHECKED + 1
    assert len(series.history) == 1


def test_nothing_at_all_is_an_error(series: Series):
    with pytest.raises(
        DataError, match=r"there are no bars; at least one is required|none of the 0"
    ):
        series.ingest(WEEK.iloc[:0], after(WEEK))
    with pytest.raises(DataError, match=r"none of the 168 bars can be kept: .*not above 0"):
        series.ingest(WEEK.assign(low=0.0), after(WEEK))
    assert series.bars is None


# ----------------------------------------------------------------------- unfinished and vintages


@pytest.mark.parametrize("incremental", [True, False])
def test_a_bar_that_has_not_closed_is_put_aside_until_it_has(series: Series, incremental: bool):
    """Whatever the source marks: nobody can know a bar before its close."""
    early = (WEEK.index[-1] + pd.Timedelta(minutes=40)).to_pydatetime()
    partial = change(WEEK, 167, volume=0.5)
    series.ingest(Shelf(partial, incremental=incremental), early)
    assert len(series.read()) == 167
    assert series.aside()["validation_notes"].tolist() == [CHECKS["unfinished"].note]
    series.ingest(Shelf(WEEK, incremental=incremental), after(WEEK))
    found = series.read()
    assert found["volume"].tolist() == WEEK["volume"].tolist()
    assert (found["revision"] == 1).all()


def test_a_daily_bar_closes_with_its_session(store: DatasetStore):
    days = pd.bdate_range("2024-03-01", "2024-03-15", tz="UTC", name="timestamp")
    bars = walk(len(days)).set_axis(days)
    for clock, rows in (("19:59", 10), ("20:00", 11)):  # New York is four hours behind by then
        series = Series(store, Instrument(f"S{rows}", "equity", "XNYS", 2, 0), "1d")
        series.ingest(
            Shelf(bars, incremental=False), datetime.fromisoformat(f"2024-03-15T{clock}Z")
        )
        assert len(series.read()) == rows


def test_a_stamp_in_the_far_future_is_one_faulty_row(store: DatasetStore):
    days = pd.bdate_range("2024-03-01", "2024-03-15", tz="UTC", name="timestamp")
    bars = walk(len(days)).set_axis(days)
    far = bars.set_axis([*days[:-1], pd.Timestamp("2199-01-01", tz="UTC")], axis=0)
    far.index.name = "timestamp"
    series = Series(store, SHARE, "1d")
    outcome = series.ingest(far, datetime(2024, 3, 18, tzinfo=UTC))
    assert outcome.appended == 10
    assert series.aside()["bar_timestamp"].tolist() == [pd.Timestamp("2199-01-01", tz="UTC")]


def test_vintages_come_in_order_and_not_from_the_future(series: Series):
    def vintage(hours: int) -> Shelf:
        return Shelf(WEEK, incremental=False, vintage=after(WEEK) + hours * HOUR)

    now = after(WEEK) + 10 * HOUR
    series.ingest(vintage(2), now)
    assert series.bars is not None
    assert series.bars.summary["fetched_at"] == (after(WEEK) + 2 * HOUR).isoformat()
    with pytest.raises(DataError, match=r"but one of .* is ingested already; ingest vintages in"):
        series.ingest(vintage(1), now)
    with pytest.raises(DataError, match=r"declared to be of .*allowed: an instant that is past"):
        series.ingest(vintage(11), now)
    series.ingest(vintage(2), now)
    series.ingest(vintage(10), now)
    assert len(series.history) == 1


# ------------------------------------------------------------------------------- what is put aside


def test_rows_put_aside_at_one_instant_stand_behind_each_other(series: Series):
    """The clock may stand still between two runs, and a vintage may be ingested twice."""
    now = after(WEEK)
    for row in (160, 161, 162):
        series.ingest(change(WEEK, row, high=1.0), now)
    aside = series.aside()
    assert aside["bar_timestamp"].tolist() == [WEEK.index[row] for row in (160, 161, 162)]
    assert aside.index.is_monotonic_increasing
    assert (aside["validation_notes"] == CHECKS["ohlc"].note).all()


def test_a_row_that_is_sent_broken_each_time_is_put_aside_once(series: Series):
    broken = change(WEEK, 165, high=1.0)
    for number in range(4):
        outcome = series.ingest(broken, after(WEEK) + number * HOUR)
        assert outcome.held == (number > 0)
    # The third time it is late as well, which is no other row.
    assert len(series.aside()) == 1
    assert len(series.history) == 1


def test_a_policy_that_blocks_leaves_everything_as_it_is(store: DatasetStore):
    series = Series(store, policy=QualityPolicy(ohlc="block"))
    series.ingest(WEEK.iloc[:100], known_to(WEEK, 100))
    before = series.bars, series.quarantine
    broken = change(WEEK, 110, high=1.0)
    with pytest.raises(DataError, match=r"source .shelf.: refused by .*: BTC 1h: .*is refused"):
        series.ingest(broken, after(WEEK))
    assert (series.bars, series.quarantine) == before
    # What was refused is not kept for the next run, which asks anew.
    assert [item.path for item in store.lake.list("spool")] == []
    assert series.ingest(WEEK, after(WEEK)).appended == 68


# -------------------------------------------------------------------------- splits and dividends


def daily(rows: int = 40) -> Any:
    days = pd.bdate_range("2024-03-01", periods=rows, tz="UTC", name="timestamp")
    bars = walk(rows).set_axis(days)
    return bars.assign(split_factor=1.0, dividend=0.0)


@pytest.mark.parametrize("incremental", [True, False])
def test_a_split_or_dividend_changes_the_adjustment_forward_only(
    store: DatasetStore, incremental: bool
):
    days = pd.bdate_range("2024-04-01", periods=40, tz="UTC", name="timestamp")
    bars = walk(40).set_axis(days).assign(split_factor=1.0, dividend=0.0)
    bars = change(change(bars, 15, split_factor=2.0), 35, dividend=1.0)
    series = Series(store, Instrument("GOLD", "metal", "24/5", 2, 0), "1d")
    seen: Any = None
    for rows in (10, 16, 30, 36, 40):
        now = after(bars.iloc[:rows], 30)
        outcome = series.ingest(Shelf(bars.iloc[:rows], incremental=incremental), now)
        assert outcome.revised == ()
        found = series.read("close", "adjustment")
        if seen is not None:  # what was there is as it was, bit for bit
            pd.testing.assert_frame_equal(found.iloc[: len(seen)], seen, check_exact=True)
        seen = found
    paid = 2.0 / (1.0 - 1.0 / bars["close"].iloc[34])
    expected = [1.0] * 15 + [2.0] * 20 + [paid] * 5
    np.testing.assert_allclose(seen["adjustment"], expected, rtol=1e-11, atol=0)


def test_a_dividend_told_late_is_a_revision_of_its_day_and_adjusts_what_follows(
    store: DatasetStore,
):
    days = pd.bdate_range("2024-04-01", periods=20, tz="UTC", name="timestamp")
    bars = walk(20).set_axis(days).assign(split_factor=1.0, dividend=0.0)
    series = Series(store, Instrument("GOLD", "metal", "24/5", 2, 0), "1d")
    series.ingest(bars, after(bars, 30))
    outcome = series.ingest(change(bars, 17, dividend=2.0), after(bars, 31))
    assert outcome.revised == ((days[17].to_pydatetime(), 2, ("dividend",)),)
    factor = series.read("adjustment")["adjustment"]
    assert (factor.iloc[:17] == 1.0).all()
    assert (factor.iloc[17:] == factor.iloc[17]).all()
    assert factor.iloc[17] == pytest.approx(1 / (1 - 2.0 / bars["close"].iloc[16]), rel=1e-11)


# -------------------------------------------------------------------------------- under corruption

MILD = {"taker_volume", "vwap", "stale", "outlier", "volume_anomaly"}
POLICY = QualityPolicy(order="quarantine")
DECIMALS = {**dict.fromkeys(("open", "high", "low", "close"), 2), "volume": 5, "vwap": 6}
DECIMALS |= {"trades": 0, "taker_buy_volume": 5}
_numbers = count()


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatasetStore]:
    home = tmp_path_factory.mktemp("ingestion")
    opened = DatasetStore.open(Settings.from_env({"HF_HOME": str(home)}))
    yield opened
    opened.catalog.close()


@pytest.fixture(scope="module")
def real_bars(shared_data: Path) -> Any:
    return clean(shared_data).iloc[:200].round(DECIMALS)


def fresh(store: DatasetStore) -> Series:
    """A series of its own for each example."""
    return Series(store, Instrument(f"C{next(_numbers)}", "crypto", "24/7", 2, 5), policy=POLICY)


def corrupted(bars: Any, ways: list[tuple[str, int]]) -> Any:
    bars = bars.copy()
    for way, row in ways:
        bars = ROWS[way][1](bars, min(row, len(bars) - 2))
    return bars


def contents(frame: Any, stamps: Any) -> set[tuple[Any, ...]]:
    """What rows say, to be compared whatever their types; a null is like a null."""
    values = frame.reindex(columns=list(DECIMALS)).round(DECIMALS).to_numpy("float64") + 0.0
    return {
        (str(stamp), *map(str, row))
        for stamp, row in zip(pd.DatetimeIndex(stamps).as_unit("ns"), values, strict=True)
    }


def account(series: Series, frame: Any, now: datetime) -> Any:
    """Ingest a frame and check that each row of it is somewhere, and none is there twice."""
    aside = 0 if series.quarantine is None else series.quarantine.row_count
    outcome = series.ingest(Shelf(frame, incremental=False), now)
    put_aside = len(outcome.quality.quarantined)
    kept = outcome.appended + len(outcome.revised) + outcome.unchanged
    assert len(frame) == outcome.quality.rows_in == kept + put_aside
    bars, put = series.read(), series.aside()
    assert len(put) == aside + put_aside - outcome.held
    found = contents(bars, bars.index) | contents(put, put["bar_timestamp"])
    assert contents(frame, frame.index) <= found
    assert put["validation_notes"].notna().all()
    return outcome


def assert_mended(series: Series, bars: Any) -> None:
    """The series has the bars as they should always have been, and no fault is flagged."""
    found = series.read()
    found = found.loc[found.index.isin(bars.index)]
    for name in bars.columns:
        np.testing.assert_array_equal(found[name], bars[name])
    assert found["is_validated"].all()
    assert len(found) == len(bars)


def test_there_are_enough_ways():
    assert len(ROWS) >= 25


@pytest.mark.parametrize("way", sorted(ROWS))
def test_a_corruption_is_accounted_for_and_mended(
    shared_store: DatasetStore, real_bars: Any, way: str
):
    series, now = fresh(shared_store), after(real_bars)
    faulty = corrupted(real_bars, [(way, 150)])
    first = account(series, faulty, now)
    again = account(series, faulty, now + HOUR)
    assert again.held == len(first.quality.quarantined)
    assert again.digests == first.digests  # nothing new, so no new version
    series.ingest(Shelf(real_bars, incremental=False), now + 2 * HOUR)
    assert_mended(series, real_bars)


@settings(max_examples=10)
@given(
    ways=st.lists(
        st.tuples(st.sampled_from(sorted(ROWS)), st.integers(6, 195)), min_size=1, max_size=5
    ),
    cut=st.integers(60, 140),
)
def test_nothing_is_lost_over_several_ingestions(
    shared_store: DatasetStore, real_bars: Any, ways: list[tuple[str, int]], cut: int
):
    faulty, now = corrupted(real_bars, ways), after(real_bars)
    twins = fresh(shared_store), fresh(shared_store)
    for number, frame in enumerate((faulty.iloc[:cut], faulty.iloc[cut - 20 :], faulty)):
        one, other = (account(series, frame, now + number * HOUR) for series in twins)
        assert one.digests == other.digests
    for name in ("bars", "quarantine"):
        heads = [getattr(series, name) for series in twins]
        assert heads[0].column_digests == heads[1].column_digests
    account(twins[0], real_bars, now + 9 * HOUR)
    assert_mended(twins[0], real_bars)


@settings(max_examples=10)
@given(
    way=st.sampled_from([way for way, (check, _) in ROWS.items() if check not in MILD]),
    row=st.integers(190, 198),
    whole=st.booleans(),
)
@example(way="bar not closed", row=190, whole=True)
@example(way="rows swapped", row=190, whole=True)
def test_a_row_resent_faulty_does_not_replace_the_good_one(
    shared_store: DatasetStore, real_bars: Any, way: str, row: int, whole: bool
):
    series = fresh(shared_store)
    # Columns that some of the corruptions have with these values in the other rows.
    real_bars = real_bars.assign(open_interest=5.0, liquidations_long=5.0, adjustment=1.0)
    series.ingest(real_bars, after(real_bars))
    before = series.read(*NUMBERS, "revision")
    outcome = series.ingest(
        corrupted(real_bars, [(way, row)]), after(real_bars) + HOUR, whole=whole
    )
    found = series.read(*NUMBERS, "revision")
    pd.testing.assert_frame_equal(found.loc[before.index], before, check_exact=True)
    assert outcome.revised == ()
