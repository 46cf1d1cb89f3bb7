from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import BaseModel
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import models
from hf_plugins.validation.labels import forward_return
from hf_plugins.validation.walk_forward import (
    WalkForwardParams,
    WalkForwardResult,
    fold_seed,
    hit_rate,
    prediction_report,
    rank_ic,
    rmse,
    split,
    walk_forward,
)
from tests.research.frames import array, days
from tests.research.toys import LeastSquares, Nearest

H = 5


def noise(count: int, seed: int = 0, strength: float = 0.0) -> tuple[pd.DataFrame, pd.Series]:
    """Features, and the forward return of a walk that follows the first one with ``strength``."""
    generator = np.random.default_rng(seed)
    X = pd.DataFrame(generator.normal(size=(count, 3)), index=days(count), columns=list("abc"))
    step = 0.01 * generator.normal(size=count)
    step[1:] += 0.01 * strength * X["a"].to_numpy()[:-1]
    close = pd.Series(100.0 * np.exp(np.cumsum(step)), index=X.index)
    return X, forward_return(close, H)


def fit(
    X: pd.DataFrame, y: pd.Series, *, horizon: int = H, seed: int = 7, **params: Any
) -> WalkForwardResult:
    return walk_forward(
        lambda number: LeastSquares(seed=number),
        X,
        y,
        horizon=horizon,
        params=WalkForwardParams(**params),
        seed=seed,
    )


def test_folds_by_hand() -> None:
    complete = np.array([False] * 3 + [True] * 20)
    known = np.array([True] * 21 + [False] * 2)
    folds = split(complete, known, horizon=2, params=WalkForwardParams(min_train=4, refit_every=6))
    # Training rows 3 to 6, gap rows 7 and 8, so the first block starts at row 9: 6 + 2 < 9.
    assert [(f.test_start, f.test_stop) for f in folds] == [(9, 15), (15, 21), (21, 23)]
    assert [f.train.tolist() for f in folds] == [
        list(range(3, 7)),
        list(range(3, 13)),
        list(range(3, 19)),
    ]
    rolling = split(
        complete,
        known,
        horizon=2,
        params=WalkForwardParams(scheme="rolling", min_train=4, refit_every=6, train_window=5),
    )
    assert [f.train.tolist() for f in rolling] == [
        [3, 4, 5, 6],
        [8, 9, 10, 11, 12],
        [*range(14, 19)],
    ]


@pytest.mark.parametrize("scheme", [{}, {"scheme": "rolling", "train_window": 60}])
def test_every_training_label_ends_before_its_block(scheme: dict[str, Any]) -> None:
    X, y = noise(300)
    result = fit(X, y, min_train=50, refit_every=20, **scheme)
    assert (array(result.folds, "train_end") < array(result.folds, "test_start")).all()
    predicted = result.predictions.dropna(subset=["prediction"])
    assert (array(predicted, "train_end") < predicted.index.to_numpy()).all()
    # The label that ends at train_end is the last one used: one bar more would touch the block.
    gaps = array(result.folds, "test_start") - array(result.folds, "train_end")
    assert (gaps == pd.Timedelta(days=1)).all()


def test_the_result_frames() -> None:
    X, y = noise(200)
    result = fit(X, y, min_train=50, refit_every=40)
    table = result.predictions
    assert table.index.equals(X.index)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == {
        "prediction": "float64",
        "label": "float64",
        "fold": "int64",
        "train_end": str(X.index.dtype),
    }
    assert table["prediction"].notna().to_numpy().nonzero()[0].tolist() == list(range(55, 200))
    assert (table["fold"].iloc[:55] == -1).all()
    assert table["train_end"].iloc[:55].isna().all()
    assert table["label"].iloc[-H:].isna().all()
    assert list(result.folds.columns) == [
        "fold",
        "train_start",
        "train_end",
        "test_start",
        "test_end",
        "n_train",
        "n_test",
        "ic",
        "rmse",
        "hit_rate",
    ]
    assert result.folds["n_test"].tolist() == [40, 40, 40, 25]
    assert result.folds["n_train"].tolist() == [50, 90, 130, 170]
    first = table.iloc[55:95]
    assert result.folds["rmse"].iloc[0] == pytest.approx(
        math.sqrt(((first["prediction"] - first["label"]) ** 2).mean())
    )
    assert result.folds["ic"].iloc[0] == pytest.approx(
        first["prediction"].corr(first["label"], method="spearman")
    )


