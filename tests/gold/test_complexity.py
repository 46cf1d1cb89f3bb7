"""Hurst, Higuchi, detrended fluctuation, wavelet and entropy kernels: known answers and oracles."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels.gold import entropy
from hf_plugins.kernels.gold.forward_fill import forward_fill
from tests.gold.estimators import (
    COMPLEXITY,
    FIRST_ROW,
    LOOKBACK,
    Run,
    log_returns,
    run,
    same_bits,
    walk,
)
from tests.gold.nolds_measures import measures

# The import of antropy compiles for seconds: in one process, and not where tests are collected.
pytestmark = pytest.mark.xdist_group("antropy")

ROWS = 3000
CLOSE = walk(ROWS, 1)
RETURN = log_returns(CLOSE)
COLUMNS = run(CLOSE)
SAMPLE = np.sort(np.random.default_rng(2).choice(np.arange(121, ROWS), 150, replace=False))
HURST_SIZES = (10, 12, 15, 20, 30, 60)
BOX_SIZES = (4, 5, 6, 10, 12, 15)


def last(values: np.ndarray, row: int, count: int) -> np.ndarray:
    return values[row - count + 1 : row + 1]


def from_returns(returns: np.ndarray) -> np.ndarray:
    """Closes that have these log returns."""
    return 2000.0 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))


# --- where values start ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPLEXITY)
def test_a_column_starts_at_its_first_row_and_has_no_gap_afterwards(name):
    known = ~np.isnan(COLUMNS[name])
    assert not known[: FIRST_ROW[name]].any()
    assert known[FIRST_ROW[name] :].all()


def test_the_forward_fill_continues_from_the_row_before_and_leaves_leading_nan():
    estimates = np.array([np.nan, np.nan, 1.0, np.nan, np.nan, 2.0, np.nan])
    forward_fill(0, 2, estimates)
    assert np.isnan(estimates[:2]).all()
    forward_fill(2, 4, estimates)
    forward_fill(4, 7, estimates)
    np.testing.assert_array_equal(estimates, [np.nan, np.nan, 1.0, 1.0, 1.0, 2.0, 2.0])


# --- Hurst ----------------------------------------------------------------------------------------


def test_hurst_is_that_of_nolds():
    for row in SAMPLE:
        oracle = measures.hurst_rs(
            last(RETURN, row, 60), nvals=HURST_SIZES, fit="poly", corrected=False, unbiased=False
        )
        assert COLUMNS["hurst_60"][row] == pytest.approx(np.clip(oracle, 0, 1), rel=1e-12)


@pytest.mark.parametrize("row", range(20, 60))
def test_hurst_of_a_short_window_uses_the_blocks_that_end_at_the_newest_return(row):
    sizes = [size for size in HURST_SIZES if size <= row]
    ranges = [
        measures.rs(last(RETURN, row, row // size * size), size, unbiased=False) for size in sizes
    ]
    oracle = np.polyfit(np.log(sizes), np.log(ranges), 1)[0]
    assert COLUMNS["hurst_60"][row] == pytest.approx(np.clip(oracle, 0, 1), rel=1e-11)


def test_hurst_of_independent_noise_shows_the_known_bias():
    random = np.random.default_rng(3)
    values = run(from_returns(1e-4 * random.standard_normal(20_000)))["hurst_60"][60::60]
    assert values.mean() == pytest.approx(0.575, abs=0.02)


def test_hurst_of_one_turn_is_near_1_and_of_alternation_near_0():
    turn = np.concatenate([np.full(30, 1e-4), np.full(30, -1e-4)])
    jitter = 1e-6 * np.random.default_rng(4).standard_normal(60)
    assert run(from_returns(turn + jitter))["hurst_60"][60] > 0.8
    assert run(from_returns(1e-4 * (-1.0) ** np.arange(60)))["hurst_60"][60] < 0.05


def test_hurst_leaves_out_blocks_without_variation():
    returns = np.zeros(60)
    returns[-10:] = 1e-4 * np.random.default_rng(5).standard_normal(10)
    # By size: the blocks that hold a part of the last ten returns; all others are still.
    ranges = [measures.rs(returns[-size:], size, unbiased=False) for size in HURST_SIZES]
    oracle = np.polyfit(np.log(HURST_SIZES), np.log(ranges), 1)[0]
    value = run(from_returns(returns))["hurst_60"][60]
    assert value == pytest.approx(np.clip(oracle, 0, 1), rel=1e-9)


# --- Higuchi --------------------------------------------------------------------------------------


def antropy_dimension(close: np.ndarray, longest_step: int) -> float:
    """Higuchi's dimension by antropy, without the 1e-9 that it adds to the denominator."""
    import antropy

    x = np.log(np.arange(1, longest_step + 1))
    denominator = longest_step * (x**2).sum() - x.sum() ** 2
    return antropy.higuchi_fd(close, kmax=longest_step) * (1 + 1e-9 / denominator)


