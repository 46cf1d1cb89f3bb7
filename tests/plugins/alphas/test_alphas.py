"""The alphas as a whole: causality, look-back, bad input, and the two that have a kernel."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import pytest

from hf_plugins.alphas import (
    ALPHAS,
    AcrossInstruments,
    AcrossTime,
    Panel,
    across_instruments,
    across_time,
)
from hf_plugins.alphas.expression import Expression
from hf_plugins.errors import ConfigurationError, DataError
from tests.plugins.alphas.markets import fields, gold_like, groups, panel

BARS = 400
NAMES = [alpha.name for alpha in ALPHAS.values()]


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return gold_like(BARS)


@pytest.fixture(scope="module")
def along_time(bars: pd.DataFrame) -> pd.DataFrame:
    return across_time(bars)


def test_there_are_101_and_each_says_what_it_needs() -> None:
    assert list(ALPHAS) == list(range(1, 102))
    assert ALPHAS[101].expression.inputs == ("open", "high", "low", "close")
    assert ALPHAS[56].expression.inputs == ("close", "cap")
    assert ALPHAS[25].expression.inputs == ("high", "close", "volume", "vwap")
    assert ALPHAS[67].expression.groups == ("sector", "subindustry")


@pytest.mark.parametrize(
    ("number", "across", "along"),
    [
        (101, 1, 1),
        (3, 10, 69),  # correlation over 10 of ranks over 60
        (24, 200, 200),  # the 100-bar change of a 100-bar mean
        (19, 251, 310),  # 250 returns, each of two bars
        (58, 3 + 7 + 5 - 2, 60 + 3 + 7 + 5 - 3),  # fractions are floored
        (83, 7, 66),  # a rank of a rank is the rank
    ],
)
def test_lookbacks_by_hand(number: int, across: int, along: int) -> None:
    expression = ALPHAS[number].expression
    assert expression.lookback(AcrossInstruments()) == across
    assert expression.lookback(AcrossTime()) == along


@pytest.mark.parametrize("cut", [97, 260, BARS - 1])
def test_along_time_no_value_changes_when_the_future_is_cut_off(
    bars: pd.DataFrame, along_time: pd.DataFrame, cut: int
) -> None:
    pd.testing.assert_frame_equal(
        across_time(bars.iloc[:cut]), along_time.iloc[:cut], check_exact=True
    )


@pytest.mark.parametrize("number", ALPHAS)
def test_across_instruments_no_value_changes_when_the_future_is_cut_off(number: int) -> None:
    cut = 270
    whole = across_instruments(panel(300, 8), number)
    market = {name: frame.iloc[:cut] for name, frame in fields(300, 8).items()}
    part = across_instruments(Panel.of_instruments(market, groups(8)), number)
    pd.testing.assert_frame_equal(part, whole.iloc[:cut], check_exact=True)


@pytest.mark.parametrize("number", ALPHAS)
def test_the_lookback_suffices_along_time(
    number: int, bars: pd.DataFrame, along_time: pd.DataFrame
) -> None:
    name = ALPHAS[number].name
    lookback = ALPHAS[number].expression.lookback(AcrossTime())
    last = across_time(bars.iloc[-lookback:], [number])[name].iloc[-1]
    np.testing.assert_array_equal(last, along_time[name].iloc[-1])


@pytest.mark.parametrize("number", [3, 19, 24, 36, 43, 53, 83, 101])
def test_the_lookback_is_not_longer_than_needed_along_time(number: int) -> None:
    bars = gold_like(BARS)
    bars["volume"] += 1.0
    name = ALPHAS[number].name
    lookback = ALPHAS[number].expression.lookback(AcrossTime())
    values = across_time(bars, [number])[name]
    assert values.first_valid_index() == bars.index[lookback - 1]


def test_nothing_is_infinite(along_time: pd.DataFrame) -> None:
    assert not np.isinf(along_time.to_numpy()).any()
    assert list(along_time) == NAMES


def test_a_missing_price_makes_null_what_needs_it_and_nothing_else(bars: pd.DataFrame) -> None:
    broken = bars.copy()
    broken.iloc[300, broken.columns.get_loc("close")] = np.nan
    whole, part = across_time(bars, [24, 101]), across_time(broken, [24, 101])
    assert part.iloc[300].isna().all()
    others = bars.index != bars.index[300]
    pd.testing.assert_frame_equal(part.loc[others, ["alpha101"]], whole.loc[others, ["alpha101"]])
    assert part["alpha024"].iloc[300:].isna().all()
    pd.testing.assert_frame_equal(part.iloc[:300], whole.iloc[:300])


def test_alpha_101_by_hand() -> None:
    bars = pd.DataFrame(
        {"open": [10.0], "high": [12.0], "low": [9.0], "close": [11.5], "volume": [1.0]}
    )
    assert across_time(bars, [101])["alpha101"].tolist() == [1.5 / 3.001]


def test_alpha_012_by_hand() -> None:
    bars = pd.DataFrame(
        {name: [10.0, 11.0, 9.0, 9.5] for name in ("open", "high", "low", "close")}
        | {"volume": [5.0, 7.0, 7.0, 6.0]}
    )
    values = across_time(bars, [12])["alpha012"].tolist()
    assert np.isnan(values[0])
    assert values[1:] == [-1.0, 0.0, 0.5]


def test_dollar_volume_is_the_callers_choice() -> None:
    """Alpha 7 compares an average volume with a volume: dollars against shares as printed."""
    market = fields(120, 8)
    printed = across_instruments(Panel.of_instruments(market), 7).iloc[70:]
    assert (printed == -1).all(axis=None)
    shares = market | {"dollar_volume": market["volume"]}
    assert (across_instruments(Panel.of_instruments(shares), 7).iloc[70:] != -1).any(axis=None)


def test_labels_may_change_with_time() -> None:
    market, labels = fields(40, 8), groups(8)
    by_bar = {
        name: pd.DataFrame([label] * 40, market["close"].index) for name, label in labels.items()
    }
    same = across_instruments(Panel.of_instruments(market, by_bar), 58)
    fixed = across_instruments(Panel.of_instruments(market, labels), 58)
    pd.testing.assert_frame_equal(same, fixed)
    by_bar["sector"].iloc[30:] = "one"
    moved = across_instruments(Panel.of_instruments(market, by_bar), 58)
    pd.testing.assert_frame_equal(moved.iloc[:30], fixed.iloc[:30])
    assert not moved.iloc[30:].equals(fixed.iloc[30:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank(close", "is not a formula"),
        ("rank(closing)", "unknown field 'closing'.*Did you mean 'close'"),
        ("ts_ranks(close, 3)", "unknown operator 'ts_ranks'.*Did you mean 'ts_rank'"),
        ("delay(close)", "'delay' takes 2 arguments; 1 are given"),
        ("delay(close, volume)", "the window of 'delay' is volume; allowed: a number"),
        ("delay(close, 0.5)", "the window of 'delay' is 0.5"),
        ("delay(close, -1)", "the window of 'delay' is -1"),
        ("indneutralize(close, country)", "unknown classification 'country'"),
        ("close.shift(-1)", "is not part of a formula"),
        ("close > open", "is not part of a formula"),
        ("__import__('os')", "unknown operator"),
    ],
)
def test_what_is_not_a_formula_is_refused_when_read(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Expression(text)


def test_bad_input_is_named(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="the bars lack the column volume"):
        across_time(bars.drop(columns="volume"))
    with pytest.raises(DataError, match="strictly increasing"):
        across_time(bars.iloc[::-1])
    with pytest.raises(ConfigurationError, match="no alpha 102; allowed: 1 to 101"):
        across_time(bars, [102])
    with pytest.raises(ConfigurationError, match="the window is 1 bars"):
        across_time(bars, [1], window=1)
    market = fields(20, 4)
    with pytest.raises(DataError, match="lacks the field 'cap'"):
        across_instruments(Panel.of_instruments({"close": market["close"]}), 56)
    with pytest.raises(DataError, match="lacks the classification 'sector'"):
        across_instruments(Panel.of_instruments(market), 58)
    with pytest.raises(DataError, match="'open' and 'close' have other bars"):
        Panel.of_instruments({"open": market["open"], "close": market["close"].iloc[1:]})
    with pytest.raises(DataError, match=r"unknown field 'opn'.*Did you mean 'open'"):
        Panel.of_instruments({"opn": market["open"]})


def alpha024_of_the_gold_set(close: np.ndarray) -> np.ndarray:
    """The feature specification's words, one bar at a time."""
    values = np.full(len(close), np.nan)
    for t in range(199, len(close)):
        now, before = close[t - 99 : t + 1].mean(), close[t - 199 : t - 99].mean()
        slow = (now - before) / close[t - 100] <= 0.05
        values[t] = -(close[t] - close[t - 99 : t + 1].min()) if slow else close[t - 3] - close[t]
    return values


