"""Coarser bars: by hand, against the vendor's own, and inside sessions and over clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.resampling import RULES, resample
from hf_plugins.sessions import Sessions
from hf_resources.calendars import sessions
from tests.plugins.enrichment.real import DAILY, FIVE_MINUTES, HOURLY, shares, spot

EXACT = ("open", "high", "low", "close", "trades")


def around_the_clock(bars: Any, hours: int = 1) -> Sessions:
    stamps = bars.index.as_unit("us").asi8
    return Sessions.around_the_clock(stamps[0], stamps[-1] + hours * 3_600_000_000)


def hourly(rows: int = 24, **columns: Any) -> Any:
    index = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC", name="timestamp")
    count = np.arange(1.0, rows + 1)
    base = {"open": count, "high": count + 0.5, "low": count - 0.5, "close": count + 0.1}
    return pd.DataFrame({**base, "volume": count, **columns}, index=index)


def four(bars: Any) -> Any:
    return resample(bars, source="1h", target="4h", sessions=around_the_clock(bars))


@pytest.mark.parametrize("coin", ["BTC", "ETH", "BNB"])
def test_days_of_crypto_equal_the_days_of_the_venue(shared_data, coin):
    hours = spot(shared_data, coin)
    ours: Any = resample(hours, source="1h", target="1d", sessions=around_the_clock(hours))
    assert ours["is_complete"].sum() == 179
    assert not ours["is_complete"].iloc[[0, -1]].any(), "the record begins and ends within a day"
    ours = ours[ours["is_complete"]]
    theirs = spot(shared_data, coin, "1d").reindex(ours.index)
    for name in EXACT:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    for name in ("volume", "taker_buy_volume", "vwap"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("symbol", ["SPY", "AAPL", "AMD"])
def test_days_of_shares_hold_the_range_of_another_vendor(shared_data, symbol):
    # Another vendor, other venues: the range of the day agrees to the cent on most days; open and
    # close are auctions there and first and last trades here.
    bars = shares(shared_data, FIVE_MINUTES, symbol)
    market = sessions("XNYS", bars.index[0], bars.index[-1])
    regular = bars[market.locate(bars.index.as_unit("us").asi8, "5m") >= 0]
    days: Any = resample(regular, source="5m", target="1d", sessions=market)
    days = days[days["is_complete"]]
    theirs = shares(shared_data, DAILY, symbol).reindex(days.index)
    assert len(days) == theirs["close"].notna().sum() == 54
    for name in ("high", "low"):
        assert (np.abs(days[name] - theirs[name]) < 0.006).mean() > 0.7
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(days[name], theirs[name], rtol=0.015)


def test_steps_do_not_matter(shared_data):
    bars = shares(shared_data, FIVE_MINUTES, "AMD")
    market = sessions("XNYS", bars.index[0], bars.index[-1])
    parts = {name: rule for name, rule in RULES.items() if name in bars}
    assert list(parts) == ["open", "high", "low", "close", "volume"]
    direct: Any = resample(bars, source="5m", target="4h", sessions=market)
    by_hour: Any = resample(bars, source="5m", target="1h", sessions=market)
    stepped: Any = resample(by_hour, source="1h", target="4h", sessions=market)
    pd.testing.assert_frame_equal(direct, stepped)


def test_hours_of_shares_keep_to_the_session_over_a_change_of_clocks(shared_data):
    hours = shares(shared_data, HOURLY, "AAPL").loc["2024-03-07":"2024-03-13"]
    market = sessions("XNYS", hours.index[0], hours.index[-1])
    days: Any = resample(hours, source="1h", target="1d", sessions=market)
    assert [f"{each:%m-%d %H:%M}" for each in days.index] == [
        "03-07 00:00", "03-08 00:00", "03-11 00:00", "03-12 00:00", "03-13 00:00",
    ]  # fmt: skip
    assert days["is_complete"].all()
    halves: Any = resample(hours, source="1h", target="4h", sessions=market)
    assert sorted(set(halves.index.strftime("%m-%d %H:%M"))) == [
        "03-07 14:30", "03-07 18:30", "03-08 14:30", "03-08 18:30", "03-11 13:30", "03-11 17:30",
        "03-12 13:30", "03-12 17:30", "03-13 13:30", "03-13 17:30",
    ]  # fmt: skip
    np.testing.assert_array_equal(days["close"], halves["close"].iloc[1::2])
    np.testing.assert_array_equal(days["open"], halves["open"].iloc[::2])


def test_a_half_day_is_complete():
    market = sessions("XNYS", datetime(2024, 11, 27, tzinfo=UTC), datetime(2024, 12, 1, tzinfo=UTC))
    index = pd.DatetimeIndex(market.grid("30m").view("datetime64[us]"), tz="UTC")
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0), index=index)
    hours: Any = resample(bars, source="30m", target="1h", sessions=market)
    friday = hours.loc["2024-11-29"]
    assert friday.index.strftime("%H:%M").tolist() == ["14:30", "15:30", "16:30", "17:30"]
    assert friday["volume"].tolist() == [2.0, 2.0, 2.0, 1.0]
    assert hours["is_complete"].all()


def test_every_rule_by_hand():
    rows = 4
    bars = hourly(
        rows,
        **{name: np.arange(1.0, 5.0) for name in RULES if name not in (*hourly(1), "vwap")},
        vwap=[10.0, 20.0, 30.0, 40.0],
    )
    (bar,) = four(bars).to_dict("records")
    assert bar == {
        "open": 1.0, "high": 4.5, "low": 0.5, "close": 4.1, "volume": 10.0,
        "vwap": (10 + 40 + 90 + 160) / 10,
        "trades": 10.0, "taker_buy_volume": 10.0, "taker_sell_volume": 10.0,
        "liquidations_long": 10.0, "liquidations_short": 10.0, "exchange_inflow": 10.0,
        "dividend": 10.0, "split_factor": 24.0, "adjustment": 4.0, "open_interest": 4.0,
        "funding_rate": 4.0, "long_short_account_ratio": 4.0,
        "is_complete": True, "is_final": True,
    }  # fmt: skip


def test_a_missing_bar_makes_its_slot_incomplete_and_nothing_is_filled():
    bars = hourly(12)
    bars = bars.drop(bars.index[[5, 8, 9, 10, 11]])
    coarse = four(bars)
    assert coarse.index.hour.tolist() == [0, 4]
    assert coarse["is_complete"].tolist() == [True, False]
    assert coarse["is_final"].tolist() == [True, False]
    assert coarse["volume"].iloc[1] == 5 + 7 + 8


def test_an_open_bar_keeps_its_slot_open():
    coarse = four(hourly(8, is_final=[True] * 7 + [False]))
    assert coarse["is_complete"].tolist() == [True, True]
    assert coarse["is_final"].tolist() == [True, False]


def test_nulls():
    bars = hourly(8, trades=[1.0, np.nan, 3, 4, 5, 6, 7, 8], vwap=[2.0, 2, np.nan, 2, 3, 3, 3, 3])
    bars["volume"] = [1.0, 1, 0, 1, 0, 0, 0, 0]
    coarse = four(bars)
    np.testing.assert_array_equal(coarse["trades"], [np.nan, 26.0])
    # A bar without volume has no say; without any volume there is no mean.
    np.testing.assert_array_equal(coarse["vwap"], [2.0, np.nan])
    bars["volume"] = 1.0
    np.testing.assert_array_equal(four(bars)["vwap"], [np.nan, 3.0])


def test_appended_bars_change_no_finished_slot():
    bars = hourly(48)
    whole: Any = resample(bars, source="1h", target="4h", sessions=around_the_clock(bars))
    early: Any = resample(bars.iloc[:21], source="1h", target="4h", sessions=around_the_clock(bars))
    pd.testing.assert_frame_equal(early.iloc[:5], whole.iloc[:5], check_exact=True)
    assert early["is_complete"].tolist() == [True] * 5 + [False]


def test_no_bars_give_no_bars():
    empty = hourly(1).iloc[:0]
    day = Sessions.around_the_clock(0, 1)
    coarse: Any = resample(empty, source="1h", target="1d", sessions=day)
    assert coarse.empty
    assert coarse.columns.tolist() == [*empty.columns, "is_complete", "is_final"]


def test_bad_input_is_told():
    bars = hourly(8)
    with pytest.raises(ConfigurationError, match="target is '1h', which is not coarser"):
        resample(bars, source="1h", target="1h", sessions=around_the_clock(bars))
    with pytest.raises(DataError, match=r"unknown column 'trade'.*Did you mean 'trades'"):
        four(bars.assign(trade=1.0))
    night = sessions("XNYS", bars.index[0], bars.index[-1] + pd.Timedelta(days=3))
    with pytest.raises(DataError, match="the 1h bar at 2024-01-01 00:00 UTC belongs to no session"):
        resample(bars, source="1h", target="1d", sessions=night)