def test_fractal_dimension_is_that_of_antropy():
    for row in SAMPLE:
        oracle = antropy_dimension(last(CLOSE, row, 60), 10)
        assert COLUMNS["fractal_dim_60"][row] == pytest.approx(np.clip(oracle, 1, 2), rel=1e-12)


@pytest.mark.parametrize("row", range(11, 59))
def test_fractal_dimension_of_a_short_window_is_that_of_antropy(row):
    closes = row + 1
    oracle = antropy_dimension(CLOSE[:closes], min(10, max(2, closes // 6)))
    assert COLUMNS["fractal_dim_60"][row] == pytest.approx(np.clip(oracle, 1, 2), rel=1e-12)


def test_a_straight_path_has_dimension_1_and_an_alternating_one_2():
    straight = run(2000.0 + np.arange(200.0))["fractal_dim_60"]
    assert straight[11:] == pytest.approx(1.0, abs=1e-12)
    alternating = run(2000.0 + np.arange(200.0) % 2)["fractal_dim_60"]
    assert (alternating[59:] == 2.0).all()


def test_a_random_walk_has_a_dimension_of_about_one_and_a_half():
    values = run(2000.0 + np.cumsum(np.random.default_rng(6).standard_normal(20_000)))
    assert values["fractal_dim_60"][60::60].mean() == pytest.approx(1.5, abs=0.02)


# --- detrended fluctuation ------------------------------------------------------------------------


def test_dfa_is_that_of_nolds():
    for row in SAMPLE:
        oracle = measures.dfa(
            last(RETURN, row, 60), nvals=BOX_SIZES, overlap=False, order=1, fit_exp="poly"
        )
        assert COLUMNS["dfa_60"][row] == pytest.approx(np.clip(oracle, 0, 2), rel=1e-9)


@pytest.mark.parametrize("row", range(16, 60))
def test_dfa_of_a_short_window_uses_the_boxes_that_end_at_the_newest_return(row):
    returns = last(RETURN, row, row)
    profile = np.cumsum(returns - returns.mean())
    sizes = [size for size in BOX_SIZES if size <= row / 2]
    fluctuations = []
    for size in sizes:
        boxes = profile[-(row // size * size) :].reshape(-1, size).T
        fit = np.polynomial.polynomial.polyfit(np.arange(size), boxes, 1)
        residuals = boxes.T - np.polynomial.polynomial.polyval(np.arange(size), fit)
        fluctuations.append(math.sqrt((residuals**2).mean()))
    oracle = np.polyfit(np.log(sizes), np.log(fluctuations), 1)[0]
    assert COLUMNS["dfa_60"][row] == pytest.approx(np.clip(oracle, 0, 2), rel=1e-9)


def test_dfa_does_not_see_a_constant_drift():
    drifting = run(from_returns(RETURN[1:] + 1e-3))["dfa_60"]
    np.testing.assert_allclose(drifting[60:], COLUMNS["dfa_60"][60:], rtol=1e-7)


def test_dfa_of_independent_noise_shows_the_known_bias():
    random = np.random.default_rng(7)
    values = run(from_returns(1e-4 * random.standard_normal(20_000)))["dfa_60"][60::60]
    assert values.mean() == pytest.approx(0.587, abs=0.03)


# --- wavelet --------------------------------------------------------------------------------------


def test_wavelet_energy_is_that_of_pywavelets():
    for row in [*range(2, 62), *SAMPLE]:
        returns = last(RETURN, row, min(row, 60) // 2 * 2)
        approximation, detail = pywt.dwt(returns, "haar")
        oracle = (detail**2).sum() / ((approximation**2).sum() + (detail**2).sum())
        assert COLUMNS["wavelet_energy_ratio"][row] == pytest.approx(oracle, rel=1e-12)


def test_wavelet_energy_of_one_return_is_neutral_and_of_two_is_theirs():
    values = run(from_returns(np.array([3e-4, -1e-4, 2e-4])))["wavelet_energy_ratio"]
    assert values[:2].tolist() == [0.5, 0.5]
    assert values[2] == pytest.approx((4**2 / 2) / (3**2 + 1), rel=1e-9)
    # Three returns: the oldest has no partner.
    assert values[3] == pytest.approx((3**2 / 2) / (1 + 2**2), rel=1e-9)


def test_wavelet_energy_of_noise_alternation_and_doubled_returns():
    random = np.random.default_rng(8)
    noise = 1e-4 * random.standard_normal(20_000)
    values = run(from_returns(noise))["wavelet_energy_ratio"]
    assert values[60::60].mean() == pytest.approx(0.5, abs=0.015)
    alternating = run(from_returns(1e-4 * (-1.0) ** np.arange(60)))["wavelet_energy_ratio"]
    assert alternating[60] == pytest.approx(1.0, abs=1e-9)
    doubled = run(from_returns(np.repeat(noise[:30], 2)))["wavelet_energy_ratio"]
    assert doubled[60] == pytest.approx(0.0, abs=1e-15)


# --- entropy --------------------------------------------------------------------------------------


def test_multiscale_entropy_is_that_of_antropy_at_three_scales():
    import antropy

    for row in SAMPLE:
        returns = last(RETURN, row, 120)
        tolerance = 0.2 * returns.std()
        scales = []
        for scale in (1, 2, 3):
            coarse = returns.reshape(-1, scale).mean(axis=1)
            value = antropy.sample_entropy(coarse, order=2, tolerance=tolerance)
            ceiling = math.log((coarse.size - 2) * (coarse.size - 3) / 2)
            scales.append(value if np.isfinite(value) else ceiling)
        assert COLUMNS["multiscale_entropy"][row] == pytest.approx(np.mean(scales), rel=1e-13)


def brute_force_entropy(values: np.ndarray, tolerance: float) -> float:
    """Sample entropy by its definition, pair by pair, in exact integers."""
    templates = len(values) - 2
    agree = {2: 0, 3: 0}
    for i, j in combinations(range(templates), 2):
        for length in agree:
            gaps = abs(values[i : i + length] - values[j : j + length])
            agree[length] += bool(gaps.max() <= tolerance)
    if agree[3] == 0:
        return math.log(templates * (templates - 1) / 2)
    return -math.log(agree[3] / agree[2])


@settings(max_examples=25, deadline=None)
@given(
    scale=st.integers(0, 2),
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(1, 40),
    tolerance=st.integers(0, 8),
)
def test_sample_entropy_is_that_of_all_pairs_with_ties_at_the_tolerance(
    scale, seed, levels, tolerance
):
    count = entropy.COUNTS[scale]
    values = np.random.default_rng(seed).integers(0, levels, count).astype(float)
    twice = np.full(2 * entropy.WINDOW, np.nan)
    twice[: 2 * count] = np.tile(values, 2)
    value = entropy.sample_entropy(twice, count, entropy.MASKS[scale], float(tolerance))
    assert value == pytest.approx(brute_force_entropy(values, tolerance), rel=1e-14, abs=1e-300)


def test_every_pair_of_templates_is_compared_once():
    for count, masks in zip(entropy.COUNTS, entropy.MASKS, strict=True):
        pairs = []
        for lag in range(1, masks.shape[0] + 1):
            for word in range(masks.shape[1]):
                for bit in range(64):
                    if masks[lag - 1, word] & entropy.BITS[bit]:
                        first = word * entropy.TEMPLATES + bit
                        pairs.append(tuple(sorted((first, (first + lag) % count))))
        assert sorted(pairs) == list(combinations(range(count - 2), 2))


def test_entropy_without_a_match_is_the_ceiling():
    distinct = np.arange(120.0)
    assert brute_force_entropy(distinct, 0.5) == math.log(118 * 117 / 2)
    value = entropy.sample_entropy(np.tile(distinct, 2), 120, entropy.MASKS[0], 0.5)
    assert value == math.log(118 * 117 / 2)


def test_entropy_of_a_repeating_pattern_is_far_below_that_of_noise():
    random = np.random.default_rng(9)
    pattern = np.tile(1e-4 * np.array([1.0, -2.0, 3.0, -1.0, 0.5, 2.5]), 20)
    noise = 1e-4 * random.standard_normal(120)
    regular = run(from_returns(pattern))["multiscale_entropy"][120]
    irregular = run(from_returns(noise))["multiscale_entropy"][120]
    assert regular < 0.1
    assert irregular > 1.5


# --- markets that do not move ---------------------------------------------------------------------

NEUTRAL = {
    "hurst_60": 0.5,
    "fractal_dim_60": 1.0,
    "dfa_60": 0.5,
    "wavelet_energy_ratio": 0.5,
    "multiscale_entropy": 0.0,
}


@pytest.mark.parametrize("name", COMPLEXITY)
def test_a_frozen_market_has_the_neutral_value(name):
    values = run(np.full(300, 1987.65))[name]
    assert np.isnan(values[: FIRST_ROW[name]]).all()
    assert (values[FIRST_ROW[name] :] == NEUTRAL[name]).all()


@pytest.mark.parametrize("name", ["hurst_60", "dfa_60", "multiscale_entropy"])
def test_equal_tick_moves_have_the_neutral_value(name):
    # Their returns differ in the tenth digit, which says nothing.
    values = run(2000.0 + 0.01 * np.arange(300))[name]
    assert (values[FIRST_ROW[name] :] == NEUTRAL[name]).all()


@pytest.mark.parametrize("name", COMPLEXITY)
def test_one_move_in_a_still_market_stays_within_bounds(name):
    close = np.full(400, 2000.0)
    close[200:] = 2000.01
    values = run(close)[name]
    low, high = {"fractal_dim_60": (1, 2), "dfa_60": (0, 2), "multiscale_entropy": (0, 7.7)}.get(
        name, (0, 1)
    )
    assert ((values[120:] >= low) & (values[120:] <= high)).all()
    # Once the move has left the window, the market is still again.
    assert (values[200 + LOOKBACK[name] :] == NEUTRAL[name]).all()


# --- one row, one value ---------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=8))
def test_any_chunks_give_the_bits_of_the_whole(cuts):
    chunks = run(CLOSE, cuts)
    for name in COMPLEXITY:
        assert same_bits(chunks[name], COLUMNS[name]), name


def test_bar_by_bar_gives_the_bits_of_the_whole():
    bars = run(CLOSE[:400], range(1, 400))
    for name in COMPLEXITY:
        assert same_bits(bars[name], COLUMNS[name][:400]), name


@pytest.mark.parametrize("name", COMPLEXITY)
def test_a_price_counts_within_the_lookback_only(name):
    spot = 1000
    close = CLOSE.copy()
    close[spot] *= 1.5
    changed = ~np.equal(run(close)[name], COLUMNS[name])[FIRST_ROW[name] :]
    rows = np.flatnonzero(changed) + FIRST_ROW[name]
    assert rows[0] == spot
    assert rows[-1] < spot + LOOKBACK[name]
    assert rows[-1] >= spot + LOOKBACK[name] - 2  # and the declared look-back is not too long


@pytest.mark.parametrize("name", COMPLEXITY)
def test_a_series_that_starts_later_has_the_same_bits_after_the_lookback(name):
    later = run(CLOSE[777:])[name]
    assert same_bits(later[LOOKBACK[name] :], COLUMNS[name][777 + LOOKBACK[name] :])


def test_no_kernel_reads_rows_that_are_not_known_yet():
    begun = Run(CLOSE)
    begun.fill(0, 500)
    for name in COMPLEXITY:
        assert same_bits(begun.columns[name][:500], COLUMNS[name][:500]), name
        assert np.isnan(begun.columns[name][500:]).all(), name
