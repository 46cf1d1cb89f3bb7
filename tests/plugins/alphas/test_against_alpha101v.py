"""All 101 formulas against an independent implementation, the package alpha101v.

Its formulas, its plumbing and its operators are its own. Where the paper leaves a choice it chose
otherwise; those choices are set to this project's first, each by an argument that the package has,
or, for ties, by rounding its operands before it ranks them: two programs that rank the rounding of
their last digits cannot agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.alphas import ALPHAS, Panel, across_instruments
from tests.plugins.alphas.markets import fields, groups

pytest.importorskip("alpha101v")

# Alpha 96 is null nearly everywhere: it needs 37 correlations in a row of three bars of short ranks
# that are not constant. Its own test finds data that has some.
NULL = 96


def significant(frame: pd.DataFrame) -> pd.DataFrame:
    """Rounded to ten significant digits."""
    values = frame.to_numpy(float)
    size = np.where((values == 0) | np.isnan(values), 1.0, np.abs(values))
    unit = 10.0 ** (np.floor(np.log10(size)) - 9)
    return pd.DataFrame(np.rint(values / unit) * unit, frame.index, frame.columns)


def latest_extreme(sign: int) -> Callable[..., pd.DataFrame]:
    """Bars since the extreme, the latest of equal ones, by one window at a time."""

    def days_ago(frame: pd.DataFrame, window: float) -> pd.DataFrame:
        def one(values: np.ndarray) -> float:
            return float(np.argmax(sign * values[::-1]))

        return pd.DataFrame(significant(frame).rolling(int(window)).apply(one, raw=True))

    return days_ago


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., np.ndarray]:
    """``theirs(number, fields, groups)`` by alpha101v, with this project's choices."""
    from alpha101v import factors, operators, registry

    def decided(name: str, **choices: Any) -> Callable[..., pd.DataFrame]:
        original = getattr(operators, name)
        return lambda *arguments: original(*arguments, **choices)

    def ranked(name: str) -> Callable[..., pd.DataFrame]:
        original = decided(name, normalization="one_over_n")
        return lambda frame, *window: original(significant(frame), *window)

    choices = {
        "rank": ranked("rank"),
        "ts_rank": ranked("ts_rank"),
        "stddev": decided("stddev", ddof=1),
        "covariance": lambda x, y, d: operators.covariance(x, y, d, ddof=1).round(10),
        "correlation": lambda x, y, d: operators.correlation(x, y, d).round(10),
        "decay_linear": lambda x, d: operators.decay_linear(x, d, dense=True).round(12),
        "ts_argmax": latest_extreme(1),
        "ts_argmin": latest_extreme(-1),
        "minimum": np.minimum,
        "maximum": np.maximum,
    }
    for name, choice in choices.items():
        monkeypatch.setattr(factors, name, choice)

    def compute(
        number: int, market: dict[str, pd.DataFrame], labels: dict[str, pd.Series]
    ) -> np.ndarray:
        data: dict[str, Any] = dict(market)
        data["Open"] = data.pop("open")
        data["amount"] = data["vwap"] * data["volume"]
        data["returns"] = data["close"] / data["close"].shift(1) - 1
        data |= {f"ind_{name}": label for name, label in labels.items()}
        return registry.run_factor(f"alpha{number}", data, dtype=np.float64).to_numpy()

    return compute


def assert_equal(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    known = ~np.isnan(ours)
    assert known.any()
    scale = np.maximum(np.abs(theirs[known]), np.median(np.abs(theirs[known])))
    assert np.all(np.abs(ours[known] - theirs[known]) <= 1e-8 * scale)


@pytest.mark.parametrize("number", [n for n in ALPHAS if n != NULL])
def test_formula_agrees(number: int, theirs: Callable[..., np.ndarray]) -> None:
    market, labels = fields(), groups()
    ours = across_instruments(Panel.of_instruments(market, labels), number).to_numpy()
    assert_equal(ours, theirs(number, market, labels))


def test_alpha_096_agrees_where_it_is_known(theirs: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    market = fields(1000, 60, seed=4)
    shape = market["close"].shape
    # A sawtooth: the ranks of three bars in a row are hardly ever the same.
    zigzag = np.where(np.arange(shape[0]) % 2, 1.0, -1.0)[:, None]
    market["close"] = market["close"] * np.exp(0.2 * zigzag * rng.uniform(0.5, 1, shape))
    market["volume"] = market["volume"] * np.exp(2.0 * rng.normal(size=shape))
    labels = groups(60)
    ours = across_instruments(Panel.of_instruments(market, labels), NULL).to_numpy()
    assert_equal(ours, theirs(NULL, market, labels))
