"""Regime kernel: class, persistence and change rate of the Hurst exponent."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels.gold import regime
from tests.gold.estimators import FIRST_ROW, LOOKBACK, REGIME, run, same_bits, walk

ROWS = 3000
CLOSE = walk(ROWS, 21)
COLUMNS = run(CLOSE)


def regimes(exponents: np.ndarray) -> dict[str, np.ndarray]:
    out = np.full((3, exponents.size), np.nan)
    regime.rows(0, exponents.size, exponents, out)
    return dict(zip(REGIME, out, strict=True))


def exponents_of(classes: np.ndarray) -> np.ndarray:
    """Exponents of given classes, below the floor NaN."""
    values = np.where(classes, 0.6, 0.4)
    values[:20] = np.nan
    return values


@pytest.mark.parametrize("name", REGIME)
def test_a_column_starts_at_its_first_row_and_has_no_gap_afterwards(name):
    known = ~np.isnan(COLUMNS[name])
    assert not known[: FIRST_ROW[name]].any()
    assert known[FIRST_ROW[name] :].all()


def test_an_exponent_of_one_half_is_not_trending():
    exponents = np.array([np.nan, 0.5, np.nextafter(0.5, 1.0), 0.0, 1.0])
    np.testing.assert_array_equal(
        regimes(exponents)["trend_mr_class"], [np.nan, 0.0, 1.0, 0.0, 1.0]
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), stay=st.floats(0.5, 0.9999))
def test_persistence_and_change_rate_are_those_of_a_plain_count(seed, stay):
    random = np.random.default_rng(seed)
    classes = np.cumsum(random.random(1700) > stay) % 2 == 1
    values = regimes(exponents_of(classes))
    for row in (1499, 1500, 1550, 1699):
        newest_first = classes[row - 1439 : row + 1][::-1]
        _, run_of_now = next(groupby(newest_first))
        assert values["regime_persistence"][row] == len(list(run_of_now))
    for row in (180, 181, 1000, 1699):
        window = classes[row - 120 : row + 1]
        assert values["regime_change_rate"][row] == (window[1:] != window[:-1]).sum()


def test_persistence_stops_at_1440_bars():
    values = regimes(exponents_of(np.ones(2000, bool)))["regime_persistence"]
    assert (values[1499:] == 1440).all()
    assert regimes(exponents_of(np.arange(1600) >= 1598))["regime_persistence"][-1] == 2


def test_alternating_classes_change_120_times():
    values = regimes(exponents_of(np.arange(400) % 2 == 0))["regime_change_rate"]
    assert (values[180:] == 120).all()


def test_classes_of_short_windows_are_not_counted():
    # Before row 60 the exponents rest on fewer returns: whatever they are, nothing changes.
    exponents = exponents_of(np.ones(2000, bool))
    other = exponents.copy()
    other[20:60] = 0.1
    for name in ("regime_persistence", "regime_change_rate"):
        assert same_bits(regimes(exponents)[name], regimes(other)[name])


def test_a_frozen_market_is_mean_reverting_for_ever():
    values = run(np.full(1600, 1987.65))
    assert (values["trend_mr_class"][20:] == 0).all()
    assert (values["regime_persistence"][1499:] == 1440).all()
    assert (values["regime_change_rate"][180:] == 0).all()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=8))
def test_any_chunks_give_the_bits_of_the_whole(cuts):
    chunks = run(CLOSE, cuts)
    for name in REGIME:
        assert same_bits(chunks[name], COLUMNS[name]), name


@pytest.mark.parametrize("name", REGIME)
def test_a_series_that_starts_later_has_the_same_bits_after_the_lookback(name):
    later = run(CLOSE[777:])[name]
    assert same_bits(later[LOOKBACK[name] - 1 :], COLUMNS[name][777 + LOOKBACK[name] - 1 :])


def test_the_future_changes_nothing():
    close = CLOSE.copy()
    close[2000:] = walk(1000, 22)
    values = run(close)
    for name in REGIME:
        assert same_bits(values[name][:2000], COLUMNS[name][:2000]), name
        assert not same_bits(values[name], COLUMNS[name]), name