def test_the_model_to_keep_knows_all_labelled_rows() -> None:
    X, y = noise(200)
    result = fit(X, y, min_train=50)
    assert isinstance(result.model, LeastSquares)
    assert result.model.rows.equals(X.index[: 200 - H])
    assert (result.train_start, result.train_end) == (X.index[0], X.index[-1])
    rolling = fit(X, y, min_train=50, scheme="rolling", train_window=70)
    assert isinstance(rolling.model, LeastSquares)
    assert rolling.model.rows.equals(X.index[125:195])
    assert rolling.train_start == X.index[125]


@pytest.mark.parametrize("scheme", [{}, {"scheme": "rolling", "train_window": 60}])
@pytest.mark.parametrize("more", [1, 4, 39, 40, 90])
def test_appended_bars_leave_earlier_predictions_bit_identical(
    scheme: dict[str, Any], more: int
) -> None:
    X, y = noise(300, seed=2)
    X.iloc[:7, 1] = math.nan
    X.iloc[100:103, 0] = math.nan
    short = 300 - more
    cut = y.iloc[:short].copy()
    cut.iloc[-H:] = math.nan  # not yet known at that time
    before = fit(X.iloc[:short], cut, min_train=50, refit_every=40, **scheme)
    after = fit(X, y, min_train=50, refit_every=40, **scheme)
    columns = ["prediction", "fold", "train_end"]
    old, new = before.predictions.loc[:, columns], after.predictions.loc[:, columns].iloc[:short]
    assert array(old, "prediction").tobytes() == array(new, "prediction").tobytes()
    pd.testing.assert_frame_equal(old, new, check_exact=True, check_freq=False)
    settled = ["fold", "train_start", "train_end", "test_start", "n_train"]
    pd.testing.assert_frame_equal(
        before.folds.loc[:, settled], after.folds.loc[:, settled].iloc[: len(before.folds)]
    )


def test_appended_bars_leave_the_predictions_of_a_real_model_bit_identical() -> None:
    X, y = noise(260, seed=3)
    params = WalkForwardParams(min_train=100, refit_every=40)

    def predictions(count: int) -> bytes:
        cut = y.iloc[:count].copy()
        cut.iloc[-H:] = math.nan
        result = walk_forward(
            lambda number: models.create(
                "ml.lightgbm", seed=number, n_estimators=20, subsample=0.7
            ),
            X.iloc[:count],
            cut,
            horizon=H,
            params=params,
            seed=1,
        )
        return result.predictions["prediction"].iloc[:230].to_numpy().tobytes()

    assert predictions(230) == predictions(260)


def test_null_features_are_neither_trained_on_nor_predicted() -> None:
    X, y = noise(200)
    X.iloc[:10, 0] = math.nan
    X.iloc[150, 2] = math.nan
    X.iloc[151, 1] = math.inf
    result = fit(X, y, min_train=50, refit_every=40)
    table = result.predictions
    assert table["prediction"].notna().to_numpy().argmax() == 10 + 50 + H
    assert table["prediction"].iloc[[150, 151]].isna().all()
    assert (table["fold"].iloc[[150, 151]] == -1).all()
    assert table["prediction"].iloc[152:].notna().all()
    assert isinstance(result.model, LeastSquares)
    assert X.index[150] not in result.model.rows
    assert result.train_start == X.index[10]


