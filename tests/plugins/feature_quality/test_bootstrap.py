"""The block bootstrap: against exact resampling, against arch, and coverage where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from hf_plugins.feature_quality.auc import place
from hf_plugins.feature_quality.bootstrap import (
    block_length,
    bootstrap_auc,
    contributions_of,
    replicate_means,
)
from tests.plugins.feature_quality.worlds import autoregression


def correlated(
    rng: np.random.Generator, rows: int, phi: float, rho: float
) -> tuple[np.ndarray, np.ndarray]:
    """A feature, and a target that is the sign of a series with correlation ``rho`` to it."""
    pair = autoregression(rng, rows, 2, phi)
    hidden = rho * pair[:, 0] + np.sqrt(1 - rho**2) * pair[:, 1]
    return pair[:, 0], (hidden > 0).astype(float)


def true_auc(rho: float) -> float:
    """AUC of a normal feature for the sign of a normal with correlation ``rho``.

    Four times the orthant probability of three normals with correlations r, r, 0, where
    r = rho / sqrt(2): 4 (1/8 + 2 asin(r) / (4 pi)).
    """
    return 0.5 + 2.0 / np.pi * np.arcsin(rho / np.sqrt(2.0))


def test_sums_of_contributions_are_exact_resampling_to_first_order() -> None:
    """Replicate by replicate: rank every resample anew, with the same blocks."""
    rng = np.random.default_rng(1)
    x, y = correlated(rng, 2000, 0.7, 0.3)
    placements = place(x, y)
    length = 20
    quick = replicate_means(contributions_of(placements), length, replicates=300, seed=5)
    starts = np.random.default_rng(5).integers(0, 2000, size=(300, 100), dtype=np.int32)
    rows = (starts[:, :, None] + np.arange(length)) % 2000
    exact = np.array([place(x[r], y[r]).auc for r in rows.reshape(300, -1)]) - placements.auc
    assert np.corrcoef(quick, exact)[0, 1] > 0.995
    assert np.std(quick) == pytest.approx(np.std(exact), rel=0.03)


def test_without_dependence_the_deviation_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=900), (rng.random(900) < 0.3).astype(float)
    estimate = bootstrap_auc(place(x, y), replicates=4000, seed=1)
    formula = np.sqrt((1 / y.sum() + 1 / (1 - y).sum()) / 12)
    assert estimate.block_length <= 3
    assert estimate.standard_error == pytest.approx(formula, rel=0.1)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_block_length_is_that_of_arch(phi: float) -> None:
    optimal = pytest.importorskip("arch.bootstrap").optimal_block_length
    for seed in range(5):
        series = autoregression(np.random.default_rng(seed), 3000, 1, phi)[:, 0]
        theirs = optimal(series)["circular"].iloc[0]
        assert block_length(series) == pytest.approx(theirs, abs=1.0, rel=0.1)


def test_block_length_of_what_does_not_vary() -> None:
    assert block_length(np.ones(100)) == 1
    assert block_length(np.ones(3)) == 1


def test_coverage_on_dependent_data() -> None:
    """Intervals of 95 % hold the truth about as often; those for independent rows do not."""
    covered = naive = 0
    trials, rho = 200, 0.2
    for seed in range(trials):
        x, y = correlated(np.random.default_rng(seed), 2000, 0.9, rho)
        estimate = bootstrap_auc(place(x, y), replicates=400, seed=seed)
        covered += estimate.low <= true_auc(rho) <= estimate.high
        error = np.sqrt((1 / y.sum() + 1 / (1 - y).sum()) / 12)
        naive += abs(estimate.auc - true_auc(rho)) <= 1.96 * error
    assert 0.89 <= covered / trials <= 0.985
    assert naive / trials < 0.75


def test_p_values_are_uniform_when_there_is_nothing() -> None:
    values = []
    for seed in range(300):
        x, y = correlated(np.random.default_rng(seed), 1500, 0.6, 0.0)
        values.append(bootstrap_auc(place(x, y), replicates=300, seed=seed).p_value)
    assert 0.02 <= np.mean(np.array(values) < 0.05) <= 0.09
    assert 0.4 <= np.mean(values) <= 0.6


def test_extremes() -> None:
    y = (np.arange(1200) % 2).astype(float)
    constant = bootstrap_auc(place(np.zeros(1200), y), replicates=100, seed=0)
    assert (constant.auc, constant.p_value, constant.low, constant.high) == (0.5, 1.0, 0.5, 0.5)
    perfect = bootstrap_auc(place(y, y), replicates=100, seed=0)
    assert (perfect.auc, perfect.p_value) == (1.0, 0.0)
    assert np.isnan(bootstrap_auc(place(y, np.ones(1200)), replicates=100, seed=0).auc)


def test_the_seed_decides() -> None:
    x, y = correlated(np.random.default_rng(0), 1000, 0.5, 0.1)
    placements = place(x, y)
    first, again, other = (bootstrap_auc(placements, replicates=200, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.standard_error != other.standard_error
