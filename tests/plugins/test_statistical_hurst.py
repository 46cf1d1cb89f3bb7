"""The Hurst exponent: its parts by hand and in simulation, its calibration, and bad data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.kernels import rescaled_range
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars


def hurst(close, window=100):
    data = pd.DataFrame({"close": np.asarray(close, dtype=float)})
    values = features.create("statistical.hurst_exponent", window=window).compute(data)
    assert list(values) == [f"hurst_exponent_{window}"]
    return values.iloc[:, 0].to_numpy()


def price(returns):
    return 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(0.01 * np.asarray(returns))]))


def fractional_noise(exponent, n, seed):
    """Fractional Gaussian noise, exactly, by the Cholesky factor of its covariance."""
    lag = np.arange(n)
    powers = [np.abs(lag + step) ** (2.0 * exponent) for step in (1, 0, -1)]
    covariance = 0.5 * (powers[0] - 2.0 * powers[1] + powers[2])
    factor = np.linalg.cholesky(covariance[np.abs(lag[:, None] - lag)])
    return factor @ np.random.default_rng(seed).normal(size=n)


def one_range(block):
    reached = np.cumsum(block - np.mean(block))
    return (reached.max() - reached.min()) / np.std(block)


def reference(close, window):
    """The exponent of the last window, straight from the definition."""
    returns = np.diff(np.log(close))[-window:]
    sizes = [8 * 2**k for k in range(20) if 8 * 2**k <= window // 2]
    ratios = [
        np.mean([one_range(returns[i : i + n]) for i in range(window - n + 1)])
        / rescaled_range.expected_range(n)
        for n in sizes
    ]
    return 0.5 + np.polyfit(np.log(sizes), np.log(ratios), 1)[0]


def test_the_expectation_by_hand():
    # Of two values, the only partial sum is one deviation: the ratio is always 1. Of three, the
    # factor is 1 / (sqrt(pi) Gamma(3/2)) = 2 / pi and the sum sqrt(2) + sqrt(1/2).
    assert rescaled_range.expected_range(2) == pytest.approx(1.0, rel=1e-14)
    assert rescaled_range.expected_range(3) == pytest.approx(3 * math.sqrt(2) / math.pi, rel=1e-14)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_the_expectation_is_that_of_simulated_blocks(size):
    blocks = np.random.default_rng(size).normal(size=(20_000, size))
    simulated = np.mean([one_range(block) for block in blocks])
    assert rescaled_range.expected_range(size) == pytest.approx(simulated, rel=0.005)


@pytest.mark.parametrize("window", [32, 100, 257])
def test_values_equal_the_definition(window):
    close = sample_bars(n=window + 30, seed=2)["close"].to_numpy()
    values = hurst(close, window)
    assert np.isnan(values[:window]).all()
    expected = [reference(close[: row + 1], window) for row in range(window, window + 30)]
    np.testing.assert_allclose(values[window:], expected, rtol=1e-9)


def test_a_random_walk_has_one_half():
    values = hurst(price(np.random.default_rng(1).normal(size=50_000)))
    assert np.nanmean(values) == pytest.approx(0.5, abs=0.015)
    assert 0.06 < np.nanstd(values) < 0.11


def test_independent_returns_with_heavy_tails_have_one_half():
    values = hurst(price(np.random.default_rng(1).standard_t(3, size=50_000)), 256)
    assert np.nanmean(values) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("exponent", "low", "high"), [(0.2, 0.2, 0.36), (0.3, 0.28, 0.42), (0.7, 0.58, 0.72)]
)
def test_persistence_is_above_one_half_and_its_opposite_below(exponent, low, high):
    noise = [fractional_noise(exponent, 1000, seed) for seed in range(4)]
    assert low < np.mean([np.nanmean(hurst(price(each), 256)) for each in noise]) < high


def test_the_newest_returns_count():
    # A window that looks at its oldest prices only would not see this.
    rng = np.random.default_rng(5)
    calm = rng.normal(size=200)
    alternating = calm.copy()
    alternating[-80:] = (-1.0) ** np.arange(80)
    one, two = hurst(price(calm)), hurst(price(alternating))
    assert one[:121].tobytes() == two[:121].tobytes()
    assert two[-1] < one[-1] - 0.2


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0, math.inf])
def test_a_window_with_an_unknown_return_is_null(bad):
    close = sample_bars(n=300)["close"].to_numpy(copy=True)
    clean = hurst(close)
    close[150] = bad
    values = hurst(close)
    assert np.isnan(values[150:251]).all()
    known = np.r_[0:150, 251:300]
    assert values[known].tobytes() == clean[known].tobytes()


def test_a_price_that_does_not_vary_is_null():
    assert np.isnan(hurst(np.full(300, 0.1))).all()
    assert np.isnan(hurst(1.001 ** np.arange(300.0))).all(), "returns are equal but for rounding"


def test_flat_blocks_are_left_out():
    close = sample_bars(n=200)["close"].to_numpy(copy=True)
    close[120:145] = close[120]
    assert np.isfinite(hurst(close)[100:]).all()


def test_the_shortest_window_has_two_sizes():
    assert list(rescaled_range.block_sizes(32)) == [8, 16]
    assert list(rescaled_range.block_sizes(100)) == [8, 16, 32]
    assert list(rescaled_range.block_sizes(128)) == [8, 16, 32, 64]
    with pytest.raises(ConfigurationError, match="'window' is 31"):
        features.create("statistical.hurst_exponent", window=31)
