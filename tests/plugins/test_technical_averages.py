"""MACD, crossings of averages and Bollinger bands: by hand, against TA-Lib, and under bad data."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars

NULL = math.nan
LENGTHS = [(12, 26, 9), (2, 3, 1), (5, 35, 5), (19, 39, 20)]


def compute(key, close, **params):
    data = pd.DataFrame({"close": np.asarray(close, dtype=float)})
    return features.create(f"technical.{key}", **params).compute(data)


def close_of(n=3000, seed=4):
    return sample_bars(n=n, seed=seed)["close"].to_numpy(copy=True)


def test_macd_by_hand():
    # Weights 2/3 and 1/2. The slow average starts as mean(1, 2, 6) = 3, the fast one as
    # mean(2, 6) = 4; then 4 + (1 - 4) 2/3 = 2 and 3 + (1 - 3) / 2 = 2; then 4 and 3.5.
    values = compute("macd", [1, 2, 6, 1, 5], fast=2, slow=3, signal=2)
    assert list(values) == ["macd_2_3_2", "macd_signal_2_3_2", "macd_histogram_2_3_2"]
    line, signal = [NULL, NULL, 1.0, 0.0, 0.5], [NULL, NULL, NULL, 0.5, 0.5]
    expected = np.column_stack([line, signal, np.subtract(line, signal)])
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-15)


def test_crossings_by_hand():
    # Fast 1.5, 1.5, 2.5, 1.5, 0.5 ... over slow: started by mean(2, 1, 2) = 5/3.
    values = compute("ema_cross", [2, 1, 2, 3, 1, 1, 4], fast=2, slow=3)
    assert list(values) == ["ema_2", "ema_3", "ema_cross_2_3"]
    fast, slow = [NULL, 1.5], [NULL, NULL, 5 / 3]
    for price in (2, 3, 1, 1, 4):
        fast.append(fast[-1] + (price - fast[-1]) * 2 / 3)
    for price in (3, 1, 1, 4):
        slow.append((slow[-1] + price) / 2)
    np.testing.assert_allclose(values["ema_2"], fast, rtol=1e-15)
    np.testing.assert_allclose(values["ema_3"], slow, rtol=1e-15)
    np.testing.assert_array_equal(values["ema_cross_2_3"], [NULL, NULL, NULL, 0, -1, 0, 1])


def test_a_crossing_is_a_change_of_side():
    values = compute("ema_cross", close_of(), fast=5, slow=20)
    side = np.sign(values["ema_5"].to_numpy() - values["ema_20"].to_numpy())
    crossing = values["ema_cross_5_20"].to_numpy()
    assert not (side[19:] == 0).any()
    np.testing.assert_array_equal(crossing[20:], (side[20:] - side[19:-1]) / 2)
    ups, downs = (crossing == 1).sum(), (crossing == -1).sum()
    assert ups > 50
    assert abs(ups - downs) <= 1


def test_a_flat_price_has_no_convergence_and_crosses_nothing():
    flat = np.full(300, 0.1)  # a mean of tenths is off by a rounding
    macd = compute("macd", flat).to_numpy()
    assert np.isnan(macd[:25]).all()
    assert np.nanmax(np.abs(macd)) < 1e-15
    crossing = compute("ema_cross", np.concatenate([close_of(100), flat]))["ema_cross_12_26"]
    assert (crossing.to_numpy()[-50:] == 0.0).all()
    assert (compute("ema_cross", np.zeros(50)).iloc[26:, 2] == 0.0).all()


@pytest.mark.parametrize("fast", [3, 7])
def test_averages_that_differ_by_a_rounding_are_equal(fast):
    # Means of 3, 7 and 11 equal prices are not quite that price; the first real move crosses.
    for price in np.linspace(0.01, 3.0, 97):
        for factor, expected in ((1.01, 1.0), (0.99, -1.0)):
            close = np.append(np.full(40, price), price * factor)
            crossing = compute("ema_cross", close, fast=fast, slow=11).iloc[:, 2].to_numpy()
            assert not crossing[11:40].any()
            assert crossing[40] == expected


def test_bands_by_hand():
    # Window (1, 5): mean 3, deviation of the population 2, bands at three halves of it.
    values = compute("bbands", [1, 5, 5, -5], length=2, deviations=1.5)
    assert list(values) == [
        f"bbands_{name}_2_1.5" for name in ("lower", "middle", "upper", "width", "percent")
    ]
    expected = [
        [NULL] * 5,
        [0.0, 3.0, 6.0, 2.0, 5 / 6],
        [5.0, 5.0, 5.0, 0.0, NULL],
        [-7.5, 0.0, 7.5, NULL, 1 / 6],
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-15)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_macd_equals_talib(lengths):
    close = close_of()
    fast, slow, signal = lengths
    values = compute("macd", close, fast=fast, slow=slow, signal=signal).to_numpy()
    known = slow + signal - 2
    assert np.isfinite(values[known:]).all()
    assert np.isfinite(values[slow - 1 :, 0]).all(), "the line is known before its average"
    for ours, theirs in zip(values.T, talib.MACD(close, *lengths), strict=True):
        np.testing.assert_allclose(ours[known:], theirs[known:], rtol=0, atol=1e-9)
        assert np.isnan(theirs[:known]).all()


@pytest.mark.parametrize(("fast", "slow"), [(12, 26), (2, 3), (50, 200)])
def test_averages_equal_talib(fast, slow):
    close = close_of()
    values = compute("ema_cross", close, fast=fast, slow=slow)
    for length in (fast, slow):
        ours, theirs = values[f"ema_{length}"].to_numpy(), talib.EMA(close, length)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("length", "deviations"), [(20, 2.0), (2, 1.0), (200, 2.5)])
def test_bands_equal_talib(length, deviations):
    close = close_of()
    values = compute("bbands", close, length=length, deviations=deviations)
    upper, middle, lower = talib.BBANDS(close, length, deviations, deviations)
    bands = np.column_stack([lower, middle, upper])
    np.testing.assert_array_equal(np.isnan(values.iloc[:, :3]), np.isnan(bands))
    np.testing.assert_allclose(values.iloc[:, :3], bands, rtol=0, atol=1e-9)


def test_the_close_lies_where_the_bands_say():
    close = close_of()
    values = compute("bbands", close)
    lower, middle, upper, width, percent = (values[name].to_numpy() for name in values)
    np.testing.assert_allclose((lower + percent * (upper - lower))[19:], close[19:], rtol=1e-12)
    np.testing.assert_allclose((width * middle)[19:], (upper - lower)[19:], rtol=1e-12)


def test_an_absurd_price_leaves_the_bands_with_the_window():
    clean = close_of(200)
    poisoned = clean.copy()
    poisoned[100] *= 1e9
    before, after = (compute("bbands", each).to_numpy() for each in (clean, poisoned))
    changed = np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))).all(1))
    assert list(changed) == list(range(100, 120))


@pytest.mark.parametrize(("key", "column"), [("macd", "macd_12_26_9"), ("ema_cross", "ema_26")])
def test_an_absurd_price_fades_within_the_declared_memory(key, column):
    plugin = features.create(f"technical.{key}")
    lookback = plugin.memory.lookback
    assert lookback is not None
    clean = pd.DataFrame({"close": close_of(lookback + 400)})
    poisoned = clean.copy()
    poisoned.iloc[100] *= 1000.0
    before, after = (plugin.compute(frame)[column].to_numpy() for frame in (clean, poisoned))
    np.testing.assert_array_equal(before[:100], after[:100])
    assert abs(before[100] - after[100]) > 10
    assert abs(before[200] - after[200]) > 1e-3, "the memory is long: this is not a window"
    scale = np.nanmax(np.abs(before))
    np.testing.assert_allclose(
        after[100 + lookback :], before[100 + lookback :], rtol=0, atol=1e-12 * scale
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("key", ["macd", "ema_cross"])
def test_a_null_restarts_the_averages(key, bad):
    close = close_of(200)
    close[80] = bad
    values = compute(key, close).to_numpy()
    assert np.isnan(values[80]).all()
    assert values[81:].tobytes() == compute(key, close[81:]).to_numpy().tobytes()
    assert values[:80].tobytes() == compute(key, close[:80]).to_numpy().tobytes()


def test_averages_beyond_float64_start_anew():
    close = close_of(300)
    close[50:52] = 1.7e308
    for key in ("macd", "ema_cross"):
        values = compute(key, close).to_numpy()
        assert np.isfinite(values[-100:]).all()
        assert not np.isinf(values).any()
    assert not np.isinf(compute("bbands", close).to_numpy()).any()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    fast=st.integers(2, 10),
    more=st.integers(1, 15),
    signal=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    nulls=st.lists(st.integers(0, 199), max_size=4),
)
def test_a_carried_state_continues_with_the_same_bits(seed, fast, more, signal, cuts, nulls):
    data = sample_bars(n=200, seed=seed).loc[:, ["close"]]
    data.iloc[nulls] = np.nan
    for key, extra in (("macd", {"signal": signal}), ("ema_cross", {})):
        plugin = features.create(f"technical.{key}", fast=fast, slow=fast + more, **extra)
        parts, state = [], None
        for start, end in itertools.pairwise([0, *sorted(cuts), 200]):
            part = data.iloc[start:end]
            values, state = plugin.advance(part, len(part), state)
            state = json.loads(json.dumps(state, allow_nan=False))
            parts.append(values.to_numpy())
        assert np.concatenate(parts).tobytes() == plugin.compute(data).to_numpy().tobytes()


def test_the_state_is_readable():
    plugin = features.create("technical.macd", fast=2, slow=3, signal=2)
    _, state = plugin.advance(pd.DataFrame({"close": [1.0, 2.0, 6.0, 1.0]}), 4, None)
    assert state == {
        "values_seen": 3.0,
        "fast_average": pytest.approx(2.0),
        "slow_average": 2.0,
        "lines_seen": 2.0,
        "signal_average": pytest.approx(0.5),
    }


@pytest.mark.parametrize("key", ["technical.macd", "technical.ema_cross"])
def test_the_slow_average_must_be_the_slower(key):
    with pytest.raises(ConfigurationError, match=r"'slow' is 12: .*must be more than fast \(12\)"):
        features.create(key, fast=12, slow=12)
    with pytest.raises(ConfigurationError, match=r"'slow' is 26: .*must be more than fast \(30\)"):
        features.create(key, fast=30)
