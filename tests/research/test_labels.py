from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.validation.labels import forward_return, get_label
from tests.research.frames import days


def test_forward_return_covers_the_next_bars() -> None:
    close = pd.Series([100.0, 110.0, 99.0, 120.0], index=days(4))
    label = forward_return(close, 2)
    assert label.index.equals(close.index)
    np.testing.assert_allclose(label, [-0.01, 120 / 110 - 1, math.nan, math.nan])


def test_forward_return_depends_on_nothing_else() -> None:
    close = pd.Series(np.arange(1.0, 11.0), index=days(10))
    before = forward_return(close, 3)
    close.iloc[5] = 1000.0
    changed = forward_return(close, 3).ne(before) & before.notna()
    assert np.flatnonzero(changed).tolist() == [2, 5]


def test_prices_that_are_none_give_null() -> None:
    close = pd.Series([1.0, 0.0, 2.0, math.nan, 4.0], index=days(5))
    assert forward_return(close, 1).isna().all()
    np.testing.assert_allclose(forward_return(close, 2).iloc[[0, 2]], [1.0, 1.0])


def test_a_horizon_is_at_least_one_bar() -> None:
    with pytest.raises(ConfigurationError, match="horizon is 0"):
        forward_return(pd.Series([1.0]), 0)


def test_labels_are_found_by_name() -> None:
    assert get_label("forward_return") is forward_return
    with pytest.raises(
        ConfigurationError, match=r"unknown label 'forward_returns'.*Did you mean 'forward_return'"
    ):
        get_label("forward_returns")
