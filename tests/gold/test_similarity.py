"""Autocorrelation and self-similarity kernels: known answers and oracles."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from hf_plugins.kernels.gold import autocorrelation, self_similarity
from tests.gold.estimators import (
    FIRST_ROW,
    LOOKBACK,
    SIMILARITY,
    Run,
    log_returns,
    run,
    same_bits,
    walk,
)

ROWS = 3000
# A coarse grid: many returns of a window are equal, most of them zero.
CLOSE = np.rint(walk(ROWS, 11))
RETURN = log_returns(CLOSE)
COLUMNS = run(CLOSE)
SAMPLE = np.sort(np.random.default_rng(12).choice(np.arange(181, ROWS), 150, replace=False))
LAGS = {"autocorr_lag1": 1, "autocorr_lag5": 5, "autocorr_lag15": 15, "autocorr_lag60": 60}


def delayed(row: int, lag: int) -> np.ndarray:
    """The 120 returns that end ``lag`` bars before ``row``."""
    return RETURN[row - lag - 119 : row - lag + 1]


def from_returns(returns: np.ndarray) -> np.ndarray:
    """Closes that have these log returns."""
    return 2000.0 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))


@pytest.mark.parametrize("name", SIMILARITY)
def test_a_column_starts_at_its_first_row_and_has_no_gap_afterwards(name):
    known = ~np.isnan(COLUMNS[name])
    assert not known[: FIRST_ROW[name]].any()
    assert known[FIRST_ROW[name] :].all()


# --- autocorrelation ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAGS)
def test_autocorrelation_is_the_correlation_of_shifted_pairs(name):
    for row in [FIRST_ROW[name], *SAMPLE]:
        oracle = np.corrcoef(delayed(row, 0), delayed(row, LAGS[name]))[0, 1]
        assert COLUMNS[name][row] == pytest.approx(oracle, abs=1e-13)


def test_partial_autocorrelation_is_the_correlation_of_regression_residuals():
    for row in [FIRST_ROW["partial_autocorr"], *SAMPLE]:
        between = sm.add_constant(delayed(row, 1))
        newer = sm.OLS(delayed(row, 0), between).fit().resid
        older = sm.OLS(delayed(row, 2), between).fit().resid
        oracle = np.corrcoef(newer, older)[0, 1]
        assert COLUMNS["partial_autocorr"][row] == pytest.approx(oracle, abs=1e-12)


def test_a_cycle_of_five_bars_has_autocorrelation_1_at_its_multiples():
    cycle = np.tile(1e-4 * np.array([1.0, 4.0, -2.0, 0.5, -3.0]), 60)
    values = run(from_returns(cycle))
    for name in ("autocorr_lag5", "autocorr_lag15", "autocorr_lag60"):
        assert values[name][-1] == pytest.approx(1.0, abs=1e-8)
        assert values[name][-1] <= 1.0


def test_alternating_returns_have_autocorrelation_minus_1_and_nothing_is_left_to_explain():
    values = run(from_returns(1e-4 * (-1.0) ** np.arange(300)))
    assert values["autocorr_lag1"][-1] == pytest.approx(-1.0, abs=1e-9)
    assert values["partial_autocorr"][-1] == 0.0


def test_an_autoregression_of_order_one_leaves_no_partial_correlation():
    random = np.random.default_rng(13)
    returns = np.zeros(60_000)
    shocks = 1e-4 * random.standard_normal(returns.size)
    for t in range(1, returns.size):
        returns[t] = 0.6 * returns[t - 1] + shocks[t]
    values = run(from_returns(returns))
    assert values["autocorr_lag1"][240::120].mean() == pytest.approx(0.6, abs=0.03)
    assert values["partial_autocorr"][240::120].mean() == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("close", [np.full(400, 1987.65), 2000.0 + 0.01 * np.arange(400)])
@pytest.mark.parametrize("name", [*LAGS, "partial_autocorr"])
def test_returns_without_variation_are_not_correlated(name, close):
    assert (run(close)[name][FIRST_ROW[name] :] == 0.0).all()


def test_one_side_without_variation_is_enough_to_say_nothing():
    returns = np.zeros(400)
    returns[200:] = 1e-4 * np.random.default_rng(14).standard_normal(200)
    values = run(from_returns(returns))
    # At row 260 the delayed side of lag 60 ends with the last return of the still market.
    assert (values["autocorr_lag60"][200:261] == 0.0).all()
    assert (values["autocorr_lag1"][203:261] != 0.0).all()


@pytest.mark.parametrize(
    ("rho", "partial"),
    [
        ((0.0, 0.0, 0.3), 0.3),
        ((0.5, 0.5, 0.25), 0.0),
        ((0.5, 0.5, 1.0), 1.0),
        ((1.0, 0.2, 0.2), 0.0),
        ((0.2, -1.0, 0.2), 0.0),
    ],
)
def test_partial_correlation_of_three_correlations(rho, partial):
    assert autocorrelation.partial_correlation(*rho) == pytest.approx(partial, abs=1e-15)


# --- self-similarity ------------------------------------------------------------------------------


def test_self_similarity_is_one_minus_the_distance_of_scipy():
    for row in [1500, 1501, *range(1502, ROWS, 23)]:
        recent = RETURN[row - 59 : row + 1]
        older = RETURN[row - 1499 : row - 59]
        assert len(np.unique(recent)) < 60  # ties are there
        oracle = 1.0 - np.asarray(ks_2samp(recent, older, method="asymp"))[0]
        assert COLUMNS["self_similarity_idx"][row] == pytest.approx(oracle, abs=1e-15)


def brute_force_similarity(returns: np.ndarray, row: int) -> float:
    """Greatest difference of the distribution functions at every point of either sample."""
    recent, older = returns[row - 59 : row + 1], returns[row - 1499 : row - 59]
    points = np.unique(np.concatenate([recent, older]))
    recent_below = (recent[:, None] <= points).sum(axis=0)
    older_below = (older[:, None] <= points).sum(axis=0)
    return 1.0 - abs(24 * recent_below - older_below).max() / 1440


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 2000))
def test_self_similarity_of_returns_with_any_number_of_ties(seed, levels):
    random = np.random.default_rng(seed)
    returns = np.concatenate([[np.nan], random.integers(0, levels, 1560).astype(float)])
    out = np.full((1, returns.size), np.nan)
    self_similarity.rows(0, returns.size, returns, out)
    for row in (1500, 1501, 1530, 1560):
        assert out[0, row] == brute_force_similarity(returns, row)


def test_self_similarity_of_the_same_and_of_apart_distributions():
    same = np.tile(1e-4 * np.random.default_rng(15).standard_normal(60), 25)
    assert run(from_returns(same))["self_similarity_idx"][1500] > 0.95
    apart = np.concatenate([same[:1440] - 1.0, same[:60] + 1.0])
    out = np.full((1, 1501), np.nan)
    self_similarity.rows(0, 1501, np.concatenate([[np.nan], apart]), out)
    assert out[0, 1500] == 0.0


def test_self_similarity_of_a_frozen_market_is_1():
    assert (run(np.full(1600, 1987.65))["self_similarity_idx"][1500:] == 1.0).all()


# --- one row, one value ---------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=8))
def test_any_chunks_give_the_bits_of_the_whole(cuts):
    chunks = run(CLOSE, cuts)
    for name in SIMILARITY:
        assert same_bits(chunks[name], COLUMNS[name]), name


def test_bar_by_bar_gives_the_bits_of_the_whole():
    bars = run(CLOSE[:1700], [*range(1, 250), *range(1480, 1700)])
    for name in SIMILARITY:
        assert same_bits(bars[name], COLUMNS[name][:1700]), name


@pytest.mark.parametrize("name", SIMILARITY)
def test_a_price_counts_within_the_lookback_only(name):
    spot = 1400
    close = CLOSE.copy()
    close[spot] *= 1.5
    changed = ~np.equal(run(close)[name], COLUMNS[name])[FIRST_ROW[name] :]
    rows = np.flatnonzero(changed) + FIRST_ROW[name]
    assert rows[0] == max(spot, FIRST_ROW[name])
    assert rows[-1] < spot + LOOKBACK[name]
    # The distance may miss single returns of its long window; the others see the last one.
    assert name == "self_similarity_idx" or rows[-1] >= spot + LOOKBACK[name] - 1


@pytest.mark.parametrize("name", SIMILARITY)
def test_a_series_that_starts_later_has_the_same_bits_after_the_lookback(name):
    later = run(CLOSE[777:])[name]
    assert same_bits(later[LOOKBACK[name] - 1 :], COLUMNS[name][777 + LOOKBACK[name] - 1 :])


def test_no_kernel_reads_rows_that_are_not_known_yet():
    begun = Run(CLOSE)
    begun.fill(0, 1900)
    for name in SIMILARITY:
        assert same_bits(begun.columns[name][:1900], COLUMNS[name][:1900]), name
        assert np.isnan(begun.columns[name][1900:]).all(), name
