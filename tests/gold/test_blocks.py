"""Statistics of many windows side by side, against NumPy, and where a window says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels.gold import blocks

RNG = np.random.default_rng(3)
SERIES = np.cumsum(RNG.normal(size=400)) + 50.0
OTHER = np.cumsum(RNG.normal(size=400)) + 50.0


def moments(function, series: np.ndarray, first: int, stop: int, size: int) -> np.ndarray:
    out = np.full((2, stop - first), np.nan)
    function(series, first, stop, size, out[0], out[1])
    return out


@pytest.mark.parametrize("function", [blocks.level_moments, blocks.return_moments])
@pytest.mark.parametrize("size", [5, 60, 120])
def test_moments_are_those_of_numpy(function, size):
    series = SERIES if function is blocks.level_moments else np.diff(SERIES, prepend=SERIES[0])
    mean, variation = moments(function, series, size - 1, series.size, size)
    windows = np.lib.stride_tricks.sliding_window_view(series, size)
    np.testing.assert_allclose(mean, windows.mean(axis=1), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(variation, windows.var(axis=1) * size, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(59, 398), st.integers(1, 200))
def test_a_window_gives_the_same_bits_in_any_block(first, length):
    stop = min(first + length, SERIES.size)
    whole = moments(blocks.level_moments, SERIES, 59, SERIES.size, 60)
    part = moments(blocks.level_moments, SERIES, first, stop, 60)
    np.testing.assert_array_equal(part, whole[:, first - 59 : stop - 59])


@pytest.mark.parametrize(
    ("level", "reach", "flat"),
    [
        (0.0, 9e-13, True),  # small levels are measured against 1
        (0.0, 2e-12, False),
        (1e-4, 9e-13, True),
        (2_000.0, 1.5e-9, True),  # large ones against themselves
        (2_000.0, 1e-8, False),
        (-2_000.0, 1.5e-9, True),
    ],
)
def test_levels_within_the_tolerance_are_flat(level, reach, flat):
    series = np.full(60, level)
    series[17] += reach
    _, variation = moments(blocks.level_moments, series, 59, 60, 60)
    assert bool(variation[0] == 0.0) is flat


def test_equal_tick_moves_do_not_vary_and_two_kinds_of_moves_do():
    staircase = np.log(1.0 + 0.01 / (2_000.0 + 0.01 * np.arange(61)))
    assert moments(blocks.return_moments, staircase, 60, 61, 60)[1, 0] == 0.0
    assert np.var(staircase) > 0.0
    staircase[30] *= 2.0
    assert moments(blocks.return_moments, staircase, 60, 61, 60)[1, 0] > 0.0
    assert moments(blocks.return_moments, np.zeros(61), 60, 61, 60)[1, 0] == 0.0


def test_correlations_are_those_of_numpy_clipped_and_0_without_variation():
    x, y = np.diff(SERIES), np.diff(OTHER)
    out = np.empty(x.size - 59)
    blocks.return_correlations(y, x, 59, x.size, 60, out)
    expected = [np.corrcoef(x[t - 59 : t + 1], y[t - 59 : t + 1])[0, 1] for t in range(59, x.size)]
    np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-14)
    blocks.return_correlations(-3.0 * x, x, 59, x.size, 60, out)
    assert ((out >= -1.0) & (out < -1.0 + 1e-12)).all()
    blocks.return_correlations(np.zeros(x.size), x, 59, x.size, 60, out)
    assert (out == 0.0).all()


def test_z_scores_are_those_of_numpy_and_0_where_flat():
    out = np.empty(SERIES.size - 59)
    blocks.z_scores(SERIES, 59, SERIES.size, 60, out)
    windows = np.lib.stride_tricks.sliding_window_view(SERIES, 60)
    expected = (SERIES[59:] - windows.mean(axis=1)) / windows.std(axis=1, ddof=1)
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-13)
    blocks.z_scores(np.full(400, 7.0), 59, 400, 60, out)
    assert (out == 0.0).all()
