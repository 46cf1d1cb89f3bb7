"""RSI and ATR: by hand, against TA-Lib, and under bad data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels import wilder
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars

LENGTHS = [2, 3, 14, 50]


def rsi(close, length=14):
    data = pd.DataFrame({"close": np.asarray(close, dtype=float)})
    return features.create("technical.rsi", length=length).compute(data)[f"rsi_{length}"].to_numpy()


def test_rsi_by_hand():
    # Changes +1, -0.5, +1, 0, -0.5. Gains 0.5, 0.75, 0.375, 0.1875; losses 0.25, 0.125, 0.0625,
    # (0.0625 + 0.5) / 2 = 0.28125.
    expected = [math.nan, math.nan, 100 * 2 / 3, 100 * 6 / 7, 100 * 6 / 7, 40.0]
    np.testing.assert_allclose(rsi([10, 11, 10.5, 11.5, 11.5, 11], 2), expected, rtol=1e-15)


def test_atr_by_hand():
    # True ranges 1.5 (against the close before), 2 (the bar itself), 2.
    data = pd.DataFrame(
        {
            "high": [10.0, 11.0, 12.0, 13.0],
            "low": [9.0, 10.0, 10.0, 12.0],
            "close": [9.5, 10.5, 11.0, 12.5],
        }
    )
    values = features.create("technical.atr", length=2).compute(data)
    assert list(values) == ["atr_2"]
    np.testing.assert_array_equal(values["atr_2"], [math.nan, math.nan, 1.75, 1.875])
    alone = features.create("technical.atr", length=1).compute(data)["atr_1"]
    np.testing.assert_array_equal(alone, [math.nan, 1.5, 2.0, 2.0])


@pytest.mark.parametrize("length", LENGTHS)
def test_rsi_equals_talib(length):
    close = sample_bars(n=3000, seed=4)["close"].to_numpy()
    ours, theirs = rsi(close, length), talib.RSI(close, length)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("length", LENGTHS)
def test_atr_equals_talib(length):
    bars = sample_bars(n=3000, seed=4)
    ours = features.create("technical.atr", length=length).compute(bars)[f"atr_{length}"]
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    theirs = talib.ATR(high, low, close, length)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_rsi_is_100_without_losses_and_0_without_gains():
    rise = rsi(np.arange(1.0, 60.0))
    assert np.isnan(rise[:14]).all()
    assert (rise[14:] == 100.0).all()
    assert (rsi(np.arange(60.0, 1.0, -1.0))[14:] == 0.0).all()


def test_rsi_of_a_flat_series_is_null():
    assert np.isnan(rsi(np.full(100, 42.0))).all()
    assert np.isnan(rsi(np.zeros(100))).all()


def test_rsi_becomes_null_when_movement_has_faded():
    close = np.concatenate([[10.0, 11.0, 10.5, 11.5], np.full(200, 11.5)])
    values = rsi(close, 2)
    assert values[4] == pytest.approx(100 * 6 / 7)
    assert np.isnan(values[60:]).all()


def test_a_null_restarts_the_smoothing():
    close = sample_bars(n=200)["close"].to_numpy(copy=True)
    close[80] = np.nan
    values = rsi(close)
    assert np.isnan(values[80:95]).all()
    assert np.isfinite(values[95:]).all()
    assert values[81:].tobytes() == rsi(close[81:]).tobytes()
    assert values[:80].tobytes() == rsi(close[:80]).tobytes()


def test_an_infinite_price_is_forgotten_as_a_null_is():
    close = sample_bars(n=200)["close"].to_numpy(copy=True)
    close[50] = np.inf
    np.testing.assert_array_equal(rsi(close)[51:], rsi(close[51:]))


def test_averages_beyond_float64_start_anew():
    # The sums that start the smoothing overflow: without a fresh start, everything after them would
    # be lost.
    close = sample_bars(n=200)["close"].to_numpy(copy=True)
    close[[2, 4]] = 1.7e308
    values = rsi(close)
    assert np.isnan(values[:19]).all()
    assert np.isfinite(values[19:]).all()


def test_one_absurd_price_fades_within_the_declared_memory():
    plugin = features.create("technical.rsi")
    lookback = plugin.memory.lookback
    assert lookback is not None
    clean = sample_bars(n=lookback + 400).loc[:, ["close"]]
    poisoned = clean.copy()
    poisoned.iloc[100] *= 1000.0
    before, after = (plugin.compute(frame)["rsi_14"].to_numpy() for frame in (clean, poisoned))
    np.testing.assert_array_equal(before[:100], after[:100])
    assert abs(before[100] - after[100]) > 10
    assert abs(before[200] - after[200]) > 1e-3, "the memory is long: this is not a window"
    np.testing.assert_allclose(after[100 + lookback :], before[100 + lookback :], rtol=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("key", ["technical.rsi", "technical.atr"])
def test_the_declared_look_back_holds_after_a_quieter_regime(key, length):
    # The past moves a million times more than the present.
    plugin = features.create(key, length=length)
    lookback = plugin.memory.lookback
    assert lookback is not None
    rng = np.random.default_rng(8)
    steps = rng.normal(0, 1, lookback + 300)
    steps[300:] *= 1e-6
    close = 1e4 + np.cumsum(steps)
    bars = pd.DataFrame({"high": close + 1e-7, "low": close - 1e-7, "close": close})
    whole = plugin.compute(bars).iloc[-1]
    tail = plugin.compute(bars.iloc[-lookback:]).iloc[-1]
    np.testing.assert_allclose(whole, tail, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    length=st.integers(2, 20),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    nulls=st.lists(st.integers(0, 199), max_size=4),
)
def test_a_carried_state_continues_with_the_same_bits(seed, length, cuts, nulls):
    bars = sample_bars(n=200, seed=seed)
    bars.iloc[nulls] = np.nan
    high, low, close = (bars[name].to_numpy(copy=True) for name in ("high", "low", "close"))
    edges = [0, *sorted(cuts), 200]
    rsi_parts, atr_parts = [], []
    rsi_state, atr_state = wilder.empty_state(), wilder.empty_state()
    for start, end in itertools.pairwise(edges):
        part = slice(start, end)
        values, rsi_state = wilder.rsi_continue(close[part], length, rsi_state)
        rsi_parts.append(values)
        values, atr_state = wilder.atr_continue(
            high[part], low[part], close[part], length, atr_state
        )
        atr_parts.append(values)
    assert np.concatenate(rsi_parts).tobytes() == wilder.rsi(close, length).tobytes()
    assert np.concatenate(atr_parts).tobytes() == wilder.atr(high, low, close, length).tobytes()


def test_a_state_is_not_changed_by_its_use():
    close = sample_bars(n=50)["close"].to_numpy(copy=True)
    _, state = wilder.rsi_continue(close, 14, wilder.empty_state())
    kept = state.copy()
    wilder.rsi_continue(close, 14, state)
    np.testing.assert_array_equal(state, kept)


def test_memory_grows_with_the_length():
    lookbacks = [features.create("technical.rsi", length=n).memory.lookback for n in (2, 14, 100)]
    assert lookbacks == [83, 761, 5600]
    assert features.create("technical.atr", length=1).memory.lookback == 2
