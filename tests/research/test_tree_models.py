from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import BaseModel
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import models
from tests.research.frames import days

KEYS = ["ml.random_forest", "ml.lightgbm"]


def data(count: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(count, 4)), index=days(count), columns=list("abcd"))
    y = pd.Series(np.sin(X["b"]) + 0.3 * X["d"] + generator.normal(0, 0.3, count), index=X.index)
    return X, y


def fitted(key: str, seed: int = 1, **params: Any) -> BaseModel:
    model = models.create(key, seed=seed, **{"n_estimators": 20, **params})
    model.train(*data())
    return model


@pytest.mark.parametrize("key", KEYS)
def test_predictions_are_aligned_deterministic_and_good(key: str) -> None:
    X, y = data()
    prediction = fitted(key).predict(X)
    assert prediction.index.equals(X.index)
    assert str(prediction.dtype) == "float64"
    assert prediction.corr(y) > 0.7
    assert prediction.equals(fitted(key).predict(X))


@pytest.mark.parametrize("key", KEYS)
def test_a_loaded_model_predicts_the_same_bits(key: str, tmp_path: Path) -> None:
    model = fitted(key, n_estimators=60)
    path = tmp_path / f"model{model.suffix}"
    model.save(path)
    loaded = models.create(key)
    loaded.load(path)
    X = data()[0]
    assert loaded.predict(X).to_numpy().tobytes() == model.predict(X).to_numpy().tobytes()
    expected, importance = model.feature_importance(), loaded.feature_importance()
    assert expected is not None
    assert importance is not None
    pd.testing.assert_series_equal(expected, importance)


@pytest.mark.parametrize("key", KEYS)
def test_equal_models_are_equal_files(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(key).save(tmp_path / "first")
    # A zip archive knows the time of day.
    monkeypatch.setattr("time.time", lambda: 2e9)
    fitted(key).save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("key", KEYS)
def test_importance_names_what_matters(key: str) -> None:
    importance = fitted(key).feature_importance()
    assert importance is not None
    assert importance.index.tolist() == list("abcd")
    assert importance.idxmax() == "b"
    assert importance.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("key", KEYS)
def test_columns_are_known_by_name(key: str) -> None:
    model, (X, _) = fitted(key), data()
    assert model.predict(X.loc[:, ["d", "c", "b", "a"]]).equals(model.predict(X))
    with pytest.raises(DataError, match="missing columns b, d"):
        model.predict(X.loc[:, ["a", "c"]])


@pytest.mark.parametrize("key", KEYS)
def test_an_unfitted_model_says_so(key: str, tmp_path: Path) -> None:
    model = models.create(key)
    for use in (
        lambda: model.predict(data()[0]),
        lambda: model.save(tmp_path / "x"),
        model.feature_importance,
    ):
        with pytest.raises(RuntimeError, match=f"'{key}' is not fitted"):
            use()


@pytest.mark.parametrize("key", KEYS)
def test_awkward_column_names_are_refused(key: str) -> None:
    X, y = data()
    with pytest.raises(DataError, match="a b"):
        models.create(key).train(X.rename(columns={"a": "a b"}), y)
    with pytest.raises(DataError, match="distinct"):
        models.create(key).train(X.rename(columns={"a": "b"}), y)


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("ml.random_forest", "n_estimators", 21),
        ("ml.random_forest", "max_depth", 2),
        ("ml.random_forest", "min_samples_leaf", 40),
        ("ml.random_forest", "max_features", 0.5),
        ("ml.random_forest", "max_features", "sqrt"),
        ("ml.random_forest", "seed", 2),
        ("ml.lightgbm", "num_leaves", 4),
        ("ml.lightgbm", "learning_rate", 0.2),
        ("ml.lightgbm", "n_estimators", 21),
        ("ml.lightgbm", "min_child_samples", 60),
        ("ml.lightgbm", "subsample", 0.5),
        ("ml.lightgbm", "colsample_bytree", 0.5),
        ("ml.lightgbm", "reg_lambda", 30.0),
    ],
)
def test_every_parameter_reaches_the_library(key: str, name: str, value: Any) -> None:
    X = data()[0]
    assert not fitted(key, **{name: value}).predict(X).equals(fitted(key).predict(X))


def test_the_seed_of_lightgbm_reaches_the_library() -> None:
    X = data()[0]
    first, second = (fitted("ml.lightgbm", seed=seed, subsample=0.5) for seed in (1, 2))
    assert not first.predict(X).equals(second.predict(X))


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("ml.random_forest", {"max_features": 1.5}),
        ("ml.random_forest", {"max_features": "log"}),
        ("ml.random_forest", {"min_samples_leaf": 0}),
        ("ml.lightgbm", {"subsample": 0.0}),
        ("ml.lightgbm", {"n_estimators": "200"}),
        ("ml.lightgbm", {"min_child_weight": 1.0}),
    ],
)
def test_wrong_parameters_are_told(key: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(params))):
        models.create(key, **params)


def test_a_forest_loads_forests_only(tmp_path: Path) -> None:
    import skops.io
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    path = tmp_path / "model.skops"
    skops.io.dump(GaussianProcessRegressor(RBF()).fit([[0.0], [1.0]], [0.0, 1.0]), path)
    unexpected = skops.io.get_untrusted_types(file=path)
    with pytest.raises((DataError, AttributeError)) as caught:
        models.create("ml.random_forest").load(path)
    if unexpected:
        assert unexpected[0] in str(caught.value)


def test_discovery_imports_no_model_library() -> None:
    code = (
        "import sys; from hf_plugins.registry import engines, models, signals\n"
        "[registry.discover() for registry in (engines, models, signals)]\n"
        "print([n for n in ('lightgbm', 'sklearn', 'skops', 'numba', 'scipy') if n in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert shown.strip() == "[]"