def alpha083_of_the_gold_set(bars: pd.DataFrame) -> np.ndarray:
    """The feature specification's words, with pandas."""
    ratio = (bars["high"] - bars["low"]) / bars["close"].rolling(5).mean()
    ranks = [
        series.rolling(60).rank(pct=True) for series in (ratio.round(12).shift(2), bars["volume"])
    ]
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    values = ranks[0] * ranks[1] * (typical - bars["close"]) / ratio
    return cast(pd.Series, values).to_numpy()


def test_alpha_024_is_the_one_of_the_gold_set() -> None:
    bars = gold_like(600)
    bars.iloc[400:, :4] *= 1.2  # so that both branches occur
    general = across_time(bars, [24])["alpha024"].to_numpy()
    special = alpha024_of_the_gold_set(bars["close"].to_numpy())
    np.testing.assert_array_equal(np.isnan(general), np.isnan(special))
    np.testing.assert_allclose(general, special, rtol=1e-12, atol=1e-9)
    assert (general[400:] > 0).any()


def test_alpha_083_is_the_one_of_the_gold_set_but_for_bars_that_divide_by_zero() -> None:
    """The gold set puts 0 where the close is the typical price or the bar has no range."""
    bars = gold_like(2000)
    general = across_time(bars, [83])["alpha083"].to_numpy()
    special = alpha083_of_the_gold_set(bars)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    divides = ((typical - bars["close"]).abs() > 1e-9).to_numpy() & (np.arange(2000) >= 65)
    assert 100 < (~divides).sum() < 500
    np.testing.assert_allclose(general[divides], special[divides], rtol=1e-9)
    assert np.isnan(general[~divides]).all()
