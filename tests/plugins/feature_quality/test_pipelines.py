"""Pipelines: the regressions against scikit-learn, from any start and on awkward columns."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hf_plugins.errors import DataError
from hf_plugins.feature_quality import selection
from hf_plugins.feature_quality.auc import place
from hf_plugins.feature_quality.selection import Pipelines

ROWS, TRAINED = 3000, 2000


def data(strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Eight features of any scale, two nearly alike, one constant, and a target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, ROWS)) * 10.0 ** rng.integers(-6, 7, size=(8, 1))
    x += 100.0 * rng.normal(size=(8, 1))
    x[3] = x[2] + 1e-6 * x[2].std() * rng.normal(size=ROWS)
    x[5] = 7.0
    standard = (x[0] - x[0].mean()) / x[0].std()
    y = (strength * standard + rng.logistic(size=ROWS) > 0.5).astype(float)
    return x, y


def pipelines(x: np.ndarray, y: np.ndarray) -> Pipelines:
    return Pipelines(x[:, :TRAINED], y[:TRAINED], x[:, TRAINED:], y[TRAINED:])


def by_scikit_learn(x: np.ndarray, y: np.ndarray, chosen: list[int]) -> tuple[np.ndarray, float]:
    scaler = StandardScaler().fit(x[chosen, :TRAINED].T)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12)
    model.fit(scaler.transform(x[chosen, :TRAINED].T), y[:TRAINED])
    decided = model.decision_function(scaler.transform(x[chosen, TRAINED:].T))
    return np.append(model.intercept_, model.coef_), place(decided, y[TRAINED:]).auc


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0, 30.0])
def test_weights_are_those_of_scikit_learn(strength: float) -> None:
    x, y = data(strength)
    fitted = pipelines(x, y)
    for chosen in ([0], [1, 2], [0, 1, 2, 3], [6, 0], list(range(8)), [7, 6, 5, 4, 3, 2, 1, 0]):
        weights, auc = by_scikit_learn(x, y, chosen)
        np.testing.assert_allclose(fitted.fit(chosen), weights, rtol=1e-6, atol=1e-7)
        assert fitted.placements(chosen).auc == pytest.approx(auc, abs=1e-6)


def test_values_beyond_what_can_be_squared_still_count() -> None:
    x, y = data(1.0)
    huge = x.copy()
    huge[0] *= 1e200
    np.testing.assert_allclose(pipelines(huge, y).fit([0, 2]), pipelines(x, y).fit([0, 2]))


def test_a_null_counts_as_the_mean_of_the_training_rows() -> None:
    x, y = data(1.0)
    x[0, ::7] = np.nan
    x[1, :TRAINED] = np.nan  # never known where it is fitted
    filled = x.copy()
    filled[0, ::7] = np.nanmean(x[0, :TRAINED])
    filled[1] = 0.0
    found, expected = pipelines(x, y), pipelines(filled, y)
    weights = found.fit([0, 1, 2])
    assert weights[2] == 0.0
    # The spread is that of the known rows, so that only the penalty weighs a little differently.
    assert found.placements([0, 1, 2]).auc == pytest.approx(
        expected.placements([0, 1, 2]).auc, abs=1e-4
    )
    assert np.isfinite(weights).all()


def test_separable_classes_have_a_finite_solution() -> None:
    x, _ = data(0.0)
    y = (x[0] > np.median(x[0])).astype(float)
    weights, _ = by_scikit_learn(x, y, [0, 1])
    fitted = pipelines(x, y)
    np.testing.assert_allclose(fitted.fit([0, 1]), weights, rtol=1e-6)
    assert fitted.placements([0]).auc == 1.0


def test_the_start_does_not_matter() -> None:
    x, y = data(0.3)
    fresh, used = pipelines(x, y), pipelines(x, y)
    for chosen in ([4], [0, 4], [0, 4, 2], [0, 4, 1]):
        used.fit(chosen)
    np.testing.assert_allclose(used.fit([1, 0]), fresh.fit([1, 0]), rtol=1e-8)


def test_what_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(0.3)
    monkeypatch.setattr(selection, "MAX_STEPS", 2)
    with pytest.raises(DataError, match="a logistic regression of 2 features does not converge"):
        pipelines(x, y).fit([0, 1])
