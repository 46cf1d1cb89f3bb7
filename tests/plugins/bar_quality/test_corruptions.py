"""Real bars, corrupted in many ways: each is named or refused, and no row is lost."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.bar_quality import CHECKS, check_bars, daily_summary, quality_score
from hf_plugins.errors import DataError
from hf_plugins.sessions import ExpectedBars, Sessions
from tests.plugins.enrichment.real import spot

HOUR = pd.Timedelta(hours=1)
FIELDS = ("open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume")


def clean(folder: Path) -> Any:
    """A real stretch of 400 hours without a fault, and the bars expected in it."""
    return spot(folder).iloc[1000:1400]


def expected_of(bars: Any) -> ExpectedBars:
    stamps = bars.index.as_unit("us").asi8
    return Sessions.around_the_clock(stamps[0], stamps[-1] + 1).expected(
        "1h", stamps[0], stamps[-1] + 1
    )


def check(bars: Any, expected: ExpectedBars, **options: Any) -> Any:
    return check_bars(
        bars, symbol="BTC", timeframe="1h", expected=expected, fields=FIELDS, **options
    )


# ----------------------------------------------------------------------------------- corruptions


def put(column, change):
    def corrupt(bars, row):
        bars.iloc[row, bars.columns.get_loc(column)] = change(bars.iloc[row])
        return bars

    return corrupt


def scale(factor, *columns):
    def corrupt(bars, row):
        places = [bars.columns.get_loc(name) for name in columns]
        bars.iloc[row, places] = bars.iloc[row, places] * factor
        return bars

    return corrupt


def restamp(change):
    def corrupt(bars, row):
        stamps = list(bars.index)
        stamps[row] = change(stamps[row])
        return bars.set_axis(pd.DatetimeIndex(stamps, tz="UTC", name="timestamp"), axis=0)

    return corrupt


def repeat(change=None):
    def corrupt(bars, row):
        again = bars.iloc[[row]].copy()
        if change is not None:
            again["close"] = change(again["close"])
        return pd.concat([bars.iloc[: row + 1], again, bars.iloc[row + 1 :]])

    return corrupt


def drop(count):
    return lambda bars, row: bars.drop(bars.index[row : row + count])


def swap(bars, row):
    order = np.arange(len(bars))
    order[[row, row + 1]] = order[[row + 1, row]]
    return bars.iloc[order]


def freeze(bars, row):
    frozen = bars.copy()
    values = bars.iloc[[row - 5]].to_numpy()
    frozen.iloc[row - 5 : row + 1] = np.repeat(values, 6, axis=0)
    return frozen


def open_bar(bars, row):
    return bars.assign(is_final=np.arange(len(bars)) != row)


def factor(value):
    return lambda bars, row: bars.assign(adjustment=np.where(np.arange(len(bars)) == row, value, 1))


def amount(name):
    return lambda bars, row: bars.assign(**{name: np.where(np.arange(len(bars)) == row, -1.0, 5.0)})


PRICES = ("open", "high", "low", "close", "vwap")

ROWS = {
    "close is null": ("non_finite", put("close", lambda bar: np.nan)),
    "open is null": ("non_finite", put("open", lambda bar: np.nan)),
    "high is infinite": ("non_finite", put("high", lambda bar: np.inf)),
    "volume is infinite": ("non_finite", put("volume", lambda bar: np.inf)),
    "low is zero": ("non_positive", put("low", lambda bar: 0.0)),
    "close is negative": ("non_positive", put("close", lambda bar: -bar["close"])),
    "factor is zero": ("non_positive", factor(0.0)),
    "high below close": ("ohlc", put("high", lambda bar: bar["close"] * 0.99)),
    "low above open": ("ohlc", put("low", lambda bar: bar["high"] * 1.01)),
    "high and low swapped": ("ohlc", put("high", lambda bar: bar["low"] * 0.999)),
    "open outside": ("ohlc", put("open", lambda bar: bar["high"] * 1.01)),
    "volume is negative": ("negative_amount", put("volume", lambda bar: -bar["volume"])),
    "trades are negative": ("negative_amount", put("trades", lambda bar: -1.0)),
    "open interest is negative": ("negative_amount", amount("open_interest")),
    "liquidations are negative": ("negative_amount", amount("liquidations_long")),
    "buyers took more than all": (
        "taker_volume",
        put("taker_buy_volume", lambda bar: bar["volume"] * 1.01),
    ),
    "average above high": ("vwap", put("vwap", lambda bar: bar["high"] * 1.001)),
    "average below low": ("vwap", put("vwap", lambda bar: bar["low"] * 0.999)),
    "no timestamp": ("no_timestamp", restamp(lambda stamp: pd.NaT)),
    "stamp off by a minute": ("off_grid", restamp(lambda stamp: stamp + pd.Timedelta(minutes=1))),
    "stamp off by a microsecond": (
        "off_grid",
        restamp(lambda stamp: stamp + pd.Timedelta(microseconds=1)),
    ),
    "stamp of another year": (
        "outside_session",
        restamp(lambda stamp: stamp + pd.Timedelta(days=365)),
    ),
    "row twice": ("duplicate", repeat()),
    "row twice, differing": ("conflict", repeat(lambda close: close * 1.00001)),
    "stamp of the row before": ("conflict", restamp(lambda stamp: stamp - HOUR)),
    "rows swapped": ("order", swap),
    "one bar missing": ("missing", drop(1)),
    "a day missing": ("missing", drop(24)),
    "bar not closed": ("unfinished", open_bar),
    "bars frozen": ("stale", freeze),
    "price in cents": ("outlier", scale(100.0, *PRICES)),
    "price in thousands": ("outlier", scale(0.001, *PRICES)),
    "wick of a bad tick": ("outlier", put("high", lambda bar: bar["high"] * 2)),
    "volume a thousand times": (
        "volume_anomaly",
        scale(1000.0, "volume", "taker_buy_volume"),
    ),
    "volume vanished": ("volume_anomaly", scale(0.0, "volume", "taker_buy_volume")),
}

FRAMES = {
    "column missing": lambda bars: bars.drop(columns="close"),
    "column misspelt": lambda bars: bars.rename(columns={"vwap": "vvap"}),
    "column twice": lambda bars: pd.concat([bars, bars[["close"]]], axis=1),
    "prices as text": lambda bars: bars.assign(close=bars["close"].astype(str)),
    "truth as price": lambda bars: bars.assign(close=bars["close"] > 0),
    "final as number": lambda bars: bars.assign(is_final=1.0),
    "no time zone": lambda bars: bars.tz_localize(None),
    "another time zone": lambda bars: bars.tz_convert("America/New_York"),
    "numbered rows": lambda bars: bars.reset_index(drop=True),
}


def test_there_are_enough_ways():
    assert len(ROWS) + len(FRAMES) >= 25
    assert {name for name, _ in ROWS.values()} == CHECKS.keys() - {"late"}


def conserved(bars, quality):
    assert len(quality.kept) + len(quality.quarantined) == quality.rows_in == len(bars)
    rows = np.concatenate((quality.positions, quality.quarantined["row"].to_numpy()))
    assert sorted(rows) == list(range(len(bars)))
    pd.testing.assert_frame_equal(quality.kept, bars.iloc[quality.positions])
    aside = quality.quarantined[bars.columns]
    pd.testing.assert_frame_equal(aside, bars.iloc[quality.quarantined["row"]])
    assert quality.quarantined["validation_notes"].notna().all()
    assert quality.kept.index.is_monotonic_increasing
    assert quality.kept.index.is_unique
    assert len(quality.flags) == len(quality.kept)


def test_the_real_bars_are_clean(shared_data):
    bars = clean(shared_data)
    quality = check(bars, expected_of(bars))
    conserved(bars, quality)
    assert quality.faults == ()
    assert quality.score == 1.0
    assert quality.flags["is_validated"].all()
    assert quality.flags["validation_notes"].isna().all()


@settings(deadline=None, max_examples=8)
@pytest.mark.parametrize("way", ROWS, ids=str)
@given(row=st.integers(120, 370))
def test_a_corrupted_row_is_named_and_kept_somewhere(shared_data_path, way, row):
    name, corrupt = ROWS[way]
    bars = clean(shared_data_path)
    expected = expected_of(bars)
    corrupted = corrupt(bars.copy(), row)
    quality = check(corrupted, expected)
    conserved(corrupted, quality)
    fault = next((each for each in quality.faults if each.check == name), None)
    assert fault is not None, [each.check for each in quality.faults]
    near = row + 1 if way in ("row twice", "row twice, differing", "rows swapped") else row
    assert near in fault.rows
    assert fault.sentence.startswith("BTC 1h: ")
    assert fault.sentence.endswith(".")
    # Others may follow from it, but nothing before it is touched.
    first = min(min(each.rows) for each in quality.faults if each.rows)
    assert first >= row - (6 if way == "bars frozen" else 0)
    score = quality.score
    assert score is not None
    assert score < 1.0
    again = check(corrupted, expected)
    assert again.score == score
    pd.testing.assert_frame_equal(again.flags, quality.flags)
    kept = quality.flags
    assert ((kept["quality_score"] < 1.0) == kept["validation_notes"].notna()).all()


@pytest.fixture(scope="module")
def shared_data_path(shared_data):
    return shared_data


@pytest.mark.parametrize("way", FRAMES, ids=str)
def test_a_frame_that_is_no_table_of_bars_is_refused(shared_data, way):
    bars = clean(shared_data)
    with pytest.raises(DataError, match=r"^BTC 1h: ") as caught:
        check(FRAMES[way](bars), expected_of(bars))
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=40)
@given(
    ways=st.lists(
        st.sampled_from([way for way in ROWS if "stamp" not in way and way != "rows swapped"]),
        min_size=2, max_size=5, unique=True,
    ),
    data=st.data(),
)  # fmt: skip
def test_every_further_corruption_costs(shared_data_path, ways, data):
    # Far enough apart that none hides another.
    bars = clean(shared_data_path)
    expected = expected_of(bars)
    scores = [check(bars, expected).score]
    for place, way in enumerate(ways):
        row = data.draw(st.integers(120, 130)) + 50 * place
        bars = ROWS[way][1](bars.copy(), row)
        quality = check(bars, expected)
        conserved(bars, quality)
        scores.append(quality.score)
    assert all(later < earlier for earlier, later in itertools.pairwise(scores)), scores


@given(
    failed=st.sets(st.sampled_from(sorted(CHECKS))),
    more=st.sampled_from(sorted(CHECKS)),
    # Below the least normal number a score has no room to fall.
    completeness=st.floats(0, 1, allow_subnormal=False),
)
def test_the_score_is_monotone_in_each_fault(failed, more, completeness):
    score = quality_score(failed, completeness)
    assert 0 <= quality_score(failed | {more}, completeness) <= score <= completeness
    if more not in failed and score > 0:
        assert quality_score(failed | {more}, completeness) < score


@settings(deadline=None, max_examples=25)
@given(
    ways=st.lists(st.sampled_from(sorted(ROWS)), min_size=1, max_size=3, unique=True),
    cut=st.integers(110, 399),
)
def test_no_flag_knows_what_follows_it(shared_data_path, ways, cut):
    bars = clean(shared_data_path)
    expected = expected_of(bars)
    for place, way in enumerate(ways):
        if way not in ("rows swapped", "stamp of another year"):
            bars = ROWS[way][1](bars.copy(), 150 + 70 * place)
    whole = check(bars, expected)
    early = check(bars.iloc[:cut], expected)
    np.testing.assert_array_equal(early.failed, whole.failed[:cut])
    pd.testing.assert_frame_equal(early.flags, whole.flags.iloc[: len(early.flags)])


@settings(deadline=None, max_examples=25)
@given(
    ways=st.lists(st.sampled_from(sorted(ROWS)), min_size=1, max_size=3, unique=True),
    cut=st.integers(103, 395),
)
def test_a_batch_with_history_gets_the_flags_of_the_whole(shared_data_path, ways, cut):
    bars = clean(shared_data_path)
    expected = expected_of(bars)
    for place, way in enumerate(ways):
        if "stamp" not in way and "row" not in way and way != "bar not closed":
            bars = ROWS[way][1](bars.copy(), 150 + 70 * place)
    whole = check(bars, expected)
    first = check(bars.iloc[:cut], expected)
    second = check(bars.iloc[cut:], expected, history=first.kept.iloc[-102:])
    np.testing.assert_array_equal(np.concatenate((first.failed, second.failed)), whole.failed)
    np.testing.assert_array_equal(second.missing, whole.missing[whole.missing > first.stamps[-1]])


def test_the_day_adds_up(shared_data):
    bars = clean(shared_data)
    expected = expected_of(bars)
    corrupted = ROWS["price in cents"][1](bars.drop(bars.index[200:203]).copy(), 300)
    corrupted = ROWS["low is zero"][1](corrupted, 310)
    quality = check(corrupted, expected)
    days: Any = daily_summary(quality, expected)
    assert days["rows_in"].sum() == len(corrupted)
    assert days["rows_kept"].sum() == len(quality.kept)
    assert days["rows_quarantined"].sum() == 1
    assert days["rows_missing"].sum() == 3
    assert days["rows_expected"].sum() == 400
    assert days["failed_outlier"].sum() == 1
    assert days["failed_non_positive"].sum() == 1
    weights = days["rows_in"] + days["rows_missing"]
    assert (days["quality_score"] * weights).sum() / weights.sum() == pytest.approx(quality.score)
    assert (days["symbol"] == "BTC").all()
    assert days["gap_detected"].sum() == 2  # the day of the missing bars, that of the bad one
    empty: Any = daily_summary(check(bars.iloc[:0], expected), expected)
    assert (empty["quality_score"] == 0).all()
    assert empty["rows_missing"].sum() == 400


def test_nothing_expected_and_nothing_there():
    empty = pd.DataFrame(
        {name: np.empty(0) for name in FIELDS}, index=pd.DatetimeIndex([], tz="UTC")
    )
    none = ExpectedBars(np.empty(0, np.int64), np.empty(0, np.int64))
    quality = check(empty, none)
    assert quality.score is None
    assert quality.faults == ()
    assert daily_summary(quality, none).empty
