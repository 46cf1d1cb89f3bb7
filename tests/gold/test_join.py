"""The inner join of six instruments, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.errors import DataError
from hf_plugins.features.gold.join import COLUMNS, PREFIXES, SERIES, clocks, join

OHLCV = ("open", "high", "low", "close", "volume")
START = pd.Timestamp("2024-03-04 10:00", tz="UTC")


def bars(minutes: list[int], base: float = 100.0) -> pd.DataFrame:
    """Bars that can be told apart: the close is the base plus the minute."""
    stamps = [START + pd.Timedelta(minutes=m) for m in minutes]
    index = pd.DatetimeIndex(stamps, dtype="datetime64[ns, UTC]", name="time")
    close = base + np.array(minutes, float)
    data = {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": 7.0}
    return pd.DataFrame(data, index=index)


def market(minutes: list[int] | None = None) -> dict[str, pd.DataFrame]:
    chosen = list(range(6)) if minutes is None else minutes
    return {symbol: bars(chosen, 100.0 * (k + 1)) for k, symbol in enumerate(PREFIXES)}


def minutes_of(frames: dict[str, pd.DataFrame]) -> list[int]:
    return [int((stamp - START).total_seconds()) // 60 for stamp in join(frames).index]


def test_all_series_come_from_their_instrument_and_column():
    frames = market()
    joined = join(frames)
    for name, (symbol, column) in SERIES.items():
        np.testing.assert_array_equal(joined.series[name], frames[symbol][column])
    assert COLUMNS["close"] == "close"
    assert COLUMNS["vix_close"] == "vix_close"
    assert str(joined.index.tz) == "UTC"
    assert joined.index.name == "timestamp"


def test_a_minute_counts_where_all_six_have_a_bar_and_nothing_is_carried_forward():
    frames = market()
    frames["VIX"] = frames["VIX"].drop(frames["VIX"].index[2])
    frames["DXY"] = frames["DXY"].iloc[1:]
    assert minutes_of(frames) == [1, 3, 4, 5]
    assert join(frames).series["vix_close"].tolist() == [601.0, 603.0, 604.0, 605.0]


@pytest.mark.parametrize("symbol", PREFIXES)
@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
@pytest.mark.parametrize("price", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_bar_with_a_price_that_is_none_is_absent(symbol, column, price):
    frames = market()
    frames[symbol].iloc[3, list(OHLCV).index(column)] = price
    assert minutes_of(frames) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("volume", [np.inf, -1.0])
def test_a_bar_with_a_volume_that_is_none_is_absent(volume):
    frames = market()
    frames["XAUUSD"].iloc[3, 4] = volume
    assert minutes_of(frames) == [0, 1, 2, 4, 5]


def test_a_missing_volume_of_gold_is_zero():
    frames = market()
    frames["XAUUSD"].iloc[3, 4] = np.nan
    assert join(frames).series["volume"].tolist() == [7.0, 7.0, 7.0, 0.0, 7.0, 7.0]
    assert np.isnan(frames["XAUUSD"].iloc[3, 4])  # the input is as it was


def test_of_equal_stamps_the_last_usable_one_counts():
    frames = market()
    again = bars([2, 2], 1000.0)
    again["close"] += [0.25, 0.5]
    broken = bars([2], 5000.0).assign(close=np.nan)
    frames["XAUUSD"] = pd.concat([frames["XAUUSD"], again, broken])
    assert join(frames).series["close"].tolist() == [100.0, 101.0, 1002.5, 103.0, 104.0, 105.0]


def test_the_order_of_the_input_does_not_matter():
    frames = market()
    shuffled = {symbol: frame.iloc[::-1] for symbol, frame in frames.items()}
    one, two = join(frames), join(shuffled)
    assert one.index.equals(two.index)
    for name in SERIES:
        np.testing.assert_array_equal(one.series[name], two.series[name])


def test_time_zones_are_converted():
    frames = market()
    frames["XAUUSD"] = frames["XAUUSD"].tz_convert("Europe/Athens")
    frames["DXY"] = frames["DXY"].tz_convert("America/New_York").astype("float32")
    frames["VIX"].index = pd.DatetimeIndex(frames["VIX"].index).as_unit("s")
    assert minutes_of(frames) == list(range(6))


def test_one_repeated_hour_of_athens_is_two():
    stamps = pd.date_range("2024-10-26 23:30", periods=120, freq="1min", tz="UTC")
    local = stamps.tz_convert("Europe/Athens")
    frame = pd.DataFrame(dict.fromkeys(OHLCV, 10.0), index=local)
    assert len(join(dict.fromkeys(PREFIXES, frame))) == 120


def test_only_the_close_is_needed_of_the_others():
    frames = {symbol: frame.loc[:, ["close"]] for symbol, frame in market().items()}
    frames["XAUUSD"] = market()["XAUUSD"]
    assert minutes_of(frames) == list(range(6))


def test_no_bars_and_no_common_bars_give_no_rows():
    assert len(join(market([]))) == 0
    frames = market()
    frames["VIX"] = bars([20, 21])
    assert len(join(frames)) == 0


def without(symbol: str) -> dict[str, pd.DataFrame]:
    return {other: frame for other, frame in market().items() if other != symbol}


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (without("US500"), r"'US500', which is not among the frames"),
        ({**without("XAGUSD"), "XAGUSDm": bars([1])}, r"'XAGUSD'.*Did you mean 'XAGUSDm'"),
        (
            {**market(), "XAUUSD": bars([1]).rename(columns={"volume": "volumes"})},
            r"XAUUSD have no column 'volume'.*Did you mean 'volumes'",
        ),
        ({**market(), "VIX": bars([1])[["open"]]}, r"VIX have no column 'close'; they have open"),
        ({**market(), "VIX": bars([1]).tz_localize(None)}, r"VIX have time stamps without a time"),
        ({**market(), "VIX": bars([1]).reset_index(drop=True)}, r"VIX have an index of type int64"),
        (
            {
                **market(),
                "DXY": bars([1, 2]).set_axis(
                    pd.Index([START, START.tz_convert("Asia/Tokyo")], dtype=object)
                ),
            },
            r"DXY have an index of type object; they need a DatetimeIndex with one time zone",
        ),
        (
            {**market(), "DXY": bars([1]).set_axis(pd.DatetimeIndex([pd.NaT], tz="UTC"))},
            r"DXY have a time stamp that is null",
        ),
        (
            {**market(), "DXY": bars([1]).astype({"close": object}).assign(close="high")},
            r"column 'close' of DXY has type .*, which is not numeric",
        ),
        (
            {**market(), "DXY": pd.concat([bars([1]), bars([1])[["close"]]], axis=1)},
            r"DXY have the column 'close' more than once",
        ),
        ({**market(), "DXY": [1.0]}, r"bars of DXY are a list, not a DataFrame"),
    ],
)
def test_what_is_refused_says_why(frames, message):
    with pytest.raises(DataError, match=message):
        join(frames)


def test_bars_within_one_minute_are_refused():
    frames = market()
    for symbol, frame in frames.items():
        late = frame.iloc[[2]].set_axis(frame.index[[2]] + pd.Timedelta(seconds=30))
        frames[symbol] = pd.concat([frame, late])
    with pytest.raises(DataError, match=r"within one minute: 2024-03-04 10:02:00\+00:00 and .*:30"):
        join(frames)


places = st.lists(st.integers(0, 30), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(places, min_size=6, max_size=6), st.randoms(use_true_random=False))
def test_equals_a_join_by_pandas(minutes, random):
    frames = {}
    for symbol, chosen in zip(PREFIXES, minutes, strict=True):
        frame = bars(chosen)
        frame["close"] = [random.choice([1.0, 2.0, 3.0, np.nan]) for _ in chosen]
        frames[symbol] = frame
    usable = {}
    for symbol, frame in frames.items():
        kept = frame[frame["close"].notna()]
        usable[symbol] = kept[~kept.index.duplicated(keep="last")]["close"].rename(symbol)
    expected = pd.concat(usable.values(), axis=1, join="inner").sort_index()
    joined = join(frames)
    assert joined.index.equals(expected.index.rename("timestamp"))
    np.testing.assert_array_equal(joined.series["nas_close"], expected["NAS100"])
    np.testing.assert_array_equal(joined.series["close"], expected["XAUUSD"])


def test_the_clock_of_london_is_that_of_the_time_zone_database():
    stamps = pd.date_range("1975-01-01", "2037-12-31", freq="7h13min", tz="UTC", name="timestamp")
    found = clocks(stamps)
    local = stamps.tz_convert("Europe/London")
    of_day = np.asarray(local.hour * 60 + local.minute)
    np.testing.assert_array_equal(found["london_minute"] % 1440, of_day)
    np.testing.assert_array_equal(found["minute"] % 1440, stamps.hour * 60 + stamps.minute)
