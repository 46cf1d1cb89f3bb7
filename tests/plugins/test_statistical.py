"""Momentum: by hand, and under bad data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from hf_plugins.registry import features
from hf_plugins.testing import sample_bars


def momentum(close, window):
    data = pd.DataFrame({"close": np.asarray(close, dtype=float)})
    return features.create("statistical.momentum", window=window).compute(data)


def test_by_hand():
    values = momentum([10, 12, 11, 6, 11], 2)
    assert list(values) == ["momentum_2"]
    np.testing.assert_allclose(values["momentum_2"], [math.nan, math.nan, 0.1, -0.5, 0.0], 1e-12)


def test_null_where_a_close_is_null_or_the_base_is_zero():
    values = momentum([10, math.nan, 0, 5, 6, 7], 1)["momentum_1"]
    np.testing.assert_allclose(
        values, [math.nan, math.nan, math.nan, math.nan, 0.2, 1 / 6], rtol=1e-12
    )


def test_gaps_are_not_filled():
    values = momentum([10, math.nan, 12, 13], 2)["momentum_2"]
    np.testing.assert_allclose(values, [math.nan, math.nan, 0.2, math.nan], rtol=1e-12)


def test_shorter_than_the_window():
    assert np.isnan(momentum([10, 11], 5).to_numpy()).all()


def test_one_absurd_price_changes_two_values_only():
    clean = sample_bars(n=200)["close"].to_numpy(copy=True)
    poisoned = clean.copy()
    poisoned[100] *= 1e6
    before, after = (momentum(close, 20)["momentum_20"].to_numpy() for close in (clean, poisoned))
    changed = np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))
    assert list(changed) == [100, 120]
