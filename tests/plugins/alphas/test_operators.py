"""Operators: values by hand, ties, nulls, and slow straightforward code on random windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hf_plugins.alphas import operators as ops
from hf_plugins.alphas.sections import AcrossInstruments, AcrossTime

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 1)


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        (lambda x: ops.delay(x, 2), (1, 2, 3, 4), (NAN, NAN, 1, 2)),
        (lambda x: ops.delta(x, 1), (1, 4, 2), (NAN, 3, -2)),
        (lambda x: ops.total(x, 2), (1, 2, NAN, 4, 5), (NAN, 3, NAN, NAN, 9)),
        (lambda x: ops.product(x, 2), (2, 3, 4), (NAN, 6, 12)),
        (lambda x: ops.ts_max(x, 2), (3, 1, 2, NAN, 1), (NAN, 3, 2, NAN, NAN)),
        (lambda x: ops.ts_min(x, 2), (3, 1, 2, NAN, 1), (NAN, 1, 1, NAN, NAN)),
        # Bars since the extreme; of equal ones the latest.
        (lambda x: ops.ts_argmax(x, 3), (5, 1, 2, 2, 0), (NAN, NAN, 2, 0, 1)),
        (lambda x: ops.ts_argmin(x, 3), (5, 1, 2, 2, 0), (NAN, NAN, 1, 2, 0)),
        # Average ties: of 2, 2 in the window 1 2 2 the last has rank (1 + 1.5) / 3.
        (lambda x: ops.ts_rank(x, 3), (1, 2, 2, 0), (NAN, NAN, 2.5 / 3, 1 / 3)),
        # Weights 3, 2, 1 of 6, the current bar heaviest.
        (lambda x: ops.decay_linear(x, 3), (1, 0, 0, 1), (NAN, NAN, 1 / 6, 3 / 6)),
        (lambda x: ops.stddev(x, 2), (1, 3, 3), (NAN, np.sqrt(2), 0)),
        (lambda x: ops.stddev(x, 1), (1, 3, 3), (NAN, NAN, NAN)),
        (ops.log, (1, 0, -1), (0, NAN, NAN)),
        (lambda x: ops.divide(x, np.array(0.0)), (1, 0), (NAN, NAN)),
        (lambda x: ops.power(x, np.array(0.5)), (4, -4), (2, NAN)),
        (lambda x: ops.signedpower(x, np.array(0.5)), (4, -4), (2, -2)),
        (lambda x: ops.less(x, np.array(2.0)), (1, 2, 3, NAN), (1, 0, 0, NAN)),
        (lambda x: ops.choose(x, np.array(7.0), np.array(8.0)), (1, 0, NAN), (7, 8, NAN)),
    ],
)
def test_values_by_hand(operator, values, expected) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(operator(column(*values)), column(*expected), rtol=1e-15)


def test_windows_longer_than_the_data_are_null() -> None:
    x = column(1, 2)
    for operator in (ops.delay, ops.total, ops.ts_max, ops.ts_argmax, ops.ts_rank, ops.stddev):
        assert np.isnan(operator(x, 5)).all()


def test_correlation_of_a_constant_is_null_and_its_covariance_zero() -> None:
    x, constant = column(1, 2, 4), column(0.1, 0.1, 0.1)
    assert np.isnan(ops.correlation(x, constant, 3)[2, 0])
    assert ops.covariance(x, constant, 3)[2, 0] == 0.0


def test_differences_of_prices_tie_in_spite_of_their_rounding() -> None:
    changes = ops.delta(column(4000.00, 4000.01, 4000.02, 4000.03), 1)
    assert len(set(changes[1:, 0])) > 1  # the same tick, three different doubles
    np.testing.assert_array_equal(ops.ts_rank(changes, 3)[3], [2 / 3])
    assert ops.ts_argmax(changes, 3)[3, 0] == 0


def test_sums_that_cancel_are_zero() -> None:
    assert 0.1 + 0.2 - 0.3 != 0.0
    assert ops.subtract(column(0.1 + 0.2), column(0.3))[0, 0] == 0.0
    assert ops.total(column(0.1, 0.2, -0.3), 3)[2, 0] == 0.0


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_moments_and_ranks_against_scipy(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (12, 2)).astype(float)  # ties and constant windows on purpose
    y = rng.normal(size=(12, 2))
    for t in range(d - 1, 12):
        for j in range(2):
            a, b = x[t - d + 1 : t + 1, j], y[t - d + 1 : t + 1, j]
            assert ops.ts_rank(x, d)[t, j] == pytest.approx(stats.rankdata(a)[-1] / d)
            assert ops.stddev(x, d)[t, j] == pytest.approx(np.std(a, ddof=1), abs=1e-12)
            joint = ops.covariance(x, y, d)[t, j]
            assert joint == pytest.approx(np.cov(a, b)[0, 1], abs=1e-8)
            if np.ptp(a) > 0:
                expected = np.corrcoef(a, b)[0, 1]
                assert ops.correlation(x, y, d)[t, j] == pytest.approx(expected, abs=1e-11)


def test_rank_across_instruments_leaves_out_null() -> None:
    ranks = AcrossInstruments().rank(np.array([[3.0, NAN, 1.0, 3.0]]))
    np.testing.assert_allclose(ranks, [[2.5 / 3, NAN, 1 / 3, 2.5 / 3]])


def test_scale_across_instruments() -> None:
    section = AcrossInstruments()
    np.testing.assert_allclose(section.scale(np.array([[1.0, -3.0, NAN]]), 2), [[0.5, -1.5, NAN]])
    assert np.isnan(section.scale(np.zeros((1, 2)), 1)).all()


def test_neutralize_across_instruments_is_the_residual_on_group_dummies() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 6))
    x[1, 2] = NAN
    codes = np.array([[0, 0, 0, 1, 1, -1]] * 3)
    result = AcrossInstruments().neutralize(x, codes)
    for t in range(3):
        means = pd.Series(x[t]).groupby(codes[t]).transform("mean").to_numpy()
        expected = np.where(codes[t] < 0, NAN, x[t] - means)
        np.testing.assert_allclose(result[t], expected, atol=1e-15)


def test_a_group_of_one_is_exactly_zero() -> None:
    assert AcrossInstruments().neutralize(np.array([[0.1, 5.0]]), np.array([[0, 1]])).tolist() == [
        [0.0, 0.0]
    ]


def test_one_instrument_is_compared_with_its_own_past() -> None:
    section = AcrossTime(3)
    x = column(1, 2, 4, 2)
    np.testing.assert_allclose(section.rank(x), column(NAN, NAN, 1, 1.5 / 3))
    np.testing.assert_allclose(section.scale(-x, 1), column(NAN, NAN, -4 / 7, -2 / 8))
    expected = column(NAN, NAN, 4 - 7 / 3, 2 - 8 / 3)
    np.testing.assert_allclose(section.neutralize(x, None), expected)
