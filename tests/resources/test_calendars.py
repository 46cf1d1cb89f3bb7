"""When markets are open: exchanges, currencies and metals, crypto; against real bars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.sessions import Sessions
from hf_resources.calendars import expected_bars, expected_opens, instrument_sessions, sessions
from hf_resources.instruments import Instrument
from tests.plugins.enrichment.real import DAILY, HOURLY, perpetual, shares

SHARE = Instrument("AAPL", "equity", "XNYS", 4, 0)
COIN = Instrument("BTCUSDT", "crypto", "24/7", 2, 5)
EURO = Instrument("EURUSD", "fx", "24/5", 5, 0)
GOLD = Instrument("XAUUSD", "metal", "24/5", 2, 0)
TOKYO = Instrument("7203.T", "equity", "XTKS", 1, 0)


def at(*date):
    return datetime(*date, tzinfo=UTC)


def opens(instrument, timeframe, start, end):
    stamps = expected_opens(instrument, timeframe, start, end)
    assert stamps.dtype == np.int64
    return [f"{each:%m-%d %H:%M}" for each in stamps.view("datetime64[us]").astype(datetime)]


def test_a_half_day_of_new_york_ends_early():
    start, end = at(2025, 7, 3), at(2025, 7, 7)
    hours = ["07-03 13:30", "07-03 14:30", "07-03 15:30", "07-03 16:30"]
    assert opens(SHARE, "1h", start, end) == hours
    assert opens(SHARE, "4h", start, end) == ["07-03 13:30"]
    assert opens(SHARE, "1d", start, end) == ["07-03 00:00"]
    bars = expected_bars(SHARE, "1h", start, end)
    assert (np.diff(np.stack([bars.opens, bars.closes]), axis=0) / 60e6).tolist() == [
        [60, 60, 60, 30]
    ]
    (close,) = expected_bars(SHARE, "1d", start, end).closes
    assert close == pd.Timestamp("2025-07-03 17:00", tz="UTC").value // 1000


def test_new_york_opens_an_hour_earlier_in_utc_in_summer():
    days = opens(SHARE, "4h", at(2025, 3, 7), at(2025, 3, 11))
    assert days == ["03-07 14:30", "03-07 18:30", "03-10 13:30", "03-10 17:30"]


def test_the_lunch_of_tokyo_has_no_bars():
    bars = opens(TOKYO, "30m", at(2025, 7, 1), at(2025, 7, 2))
    assert "07-01 02:00" in bars
    assert "07-01 02:30" not in bars  # 11:30 to 12:00 and on to 12:30 local time
    assert "07-01 03:00" not in bars
    assert "07-01 03:30" in bars


def test_crypto_never_closes():
    hours = opens(COIN, "1h", at(2025, 3, 8), at(2025, 3, 11))
    assert len(hours) == 72
    assert opens(COIN, "4h", at(2025, 3, 9, 1), at(2025, 3, 9, 12)) == [
        "03-09 04:00",
        "03-09 08:00",
    ]
    assert opens(COIN, "1d", at(2025, 3, 9), at(2025, 3, 11)) == ["03-09 00:00", "03-10 00:00"]


def test_the_week_of_currencies_begins_on_sunday_evening_in_new_york():
    winter = opens(EURO, "1h", at(2025, 3, 7, 20), at(2025, 3, 10))
    assert winter == ["03-07 20:00", "03-07 21:00", "03-09 21:00", "03-09 22:00", "03-09 23:00"]
    days = opens(EURO, "1d", at(2025, 12, 24), at(2026, 1, 3))
    assert days == ["12-24 00:00", "12-26 00:00", "12-29 00:00", "12-30 00:00", "12-31 00:00",
                    "01-02 00:00"]  # fmt: skip


def test_metals_pause_for_an_hour_and_four_hours_end_with_the_day():
    hours = opens(GOLD, "1h", at(2025, 3, 10, 19), at(2025, 3, 10, 23))
    assert hours == ["03-10 19:00", "03-10 20:00", "03-10 22:00"]
    four = opens(GOLD, "4h", at(2025, 3, 10), at(2025, 3, 11))
    assert four == [f"03-10 {hour:02}:00" for hour in (1, 5, 9, 13, 17, 21)]
    assert len(opens(GOLD, "1m", at(2025, 3, 10, 22), at(2025, 3, 11, 22))) == 23 * 60


def test_a_range_within_a_session_is_cut_at_its_bars():
    assert opens(SHARE, "1h", at(2025, 7, 1, 15), at(2025, 7, 1, 17)) == [
        "07-01 15:30", "07-01 16:30",
    ]  # fmt: skip
    assert opens(SHARE, "1h", at(2025, 7, 1), at(2025, 7, 1)) == []


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m", "30m", "1h", "4h", "1d"])
@pytest.mark.parametrize(
    "instrument", [SHARE, COIN, EURO, GOLD, TOKYO], ids=lambda each: each.symbol
)
def test_each_expected_bar_belongs_to_a_session_and_closes_in_it(instrument, timeframe):
    start, end = at(2024, 10, 20), at(2024, 11, 10)
    market = instrument_sessions(instrument, start, end)
    bars = expected_bars(instrument, timeframe, start, end)
    session = market.locate(bars.opens, timeframe)
    assert (session >= 0).all()
    assert (np.diff(bars.opens) > 0).all()
    assert (bars.closes <= market.closes[session]).all()
    assert (bars.closes > market.opens[session]).all()
    # A longer range has the same bars.
    longer = expected_bars(instrument, timeframe, start - timedelta(9), end + timedelta(9)).opens
    first, last = np.searchsorted(longer, [bars.opens[0], bars.opens[-1]])
    np.testing.assert_array_equal(longer[first : last + 1], bars.opens)


def test_real_days_of_shares_are_the_expected_ones(shared_data):
    days = shares(shared_data, DAILY, "AAPL").index
    expected = expected_opens(SHARE, "1d", days[0], days[-1] + timedelta(1))
    np.testing.assert_array_equal(expected, days.as_unit("us").asi8)


def test_real_hours_of_shares_are_expected_and_few_are_missing(shared_data):
    hours = shares(shared_data, HOURLY, "AAPL").index
    expected = expected_opens(SHARE, "1h", hours[0], hours[-1] + timedelta(hours=1))
    there = hours.as_unit("us").asi8
    unexpected = np.setdiff1d(there, expected)
    assert len(expected) > 9000
    # The vendor has a few bars from after the close of a half day, and no other ones too many.
    strays = pd.DatetimeIndex(unexpected.view("datetime64[us]"))
    assert sorted(set(strays.strftime("%Y-%m-%d"))) == [
        "2020-11-27", "2020-12-24", "2021-11-26", "2022-11-25",
    ]  # fmt: skip
    assert (strays.hour >= 18).all()
    assert len(np.setdiff1d(expected, there)) / len(expected) < 0.005


def test_real_hours_of_crypto_are_the_expected_ones(shared_data):
    hours = perpetual(shared_data).index
    expected = expected_opens(COIN, "1h", hours[0], hours[-1] + timedelta(hours=1))
    np.testing.assert_array_equal(expected, hours.as_unit("us").asi8)


def test_real_minutes_of_gold_are_expected_and_few_are_missing(shared_data):
    path = shared_data / "gold_m1" / "2025_2026_mt5" / "xauusd_m1_ftmo.parquet"
    minutes: Any = pd.DatetimeIndex(pd.read_parquet(path)["time"])
    expected = expected_opens(GOLD, "1m", minutes[0], minutes[-1] + timedelta(minutes=1))
    there = minutes.as_unit("us").asi8
    assert len(there) == 100_000
    assert not len(np.setdiff1d(there, expected))
    missing = pd.Series(np.setdiff1d(expected, there).view("datetime64[us]"))
    # This broker stops some minutes early each day; holidays of the exchange shorten three more.
    short = missing.dt.strftime("%Y-%m-%d").value_counts()
    assert sorted(short[short > 60].index) == ["2025-12-24", "2026-01-19", "2026-02-16"]
    assert len(missing) / len(expected) < 0.02


def test_unknown_and_impossible_requests_are_told():
    start, end = at(2025, 7, 1), at(2025, 7, 2)
    with pytest.raises(ConfigurationError, match=r"calendar 'XNYX' is unknown.*Did you mean 'XN"):
        sessions("XNYX", start, end)
    with pytest.raises(ConfigurationError, match="has no time zone"):
        sessions("24/7", datetime(2025, 7, 1), end)
    with pytest.raises(ConfigurationError, match=r"calendar XNYS covers .* 1950-12-31 to"):
        sessions("XNYS", at(1951, 1, 1), end)
    with pytest.raises(ConfigurationError, match="unknown timeframe '2h'"):
        expected_opens(SHARE, "2h", start, end)


def test_sessions_that_contradict_themselves_are_refused():
    day = np.array([0, 86_400_000_000])
    with pytest.raises(DataError, match="must not overlap"):
        Sessions.simple(day, day, day + 90_000_000_000)
    with pytest.raises(DataError, match="close after its open"):
        Sessions.simple(day, day, day)
    with pytest.raises(DataError, match="differ in length"):
        Sessions.simple(day, day, day[:1])
