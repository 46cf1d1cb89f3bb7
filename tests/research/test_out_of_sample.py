from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hf_plugins.engines.core import CoreEngine
from hf_plugins.errors import DataError, LookAheadError
from hf_plugins.registry import models
from hf_plugins.validation.labels import forward_return
from hf_plugins.validation.out_of_sample import assert_out_of_sample
from hf_plugins.validation.walk_forward import WalkForwardParams, walk_forward
from tests.research.frames import bars, column, days


def signals(target: list[float], train_end: list[str | None]) -> pd.DataFrame:
    index = days(len(target))
    known = pd.DatetimeIndex(train_end, tz="UTC")
    return pd.DataFrame({"target": np.array(target, dtype="float64"), "train_end": known}, index)


def test_signals_after_the_training_pass() -> None:
    assert_out_of_sample(signals([0, 1, -1, 0], [None, "2020-01-01", "2020-01-01", "2020-01-03"]))
    assert_out_of_sample(signals([0, 0], [None, None]))
    assert_out_of_sample(signals([], []))


def test_the_first_offending_bar_is_named() -> None:
    frame = signals([0, 1, 1, 1], [None, "2020-01-01", "2020-01-03", "2020-01-09"])
    with pytest.raises(
        LookAheadError, match=r"signal at 2020-01-03.*labels up to 2020-01-03.*2 of 4 signals"
    ):
        assert_out_of_sample(frame)


def test_a_position_without_provenance_is_refused() -> None:
    with pytest.raises(LookAheadError, match=r"signal at 2020-01-02.*nothing says"):
        assert_out_of_sample(signals([0, -1, 0], [None, None, None]))
    with pytest.raises(LookAheadError, match=r"signal at 2020-01-01.*nothing says"):
        assert_out_of_sample(signals([math.nan], [None]))


def test_a_flat_signal_of_a_model_that_knew_the_bar_is_refused() -> None:
    with pytest.raises(LookAheadError, match="2020-01-01"):
        assert_out_of_sample(signals([0], ["2020-01-01"]))


def test_signals_without_provenance_are_refused() -> None:
    with pytest.raises(DataError, match="train_end"):
        assert_out_of_sample(signals([0], [None]).drop(columns="train_end"))


def test_an_in_sample_backtest_shines_on_noise_and_is_refused() -> None:
    generator = np.random.default_rng(8)
    count = 600
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, count)))
    prices = bars(np.append(100.0, close[:-1]), close)
    X = pd.DataFrame(generator.normal(size=(count, 5)), index=prices.index, columns=list("abcde"))
    y = forward_return(column(prices, "close"), 1)
    engine = CoreEngine(commission=0.001)

    def sharpe(prediction: pd.Series) -> float:
        frame = pd.DataFrame({"target": np.sign(prediction.fillna(0.0))})
        return engine.run(prices, frame, bars_per_year=252).metrics["sharpe"] or 0.0

    forest = models.create("ml.random_forest", n_estimators=50, seed=1)
    forest.train(X.iloc[:-1], y.iloc[:-1])
    fitted = forest.predict(X)
    assert sharpe(fitted) > 3
    in_sample = pd.DataFrame({"target": np.sign(fitted), "train_end": prices.index[-1]})
    with pytest.raises(LookAheadError, match=r"2020-01-01 .* \(600 of 600 signals\)"):
        assert_out_of_sample(in_sample)

    honest = walk_forward(
        lambda seed: models.create("ml.random_forest", n_estimators=50, seed=seed),
        X,
        y,
        horizon=1,
        params=WalkForwardParams(min_train=200, refit_every=200),
        seed=1,
    ).predictions
    assert sharpe(column(honest, "prediction")) < 1.5
    assert_out_of_sample(honest.assign(target=np.sign(honest["prediction"].fillna(0.0))))
