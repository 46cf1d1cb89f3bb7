"""Universal features: by hand, against plain pandas on real data, and continued over any cut."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.enrichment import UniversalState, continue_universal, in_words, universal_features
from hf_plugins.enrichment.universal import COLUMNS, context_rows, memories
from hf_plugins.errors import DataError
from hf_plugins.testing import sample_bars
from tests.plugins.enrichment.real import DAILY, HOURLY, perpetual, shares

CASES = {
    "crypto 1h": ("1h", "24/7"),
    "crypto 1h with gaps": ("1h", "24/7"),
    "shares 1h": ("1h", "XNYS"),
    "shares 1d": ("1d", "XNYS"),
}
BARS_PER_YEAR = {("1h", "24/7"): 8760, ("1h", "XNYS"): 252 * 7, ("1d", "XNYS"): 252}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request, shared_data):
    timeframe, calendar = CASES[request.param]
    bars = {
        "crypto 1h": lambda: perpetual(shared_data),
        "crypto 1h with gaps": lambda: perpetual(shared_data, "lighter", "HYPE"),
        "shares 1h": lambda: shares(shared_data, HOURLY, "AAPL").iloc[-4000:],
        "shares 1d": lambda: shares(shared_data, DAILY, "NVDA"),
    }[request.param]()
    return bars, timeframe, calendar


def minutes(closes: Any, times: Any) -> Any:
    index = pd.DatetimeIndex(times, tz="UTC", name="timestamp")
    close = np.asarray(closes, dtype="float64")
    return pd.DataFrame({"high": close, "low": close, "close": close, "volume": 1.0}, index=index)


# ------------------------------------------------------------------------------------- oracles


def return_since(bars: Any, lag: Any, tolerance: Any) -> np.ndarray:
    now = pd.DataFrame({"wanted": bars.index - lag, "now": bars["close"].to_numpy()})
    then = pd.DataFrame({"at": bars.index, "then": bars["close"].to_numpy()})
    joined: Any = pd.merge_asof(now, then, left_on="wanted", right_on="at", tolerance=tolerance)
    return np.log(joined["now"] / joined["then"]).to_numpy()


def smoothed(values, length, weight, first):
    """Exponential smoothing, seeded with the mean of the first `length` values."""
    seeded = values.iloc[first:].copy()
    seeded.iloc[: length - 1] = np.nan
    seeded.iloc[length - 1] = values.iloc[first : first + length].mean()
    return seeded.ewm(alpha=weight, adjust=False).mean().reindex(values.index)


def true_range(bars):
    previous = bars["close"].shift()
    ranges = [
        bars["high"] - bars["low"],
        (bars["high"] - previous).abs(),
        (bars["low"] - previous).abs(),
    ]
    return pd.concat(ranges, axis=1).max(axis=1)


def structure(bars, width=5):
    """Every row looks at its whole past anew."""

    def pivots(values, sign):
        series = sign * values
        before = series.shift(1).rolling(width).max()
        after = series[::-1].shift(1).rolling(width).max()[::-1]
        return values.where((series > before) & (series >= after)).shift(width)

    high, low = pivots(bars["high"], 1), pivots(bars["low"], -1)

    def rising(confirmed):
        known = confirmed.dropna()
        return np.sign(known.diff()).reindex(bars.index).ffill()

    up, down = rising(high), rising(low)
    code = pd.Series(0.0, index=bars.index)
    code[(up > 0) & (down > 0)] = 1.0
    code[(up < 0) & (down < 0)] = -1.0
    return code.where(up.notna() & down.notna())


def oracle(bars, timeframe, calendar):
    hour, day = pd.Timedelta(hours=1), pd.Timedelta(days=1)
    year = BARS_PER_YEAR[timeframe, calendar]
    returns = np.log(bars["close"] / bars["close"].shift())
    atr = smoothed(true_range(bars), 14, 1 / 14, first=1)
    distance = bars["close"] - smoothed(bars["close"], 20, 2 / 21, first=0)
    trend = np.sign(distance).where(distance.abs() > 0.25 * atr, 0.0)
    frame = pd.DataFrame(index=bars.index)
    frame["return_1h"] = return_since(bars, hour, hour)
    frame["return_1d"] = return_since(bars, day, hour if calendar == "24/7" else 4 * day)
    frame["volatility_20"] = returns.rolling(20).std() * math.sqrt(year)
    frame["volatility_50"] = returns.rolling(50).std() * math.sqrt(year)
    frame["atr"] = atr
    frame["trend_direction"] = trend.where(distance.notna() & atr.notna())
    frame["market_structure"] = structure(bars)
    frame["rolling_volume_20"] = bars["volume"].rolling(20).mean()
    return frame


def test_every_feature_equals_plain_pandas_on_real_data(case):
    bars, timeframe, calendar = case
    ours: Any = universal_features(bars, timeframe=timeframe, calendar=calendar)
    theirs = oracle(bars, timeframe, calendar)
    assert tuple(ours.columns) == COLUMNS
    assert (ours.dtypes == "float64").all()
    for name in COLUMNS:
        np.testing.assert_array_equal(ours[name].isna(), theirs[name].isna(), err_msg=name)
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)
        if (name, timeframe) != ("return_1h", "1d"):
            assert ours[name].notna().sum() > 300, f"{name} is compared on too little"


@pytest.mark.parametrize("cut", [0, 1, 2, 15, 60, 251, 480])
def test_no_value_knows_what_follows_it(case, cut):
    bars, timeframe, calendar = case
    whole = universal_features(bars, timeframe=timeframe, calendar=calendar)
    early = universal_features(bars.iloc[:cut], timeframe=timeframe, calendar=calendar)
    pd.testing.assert_frame_equal(early, whole.iloc[:cut], check_exact=True)


@pytest.mark.parametrize("cuts", [(1,), (300, 301), (60, 400, 480)])
def test_a_tail_with_the_declared_context_has_the_bits_of_the_whole(case, cuts):
    bars, timeframe, calendar = case
    whole = universal_features(bars, timeframe=timeframe, calendar=calendar)
    state, parts = UniversalState.empty(), []
    context = context_rows(timeframe, calendar)
    edges = [0, *cuts, len(bars)]
    for start, end in itertools.pairwise(edges):
        given_bars = bars.iloc[max(0, start - context) : end]
        part, state = continue_universal(given_bars, state, timeframe=timeframe, calendar=calendar)
        state = UniversalState.from_json(json.loads(json.dumps(state.to_json())))
        parts.append(part)
    pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True, check_freq=False)
    assert state.rows == len(bars)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    nulls=st.lists(st.integers(0, 299), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=3),
)
def test_nulls_and_cuts_anywhere_change_no_bit(seed, nulls, cuts):
    bars = sample_bars(n=300, seed=seed)
    for each in nulls:
        bars.iloc[each, each % 5] = np.nan
    whole = universal_features(bars, timeframe="1h", calendar="24/7")
    state, parts = UniversalState.empty(), []
    edges = [0, *sorted(cuts), 300]
    for start, end in itertools.pairwise(edges):
        part, state = continue_universal(
            bars.iloc[max(0, start - 50) : end], state, timeframe="1h", calendar="24/7"
        )
        parts.append(part)
    pd.testing.assert_frame_equal(pd.concat(parts), whole, check_exact=True, check_freq=False)


# ------------------------------------------------------------------------------- single features


def test_returns_are_by_time_over_a_gap():
    times = ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 03:00", "2024-01-01 06:00"]
    bars = minutes([100, 110, 121, 133.1], times)
    values = universal_features(bars, timeframe="1h", calendar="24/7")["return_1h"]
    # 03:00 looks for 02:00, finds 01:00, an hour older; 06:00 finds 03:00, two hours older.
    expected = [math.nan, math.log(1.1), math.log(1.1), math.nan]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_the_return_of_a_day_spans_a_long_weekend_but_not_a_closed_week():
    times = ["2024-03-28", "2024-04-02", "2024-04-03", "2024-04-10"]  # Easter: Thursday, Tuesday
    bars = minutes([100, 110, 121, 133.1], times)
    values = universal_features(bars, timeframe="1d", calendar="XLON")["return_1d"]
    np.testing.assert_allclose(values, [math.nan, math.log(1.1), math.log(1.1), math.nan])
    crypto = universal_features(bars, timeframe="1d", calendar="24/7")["return_1d"]
    np.testing.assert_allclose(crypto, [math.nan, math.nan, math.log(1.1), math.nan])


def test_a_night_is_not_an_hour():
    times = ["2024-01-02 19:30", "2024-01-02 20:30", "2024-01-03 14:30", "2024-01-03 15:30"]
    values = universal_features(minutes([1, 2, 4, 8], times), timeframe="1h", calendar="XNYS")
    np.testing.assert_allclose(
        values["return_1h"], [math.nan, math.log(2), math.nan, math.log(2)], rtol=1e-12
    )


def test_annualisation_comes_from_calendar_and_timeframe():
    bars = sample_bars(n=100)
    crypto, shares_ = (
        universal_features(bars, timeframe="1h", calendar=calendar)["volatility_20"].iloc[-1]
        for calendar in ("24/7", "XNYS")
    )
    assert crypto / shares_ == pytest.approx(math.sqrt(365 * 24 / (252 * 7)), rel=1e-12)


def test_a_flat_series_has_no_volatility_and_no_trend():
    bars = minutes(np.full(60, 0.1), pd.date_range("2024-01-01", periods=60, freq="1h"))
    values = universal_features(bars, timeframe="1h", calendar="24/7").iloc[-1]
    assert values["volatility_50"] == 0.0
    assert values["atr"] == 0.0
    assert values["trend_direction"] == 0.0


def test_a_pivot_counts_only_once_its_last_bar_is_there():
    # Highs 10, 12 and lows 5, 6 as pivots of width 5, in a zigzag with steps of 6 bars.
    knots = [7, 10, 5, 12, 6, 9]
    zigzag = np.concatenate([np.linspace(a, b, 7)[:-1] for a, b in itertools.pairwise(knots)])
    bars = minutes(zigzag, pd.date_range("2024-01-01", periods=len(zigzag), freq="1h"))
    values: Any = universal_features(bars, timeframe="1h", calendar="24/7")["market_structure"]
    second_low = 24
    assert values.iloc[: second_low + 5].isna().all()
    assert (values.iloc[second_low + 5 :] == 1.0).all()
    mirrored = bars.copy()
    mirrored[["high", "low"]] = 20 - bars[["low", "high"]].to_numpy()
    down = universal_features(mirrored, timeframe="1h", calendar="24/7")["market_structure"]
    assert down.iloc[-1] == -1.0


def test_codes_in_words():
    frame = pd.DataFrame({"trend_direction": [1.0, 0.0, -1.0, np.nan], "atr": 1.0})
    words: Any = in_words(frame)
    assert words["trend_direction"].iloc[:3].tolist() == ["up", "neutral", "down"]
    assert words["trend_direction"].isna().tolist() == [False, False, False, True]
    assert (words["atr"] == 1.0).all()


@pytest.mark.parametrize("name", ["return_1h", "return_1d", "volatility_20", "rolling_volume_20"])
def test_the_declared_look_back_is_enough_and_needed(name):
    bars = sample_bars(n=300).set_axis(
        pd.date_range("2024-01-01", periods=300, freq="1h", tz="UTC", name="timestamp"), axis=0
    )
    lookback = memories("1h", "24/7")[name].lookback
    assert lookback is not None
    whole = universal_features(bars, timeframe="1h", calendar="24/7")[name].iloc[-1]
    tail = universal_features(bars.iloc[-lookback:], timeframe="1h", calendar="24/7")[name].iloc[-1]
    assert whole == tail


def test_a_context_that_is_too_short_or_elsewhere_is_refused():
    bars = sample_bars(n=200)
    _, state = continue_universal(
        bars.iloc[:150], UniversalState.empty(), timeframe="1h", calendar="24/7"
    )
    with pytest.raises(DataError, match=r"49 bars before .* are given as context.* need 50"):
        continue_universal(bars.iloc[101:], state, timeframe="1h", calendar="24/7")
    with pytest.raises(DataError, match=r"the state ends at .* not among those given"):
        continue_universal(bars.iloc[150:], state, timeframe="1h", calendar="24/7")


def test_bars_that_overlap_or_lack_a_column_are_refused():
    bars = minutes([1, 2], ["2024-01-01 00:00", "2024-01-01 00:30"])
    with pytest.raises(DataError, match="opens less than 1h after the one at 2024-01-01 00:00"):
        universal_features(bars, timeframe="1h", calendar="24/7")
    with pytest.raises(DataError, match="column 'low' is missing"):
        universal_features(bars.drop(columns="low"), timeframe="30m", calendar="24/7")
    with pytest.raises(DataError, match="in UTC"):
        universal_features(bars.tz_localize(None), timeframe="30m", calendar="24/7")


def test_without_a_true_range_there_is_no_band_and_no_trend():
    bars = sample_bars(n=100)
    bars.iloc[60, bars.columns.get_loc("high")] = np.nan
    trend = universal_features(bars, timeframe="1h", calendar="24/7")["trend_direction"].to_numpy()
    assert np.isnan(trend[60:74]).all(), "the smoothing of the range starts anew"
    assert np.isfinite(trend[19:60]).all()
    assert np.isfinite(trend[74:]).all()
