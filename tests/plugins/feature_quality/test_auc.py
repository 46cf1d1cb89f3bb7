"""Univariate AUC against scikit-learn, its error against simulation, its target by hand."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hf_plugins.errors import DataError
from hf_plugins.feature_quality.auc import Ranked, auc_table, next_close_above, place, score
from tests.plugins.feature_quality.worlds import world


def test_target_by_hand() -> None:
    close = pd.Series([1.0, 2.0, 2.0, np.nan, 3.0, 2.5])
    expected = [1.0, 0.0, np.nan, np.nan, 0.0, np.nan]
    np.testing.assert_array_equal(next_close_above(close), expected)
    further = [1.0, np.nan, 1.0, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(next_close_above(close, 2), further)
    assert next_close_above(close, 9).isna().all()


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10_000), st.integers(3, 80), st.integers(1, 12))
def test_equals_scikit_learn_with_ties_and_nulls(seed: int, rows: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, values, rows).astype(float)
    y = rng.integers(0, 2, rows).astype(float)
    x[rng.random(rows) < 0.1] = np.nan
    y[rng.random(rows) < 0.1] = np.nan
    known = ~(np.isnan(x) | np.isnan(y))
    result, placements = score(x, y), place(x, y)
    assert result.rows == len(placements.upper) == known.sum()
    assert placements.counts == (result.n_upper, result.n_lower)
    if len(set(y[known])) < 2:
        assert np.isnan(result.auc)
        assert np.isnan(placements.auc)
        return
    assert result.auc == pytest.approx(roc_auc_score(y[known], x[known]), abs=1e-14)
    assert placements.auc == pytest.approx(result.auc, abs=1e-14)
    # The placements of either class average to the AUC.
    for side in (placements.upper, ~placements.upper):
        assert placements.values[side].mean() == pytest.approx(result.auc, abs=1e-12)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_a_feature_sorted_once_scores_any_of_its_rows(seed: int) -> None:
    """Subsets and signs give the numbers of a feature that consists of these rows alone."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(3, 60)), int(rng.integers(0, 4)))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = rng.integers(0, 2, 60).astype(float)
    y[rng.random(60) < 0.1] = np.nan
    start, stop = sorted(rng.integers(0, 61, 2))
    part = Ranked.of(x).rows(start, stop)
    for i in range(3):
        alone, target = x[i, start:stop], y[start:stop]
        assert str(part.score(i, target)) == str(score(alone, target))
        for sign in (1.0, -1.0):
            found, expected = part.place(i, target, sign=sign), place(sign * alone, target)
            np.testing.assert_array_equal(found.values, expected.values)
            np.testing.assert_array_equal(found.upper, expected.upper)
            np.testing.assert_array_equal(found.auc, expected.auc)


def test_placements_by_hand() -> None:
    placements = place(np.array([3.0, 1.0, 2.0, 2.0]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert placements.values.tolist() == [1.0, 1.0, 0.75, 0.75]
    assert placements.auc == 0.875


def test_null_standard_error_is_the_formula_and_the_deviation_of_noise() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(2000) % 4 == 0).astype(float)
    scores = [score(rng.normal(size=2000), y) for _ in range(800)]
    assert scores[0].null_standard_error == pytest.approx(np.sqrt((1 / 500 + 1 / 1500) / 12))
    deviation = np.std([result.auc for result in scores])
    assert deviation == pytest.approx(scores[0].null_standard_error, rel=0.08)


def test_table() -> None:
    features, target = world(3000, 3, planted={1: 0.3})
    features.iloc[:100, 2] = np.nan
    table = auc_table(features, target)
    assert table["rows"].tolist() == [3000, 3000, 2900]
    assert np.argmax(table["auc"].to_numpy()) == 1
    np.testing.assert_array_equal(table["flipped_auc"], 1.0 - table["auc"])


def test_bars_are_the_same_in_any_spelling_of_utc() -> None:
    features, target = world(3000, 1)
    other = pd.DatetimeIndex(target.index).tz_convert(ZoneInfo("UTC")).as_unit("s")
    expected = auc_table(features, target)
    found = auc_table(features, pd.Series(target.to_numpy(), other))
    pd.testing.assert_frame_equal(found, expected)


def test_bad_input_is_named() -> None:
    features, target = world(20, 2)
    with pytest.raises(DataError, match="not indexed by the same bars"):
        auc_table(features, target.iloc[1:])
    with pytest.raises(DataError, match="strictly increasing"):
        auc_table(features.iloc[::-1], target.iloc[::-1])
    with pytest.raises(DataError, match="must be 0, 1 or null"):
        auc_table(features, target + 1)
    with pytest.raises(DataError, match="'x001' has infinite values"):
        auc_table(features.assign(x001=np.inf), target)
