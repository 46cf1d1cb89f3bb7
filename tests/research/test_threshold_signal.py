from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import Memory
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import signals
from hf_plugins.signals.threshold import ThresholdSignal
from tests.research.frames import array, days


def frame(values: Sequence[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"prediction": np.asarray(values, dtype="float64")}, index=days(len(values))
    )


def generate(values: Sequence[float] | np.ndarray, **params: Any) -> pd.DataFrame:
    result = ThresholdSignal(**params).generate(frame(values))
    assert str(result["target"].dtype) == "float64"
    assert result.index.equals(days(len(values)))
    return result


def test_it_is_registered() -> None:
    assert signals.get("signal.threshold") is ThresholdSignal
    assert ThresholdSignal().parameters() == {
        "unit": "quantile",
        "window": 252,
        "min_history": 60,
        "buy": 0.6,
        "sell": 0.4,
        "short": True,
        "neutral": "flat",
    }


def test_raw() -> None:
    result = generate([0.2, 0.1, 0.0, -0.1, -0.2, math.nan], unit="raw", buy=0.1, sell=-0.1)
    assert result["target"].tolist() == [1, 0, 0, 0, -1, 0]
    assert result["signal"].tolist() == ["BUY", "HOLD", "HOLD", "HOLD", "SELL", "HOLD"]


def test_without_short_a_sale_is_flat() -> None:
    result = generate([0.2, -0.2], unit="raw", buy=0.1, sell=-0.1, short=False)
    assert result["target"].tolist() == [1, 0]
    assert result["signal"].tolist() == ["BUY", "SELL"]


def test_hold_keeps_the_position_until_a_null_or_the_other_side() -> None:
    values = [0, 0.2, 0, -0.2, 0, 0.2, math.nan, 0, 0.2, 0]
    result = generate(values, unit="raw", buy=0.1, sell=-0.1, neutral="hold")
    assert result["target"].tolist() == [0, 1, 1, -1, -1, 1, 0, 0, 1, 1]
    flat = generate(values, unit="raw", buy=0.1, sell=-0.1, neutral="hold", short=False)
    assert flat["target"].tolist() == [0, 1, 1, 0, 0, 1, 0, 0, 1, 1]


def test_quantile_by_hand() -> None:
    # Before bar 4 stand 1 2 3 4: the quantiles are 2.8 and 2.2. Bar 5 sees 2 3 4 2.9: 2.98, 2.92.
    values = [1, 2, 3, 4, 2.9, 2.95, 2.0]
    result = generate(values, window=4, min_history=4)
    assert result["target"].tolist() == [0, 0, 0, 0, 1, 0, -1]
    assert generate(values, window=4, min_history=3)["target"].iloc[3] == 1


def test_sigma_by_hand() -> None:
    # Before bar 3 stand 1 2 3: mean 2, deviation 1.
    for value, target in ((3.01, 1), (2.99, 0), (1.01, 0), (0.99, -1)):
        result = generate(
            [1, 2, 3, value], unit="sigma", buy=1.0, sell=-1.0, window=3, min_history=3
        )
        assert result["target"].iloc[3] == target


def test_no_dispersion_gives_no_position() -> None:
    values = [0.1] * 10 + [0.2]
    result = generate(values, unit="sigma", buy=1.0, sell=-1.0, window=10, min_history=5)
    assert (array(result, "target") == 0).all()


def test_enough_history_is_needed_and_nulls_are_none() -> None:
    values = [math.nan, 1, math.nan, 2, 3, 9]
    result = generate(values, window=5, min_history=3)
    assert result["target"].tolist() == [0, 0, 0, 0, 0, 1]
    assert generate(values, window=5, min_history=4)["target"].tolist() == [0] * 6


def test_the_current_prediction_is_not_in_its_own_window() -> None:
    # Were it inside, the largest of two could never exceed the 0.99 quantile by much; outside, any
    # new maximum is a purchase.
    values = np.arange(50.0)
    result = generate(values, buy=0.99, sell=0.01, window=10, min_history=2)
    assert (result["target"].iloc[2:] == 1).all()


@pytest.mark.parametrize("neutral", ["flat", "hold"])
@pytest.mark.parametrize(
    "params",
    [
        {"unit": "raw", "buy": 0.5, "sell": -0.5},
        {"unit": "quantile"},
        {"unit": "sigma", "buy": 0.5, "sell": -0.5},
    ],
)
def test_the_future_changes_nothing(params: dict[str, Any], neutral: str) -> None:
    values = np.random.default_rng(0).normal(size=200)
    values[[20, 90, 91]] = math.nan
    settings = {**params, "neutral": neutral, "window": 30, "min_history": 10}
    whole = generate(values, **settings)
    assert set(whole["target"]) == {-1.0, 0.0, 1.0}
    changed = values.copy()
    changed[150:] = changed[150:][::-1] * 100
    for other in (values[:150], changed):
        part = generate(other, **settings).iloc[:150]
        pd.testing.assert_frame_equal(whole.iloc[:150], part, check_freq=False)


@pytest.mark.parametrize(
    "params", [{"unit": "quantile"}, {"unit": "sigma", "buy": 0.5, "sell": -0.5}]
)
def test_a_tail_with_its_memory_equals_the_whole(params: dict[str, Any]) -> None:
    values = np.random.default_rng(1).normal(size=400)
    values[100] = 1e12  # an outlier whose rounding must not outlive the window
    signal = ThresholdSignal(**params, window=30, min_history=10)
    whole = signal.generate(frame(values))
    lookback = signal.memory.lookback
    assert lookback == 31
    for start in (135, 200, 300):
        tail = signal.generate(frame(values).iloc[start - lookback + 1 :])
        pd.testing.assert_frame_equal(whole.iloc[start:], tail.iloc[lookback - 1 :])


def test_memory() -> None:
    assert ThresholdSignal(unit="raw").memory == Memory.finite(1)
    assert ThresholdSignal(window=100).memory == Memory.finite(101)
    assert ThresholdSignal(neutral="hold").memory == Memory.cumulative()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"buy": 0.4, "sell": 0.6}, r"'sell' is 0.6: .*must be below buy \(0.4\)"),
        ({"buy": 0.3}, r"'sell' is 0.4: .*must be below buy \(0.3\)"),
        ({"buy": 1.0}, r"'buy' is 1.0: .*between 0 and 1"),
        ({"sell": 0.0}, r"'sell' is 0.0: .*between 0 and 1"),
        ({"buy": 0.7, "unit": "sigmas"}, r"Did you mean 'sigma'"),
        ({"window": 30}, r"'min_history' is 60: .*must not exceed window \(30\)"),
        ({"neutral": "keep"}, r"'neutral' is 'keep'"),
        ({"treshold": 1}, r"unknown parameter 'treshold'"),
    ],
)
def test_wrong_parameters_are_told(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ThresholdSignal(**params)


def test_wrong_predictions_are_told() -> None:
    with pytest.raises(DataError, match="'prediction'"):
        ThresholdSignal().generate(frame([1.0]).rename(columns={"prediction": "guess"}))
    with pytest.raises(DataError, match="infinite"):
        generate([1.0, math.inf])
