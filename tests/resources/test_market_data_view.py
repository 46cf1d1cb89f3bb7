"""The adjusted view: hand-computed, continuous across splits, never rewriting history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_plugins.errors import DataError
from hf_plugins.market_data import OUTPUTS, adjusted_bars


def raw_bars(closes: list[float], factors: list[float] | None = None) -> pd.DataFrame:
    close = np.array(closes, dtype="float64")
    bars = pd.DataFrame(
        {"open": close - 1, "high": close + 1, "low": close - 2, "close": close, "volume": 100.0},
        index=pd.date_range("2024-01-01", periods=len(close), tz="UTC", name="timestamp"),
    )
    if factors is not None:
        bars["adjustment"] = factors
    return bars


def test_by_hand():
    view = adjusted_bars(raw_bars([10.0, 20.0, 11.0], [1.0, 1.0, 2.0]))
    assert tuple(view.columns) == OUTPUTS
    assert view["open"].tolist() == [9.0, 19.0, 20.0]
    assert view["high"].tolist() == [11.0, 21.0, 24.0]
    assert view["low"].tolist() == [8.0, 18.0, 18.0]
    assert view["close"].tolist() == [10.0, 20.0, 22.0]
    assert view["volume"].tolist() == [100.0, 100.0, 50.0]
    assert view["raw_close"].tolist() == [10.0, 20.0, 11.0]


def test_returns_are_continuous_across_a_split():
    view = adjusted_bars(raw_bars([100.0, 102.0, 51.0, 52.0], [1.0, 1.0, 2.0, 2.0]))
    returns = view["close"].pct_change().dropna().tolist()
    assert returns == pytest.approx([0.02, 0.0, 1 / 51])


def test_dividend_is_a_return():
    # 100 closes, 2 is paid, 98 opens the next day: the holder lost nothing.
    view = adjusted_bars(raw_bars([100.0, 98.0], [1.0, 100.0 / 98.0]))
    assert view["close"].tolist() == pytest.approx([100.0, 100.0])


def test_without_adjustment_nothing_changes():
    raw = raw_bars([10.0, 11.0])
    view = adjusted_bars(raw)
    pd.testing.assert_frame_equal(view.reindex(columns=raw.columns), raw)
    assert view["raw_close"].tolist() == [10.0, 11.0]


def test_input_is_left_alone():
    raw = raw_bars([10.0, 11.0], [1.0, 2.0])
    before = raw.copy()
    adjusted_bars(raw)
    pd.testing.assert_frame_equal(raw, before)


@given(
    closes=st.lists(st.floats(5.0, 1e5), min_size=2, max_size=30),
    steps=st.lists(st.floats(0.5, 4.0), min_size=30, max_size=30),
    last=st.floats(0.1, 10.0),
)
def test_appending_a_bar_leaves_history_bit_identical(
    closes: list[float], steps: list[float], last: float
):
    factors = np.cumprod([1.0, *steps])[: len(closes)]
    factors[-1] *= last  # the newest bar brings a corporate action of its own
    whole = raw_bars(closes, factors.tolist())
    before, after = adjusted_bars(whole.iloc[:-1]), adjusted_bars(whole).iloc[:-1]
    assert before.to_numpy().tobytes() == after.to_numpy().tobytes()


def test_missing_column_is_named():
    with pytest.raises(DataError, match="need the columns close, volume, which are not there"):
        adjusted_bars(raw_bars([1.0]).drop(columns=["close", "volume"]))