def test_unknown_labels_are_predicted_but_not_trained_on() -> None:
    X, y = noise(200)
    y.iloc[30:40] = math.nan
    y.iloc[100] = math.nan
    result = fit(X, y, min_train=50, refit_every=40)
    assert result.predictions["prediction"].notna().to_numpy().argmax() == 60 + H
    assert result.predictions["prediction"].notna().iloc[100]
    assert result.folds["n_train"].iloc[-1] < fit(*noise(200), min_train=50).folds["n_train"].max()


def test_a_block_without_complete_rows_needs_no_model() -> None:
    X, y = noise(200)
    X.iloc[95:135, 0] = math.nan
    result = fit(X, y, min_train=50, refit_every=40)
    assert result.folds["n_test"].tolist() == [40, 0, 40, 25]
    assert np.isnan(result.folds["ic"].iloc[1])


def test_seeds_differ_by_fold_and_are_reproducible() -> None:
    seen: list[int] = []

    def make(number: int) -> BaseModel:
        seen.append(number)
        return LeastSquares(seed=number)

    X, y = noise(200)
    params = WalkForwardParams(min_train=50, refit_every=40)
    walk_forward(make, X, y, horizon=H, params=params, seed=7)
    assert seen == [
        fold_seed(7, 0),
        fold_seed(7, 1),
        fold_seed(7, 2),
        fold_seed(7, 3),
        fold_seed(7, "final"),
    ]
    assert len(set(seen)) == 5
    assert fold_seed(8, 0) != fold_seed(7, 0)
    assert fold_seed(7, 0) == 1979670999
    assert all(0 <= fold_seed(7, k) < 2**31 for k in range(50))


def test_too_few_rows_are_counted() -> None:
    X, y = noise(100)
    X.iloc[:10, 0] = math.nan
    with pytest.raises(
        DataError,
        match=r"90 rows available .*\(85 of them complete and labelled\), 126 needed "
        r"\(min_train 120 \+ gap 5 \+ 1",
    ):
        fit(X, y)
    assert len(fit(X, y, min_train=84).predictions.dropna(subset=["prediction"])) == 1
    with pytest.raises(DataError, match="91 needed"):
        fit(X, y, min_train=85)


def test_a_gap_below_the_horizon_is_an_error() -> None:
    X, y = noise(200)
    with pytest.raises(ConfigurationError, match="'gap' is 4, below the label's horizon of 5"):
        fit(X, y, gap=4)
    wide = fit(X, y, min_train=50, gap=9)
    assert wide.predictions["prediction"].notna().to_numpy().argmax() == 59


def test_contradictory_windows_are_errors() -> None:
    X, y = noise(200)
    with pytest.raises(ConfigurationError, match="required by scheme 'rolling'"):
        fit(X, y, scheme="rolling")
    with pytest.raises(ConfigurationError, match="at least min_train"):
        fit(X, y, scheme="rolling", train_window=100)
    with pytest.raises(ConfigurationError, match="no meaning"):
        fit(X, y, train_window=100)


def test_mismatched_inputs_are_errors() -> None:
    X, y = noise(200)
    with pytest.raises(DataError, match="not indexed by the same bars"):
        fit(X, y.iloc[1:])
    with pytest.raises(DataError, match="strictly increasing"):
        fit(X.iloc[::-1], y.iloc[::-1])


def test_nothing_is_found_in_noise() -> None:
    found = []
    for seed in range(6):
        X, y = noise(900, seed=seed)
        result = fit(X, y)
        report = prediction_report(result.predictions, horizon=H)
        assert report["rank_ic"] is not None
        found.append(report["rank_ic"])
        assert (report["rmse"] or 0) > 0.99 * (report["rmse_of_mean"] or 0)
    # Overlapping labels leave some 150 independent ones each: a standard error of 0.08.
    assert abs(float(np.mean(found))) < 0.08
    assert max(map(abs, found)) < 0.25


