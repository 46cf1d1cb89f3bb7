"""Crypto features: by hand, against plain pandas on real data, and continued over any cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import percentileofscore

from hf_plugins.enrichment import crypto_features, taker_sell_volume
from hf_plugins.enrichment.crypto import COLUMNS, context_rows, memories
from hf_plugins.errors import DataError
from hf_plugins.sessions import MICROSECONDS_PER_DAY
from tests.plugins.enrichment.real import perpetual, spot


@pytest.fixture(scope="module", params=["perpetual", "spot"])
def bars(request, shared_data):
    return {"perpetual": perpetual, "spot": spot}[request.param](shared_data)


def few(**columns: Any) -> Any:
    rows = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC", name="timestamp")
    base = {"high": 11.0, "low": 9.0, "close": 10.0, "volume": 4.0}
    return pd.DataFrame({**base, **columns}, index=index)


def ratio(numerator, denominator):
    return numerator / denominator.where(denominator != 0)


def oracle(bars):
    def column(name):
        return bars[name] if name in bars else pd.Series(np.nan, index=bars.index)

    longs, shorts = column("liquidations_long"), column("liquidations_short")
    buy, interest = column("taker_buy_volume"), column("open_interest")
    mean = bars["volume"].rolling(20).mean()
    traded = bars["volume"] * bars[["high", "low", "close"]].mean(axis=1)
    return pd.DataFrame(
        {
            "delta": longs - shorts,
            "buy_sell_ratio": ratio(buy, bars["volume"] - buy),
            "liquidation_intensity": 100 * ratio(longs + shorts, traded),
            "volume_spike_score": ratio(bars["volume"] - mean, mean),
            "long_short_ratio": ratio(longs, shorts),
            "exchange_inflow": column("exchange_inflow"),
            "open_interest_change": ratio(interest.diff(), interest.shift()),
        }
    )


EXPECTED = {
    "perpetual": {
        "delta": 30,
        "liquidation_intensity": 30,
        "long_short_ratio": 30,
        "volume_spike_score": 8000,
        "open_interest_change": 1500,
    },
    "spot": {"buy_sell_ratio": 4000, "volume_spike_score": 4000},
}


def test_every_feature_equals_plain_pandas_on_real_data(bars):
    ours: Any = crypto_features(bars, timeframe="1h")
    theirs = oracle(bars)
    assert tuple(ours.columns) == COLUMNS
    for name in theirs:
        np.testing.assert_array_equal(ours[name].isna(), theirs[name].isna(), err_msg=name)
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)
    kind = "perpetual" if "funding_rate" in bars else "spot"
    for name, rows in EXPECTED[kind].items():
        assert ours[name].notna().sum() >= rows, f"{name} is compared on too little"


def test_the_percentile_of_real_funding_equals_a_count_over_252_days(shared_data):
    bars = perpetual(shared_data)
    ours: Any = crypto_features(bars, timeframe="1h")["funding_rate_percentile"]
    funding = bars["funding_rate"]
    known_from = funding.first_valid_index() + pd.Timedelta(days=30)
    assert ours[:known_from].iloc[:-1].isna().all()
    assert ours[known_from:].notna().all()
    rows = np.linspace(bars.index.get_loc(known_from), len(bars) - 1, 150).astype(int)
    assert (bars.index[rows] - bars.index[0] > pd.Timedelta(days=260)).sum() > 20
    for row in rows:
        at = bars.index[row]
        window = funding[(funding.index > at - pd.Timedelta(days=252)) & (funding.index <= at)]
        expected = percentileofscore(window.dropna(), funding.iloc[row], kind="mean")
        assert ours.iloc[row] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cut", [0, 1, 21, 800, 3000])
def test_no_value_knows_what_follows_it(bars, cut):
    whole = crypto_features(bars, timeframe="1h")
    early = crypto_features(bars.iloc[:cut], timeframe="1h")
    pd.testing.assert_frame_equal(early, whole.iloc[:cut], check_exact=True)


@pytest.mark.parametrize("cut", [1, 700, 4300])
def test_a_tail_with_the_declared_context_has_the_bits_of_the_whole(bars, cut):
    whole = crypto_features(bars, timeframe="1h")
    last = int(bars.index[cut - 1].value // 1000)
    given = bars.iloc[max(0, cut - context_rows("1h")) :]
    tail = crypto_features(given, timeframe="1h", after=last)
    pd.testing.assert_frame_equal(tail, whole.iloc[cut:], check_exact=True, check_freq=False)


def test_the_context_of_the_percentile_is_needed(shared_data):
    bars = perpetual(shared_data)
    name = "funding_rate_percentile"
    lookback = memories("1h")[name].lookback
    assert lookback == 252 * 24
    whole = crypto_features(bars, timeframe="1h")[name].iloc[-1]
    assert crypto_features(bars.iloc[-lookback:], timeframe="1h")[name].iloc[-1] == whole
    assert crypto_features(bars.iloc[-lookback // 2 :], timeframe="1h")[name].iloc[-1] != whole


def test_the_signs_and_units_by_hand():
    bars = few(
        liquidations_long=[30.0, 0.0],
        liquidations_short=[10.0, 5.0],
        taker_buy_volume=[3.0, 1.0],
        open_interest=[100.0, 110.0],
        exchange_inflow=[-7.0, np.nan],
    )
    values = crypto_features(bars, timeframe="1h")
    assert values["delta"].tolist() == [20.0, -5.0]
    assert values["buy_sell_ratio"].tolist() == [3.0, 1 / 3]
    # 4 units at 10 are 40 of quote currency; 40 of it liquidated is 100 per cent.
    assert values["liquidation_intensity"].tolist() == [100.0, 12.5]
    assert values["long_short_ratio"].tolist() == [3.0, 0.0]
    np.testing.assert_allclose(values["open_interest_change"], [math.nan, 0.1], rtol=1e-12)
    np.testing.assert_array_equal(values["exchange_inflow"], [-7.0, math.nan])


def test_zero_denominators_give_null():
    rows = 25
    bars = few(
        volume=np.zeros(rows),
        taker_buy_volume=np.zeros(rows),
        liquidations_long=np.ones(rows),
        liquidations_short=np.zeros(rows),
        open_interest=np.zeros(rows),
    )
    values = crypto_features(bars, timeframe="1h").iloc[-1]
    assert values["delta"] == 1.0
    assert values.drop("delta").isna().all()


def test_what_the_venue_does_not_give_is_null():
    values = crypto_features(few(volume=np.arange(1.0, 31.0)), timeframe="1h").iloc[-1]
    assert values["volume_spike_score"] == pytest.approx(30 / 20.5 - 1)
    assert values.drop("volume_spike_score").isna().all()


def test_sellers_take_the_rest_of_the_volume():
    rest = taker_sell_volume(np.array([5.0, 5.0, 5.0, np.nan]), np.array([2.0, 5.0, 6.0, 1.0]))
    np.testing.assert_array_equal(rest, [3.0, 0.0, math.nan, math.nan])


def test_a_window_of_time_does_not_stretch_over_gaps():
    days = pd.DatetimeIndex(
        ["2023-01-01", "2023-02-15", "2023-09-09 23:00", "2023-09-10"], tz="UTC"
    )
    bars = few(funding_rate=[3.0, 1.0, 9.0, 2.0]).set_axis(days, axis=0)
    values = crypto_features(bars, timeframe="1h")["funding_rate_percentile"]
    # On 10 September the first day of January is 252 days ago, hence out.
    np.testing.assert_allclose(values, [math.nan, 25.0, 100 * 2.5 / 3, 50.0])


def test_a_state_elsewhere_is_refused():
    with pytest.raises(DataError, match="the state ends at 2023-12-31"):
        crypto_features(few(volume=[1.0]), timeframe="1h", after=19722 * MICROSECONDS_PER_DAY)
