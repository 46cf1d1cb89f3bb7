"""Standard scores and the volatility regime: by hand, against pandas, and under bad data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars

NULL = math.nan


def score(values, key="mean_reversion", **params):
    data = pd.DataFrame({params.get("column", "close"): np.asarray(values, dtype=float)})
    return features.create(f"statistical.{key}", **params).compute(data)


def regimes(close, **params):
    data = pd.DataFrame({"close": np.asarray(close, dtype=float)})
    return features.create("statistical.volatility_regime", **params).compute(data)


def prices_of_volatility(sizes):
    """Prices whose volatility over two returns is the given one: returns of size and -size."""
    returns = np.ravel([[size / math.sqrt(2), -size / math.sqrt(2)] for size in sizes])
    return np.exp(np.concatenate([[0.0], np.cumsum(returns)]))


def test_scores_by_hand():
    # Of (1, 2, 6): mean 3, deviation sqrt((4 + 1 + 9) / 2). Of (2, 6, 1): mean 3, the same.
    expected = [NULL, NULL, 3 / math.sqrt(7), -2 / math.sqrt(7)]
    for key in ("mean_reversion", "z_score"):
        values = score([1, 2, 6, 1], key, window=3)
        assert list(values) == [f"{key}_3"]
        np.testing.assert_allclose(values[f"{key}_3"], expected, rtol=1e-14)


def test_a_score_of_any_column():
    values = score([1, 2, 6, 1], "z_score", column="volume", window=3)
    assert list(values) == ["z_score_volume_3"]
    assert features.create("statistical.z_score", column="funding_rate").columns == (
        "funding_rate",
    )
    np.testing.assert_allclose(values["z_score_volume_3"].iloc[2], 3 / math.sqrt(7), rtol=1e-14)
    with pytest.raises(ConfigurationError, match="'column' is 'a b'"):
        features.create("statistical.z_score", column="a b")


def test_scores_equal_those_of_pandas():
    close = sample_bars(n=2000, seed=4)["close"]
    window = close.rolling(50)
    expected = (close - window.mean()) / window.std()
    np.testing.assert_allclose(
        score(close, window=50)["mean_reversion_50"], expected, rtol=0, atol=1e-9
    )


def test_a_score_of_what_does_not_vary_is_null():
    close = np.concatenate([np.linspace(1, 2, 10), np.full(30, 0.1)])
    values = score(close, window=5)["mean_reversion_5"].to_numpy()
    assert np.isnan(values[14:]).all(), "a mean of tenths is off by a rounding"
    assert np.isfinite(values[4:14]).all()
    for price in np.linspace(0.01, 3.0, 97):
        for window in (3, 7, 10):
            assert score(np.full(20, price), window=window).isna().to_numpy().all()
    tiny = score(1e-9 * np.arange(1.0, 20.0), window=5)["mean_reversion_5"]
    np.testing.assert_allclose(tiny.iloc[4:], score(np.arange(1.0, 20.0), window=5).iloc[4:, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_with_an_unknown_value_are_null(bad):
    close = sample_bars(n=100)["close"].to_numpy(copy=True)
    clean = score(close, window=10)["mean_reversion_10"].to_numpy()
    close[50] = bad
    values = score(close, window=10)["mean_reversion_10"].to_numpy()
    assert np.isnan(values[50:60]).all()
    known = np.r_[0:50, 60:100]
    assert values[known].tobytes() == clean[known].tobytes()


def test_an_absurd_price_leaves_with_the_window():
    clean = sample_bars(n=1000)["close"].to_numpy(copy=True)
    poisoned = clean.copy()
    poisoned[400] *= 1e9
    for compute, reach in (
        (lambda each: score(each, window=20), 20),
        (lambda each: regimes(each, window=20, rank_window=50, min_history=10), 20 + 1 + 50),
    ):
        before, after = (compute(each).to_numpy() for each in (clean, poisoned))
        same = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=1)
        changed = np.flatnonzero(~same)
        assert changed[0] == 400
        assert changed[-1] < 400 + reach
        assert changed[-1] >= 419


def test_volatility_by_hand():
    values = regimes(prices_of_volatility([0.01, 0.03]), window=2)
    assert list(values) == ["realised_volatility_2", "volatility_regime_2_252"]
    between = math.sqrt((0.01 + 0.03) ** 2 / 4)  # of returns -0.01 and 0.03, over sqrt(2) each
    np.testing.assert_allclose(
        values["realised_volatility_2"], [NULL, NULL, 0.01, between, 0.03], rtol=1e-12
    )


def test_regimes_by_hand():
    # A return of alternating sign and growing size: each volatility exceeds those before it.
    sizes = 0.01 * 1.01 ** np.arange(60)
    returns = np.where(np.arange(60) % 2, sizes, -sizes)
    params = {"window": 2, "rank_window": 20, "min_history": 5}
    rising = regimes(np.exp(np.cumsum(returns)), **params).iloc[:, 1].to_numpy()
    assert np.isnan(rising[:7]).all(), "two volatilities are null, five are the history"
    assert (rising[7:] == 2.0).all()
    falling = regimes(np.exp(np.cumsum(returns[::-1])), **params).iloc[:, 1].to_numpy()
    assert (falling[7:] == 0.0).all()


def test_regimes_equal_a_slow_reference():
    close = sample_bars(n=600, seed=9)["close"].to_numpy(copy=True)
    close[[200, 330]] = NULL
    values = regimes(close, window=10, rank_window=60, min_history=40, low=0.25, high=0.8)
    volatility, regime = values.to_numpy().T
    expected = np.full(600, NULL)
    for t in range(600):
        past = volatility[max(0, t - 60) : t]
        past = past[~np.isnan(past)]
        if len(past) >= 40 and not np.isnan(volatility[t]):
            low, high = np.quantile(past, [0.25, 0.8])
            expected[t] = 0.0 if volatility[t] <= low else 2.0 if volatility[t] >= high else 1.0
    np.testing.assert_array_equal(regime, expected)
    assert {0.0, 1.0, 2.0} <= set(regime)
    returns = pd.Series(np.log(close)).diff()
    np.testing.assert_allclose(volatility, returns.rolling(10).std(), rtol=1e-9)


def test_regimes_are_balanced_where_volatility_is_stationary():
    regime = regimes(sample_bars(n=20_000, seed=3)["close"]).iloc[:, 1].dropna()
    shares = regime.value_counts(normalize=True)
    assert all(0.28 < shares[each] < 0.39 for each in (0.0, 1.0, 2.0))


def test_a_price_that_does_not_move_has_no_regime():
    values = regimes(np.full(300, 42.0), rank_window=50, min_history=10)
    assert (values.iloc[20:, 0] == 0.0).all()
    assert values.iloc[:, 1].isna().all()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"low": 0.7}, r"'high' is 0.67: .*must be more than low \(0.7\)"),
        ({"rank_window": 100}, r"'min_history' is 126: .*must not exceed rank_window \(100\)"),
        ({"window": 1}, "'window' is 1: .*greater than or equal to 2"),
    ],
)
def test_parameters_that_do_not_fit_together(params, says):
    with pytest.raises(ConfigurationError, match=says):
        features.create("statistical.volatility_regime", **params)