@pytest.mark.parametrize("key", ["ml.random_forest", "ml.lightgbm"])
def test_a_planted_signal_is_found(key: str) -> None:
    params = WalkForwardParams(min_train=300, refit_every=200)

    def run(strength: float) -> dict[str, float | int | None]:
        X, y = noise(900, seed=11, strength=strength)
        result = walk_forward(
            lambda number: models.create(key, seed=number, n_estimators=40),
            X,
            y,
            horizon=H,
            params=params,
            seed=0,
        )
        return prediction_report(result.predictions, horizon=H)

    # One of the five bars of a label is foreseeable, at 2 to 1: the best IC is about 2 / 5.
    planted = run(2.0)
    assert (planted["rank_ic"] or 0) > 0.25
    assert (planted["hit_rate"] or 0) > 0.6
    assert (planted["rmse"] or 1) < (planted["rmse_of_mean"] or 0)
    assert abs(run(0.0)["rank_ic"] or 0) < 0.15


def test_overlapping_labels_leak_without_the_gap() -> None:
    """A feature that only says which bars are neighbours knows the overlap of their labels."""
    horizon, count = 20, 700
    generator = np.random.default_rng(1)
    close = pd.Series(100 * np.exp(np.cumsum(generator.normal(0, 0.01, count))), index=days(count))
    X = pd.DataFrame({"clock": np.arange(count, dtype="float64")}, index=close.index)
    y = forward_return(close, horizon)

    def ic(declared: int) -> float:
        result = walk_forward(
            lambda number: Nearest(seed=number),
            X,
            y,
            horizon=declared,
            params=WalkForwardParams(min_train=50, refit_every=1),
            seed=0,
        )
        return prediction_report(result.predictions, horizon=horizon)["rank_ic"] or 0.0

    # Declared as one bar, the gap is one bar: 18 of the 20 bars of the nearest label are shared.
    assert ic(1) > 0.8
    assert abs(ic(horizon)) < 0.2


def test_scores_by_hand() -> None:
    guess = np.array([1.0, 2.0, 3.0, -1.0, math.nan, 5.0])
    truth = np.array([2.0, 1.0, 4.0, -3.0, 9.0, math.nan])
    # ranks 2 3 4 1 and 3 2 4 1: 1 - 6 * 2 / (4 * 15)
    assert rank_ic(guess, truth) == pytest.approx(0.8)
    assert hit_rate(guess, truth) == 1.0
    assert hit_rate(guess, -truth) == 0.0
    assert rmse(guess, truth) == pytest.approx(math.sqrt((1 + 1 + 1 + 4) / 4))
    nothing = np.array([math.nan])
    assert rank_ic(nothing, nothing) is None
    assert rank_ic(np.ones(5), truth[:5]) is None
    assert hit_rate(np.zeros(5), truth[:5]) is None
    assert rmse(nothing, nothing) is None


def test_the_naive_prediction_knows_only_labels_of_the_past() -> None:
    label = [1.0, 3.0, 5.0, 100.0, math.nan]
    table = pd.DataFrame(
        {"prediction": [math.nan, math.nan, 1.0, 1.0, 1.0], "label": label}, index=days(5)
    )
    report = prediction_report(table, horizon=1)
    assert report["n"] == 2
    # Row 2 knows label 0, row 3 labels 0 and 1: errors 5 - 1 and 100 - 2.
    assert report["rmse_of_mean"] == pytest.approx(math.sqrt((4**2 + 98**2) / 2))
    assert report["rmse"] == pytest.approx(math.sqrt((4**2 + 99**2) / 2))
    empty = prediction_report(table.iloc[:2], horizon=1)
    assert empty == {
        "n": 0,
        "rank_ic": None,
        "hit_rate": None,
        "rmse": None,
        "rmse_of_mean": None,
    }
