"""Every registered plugin keeps its contract, whoever wrote it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.registry import ALL
from hf_plugins.testing import sample_bars, verify_plugin

QUICK_ALPHAS = {
    f"alpha101.alpha{number:03d}" for number in (1, 13, 29, 30, 36, 48, 50, 56, 63, 73, 88, 98)
}
"""Of the 101 of one implementation: all operators, all stand-ins, the longest look-back."""
# The whole of gold is its families, which are tried one by one.
SLOW = {
    *(f"alpha101.alpha{number:03d}" for number in range(1, 102)),
    "gold.features107",
} - QUICK_ALPHAS
PLUGINS = [
    pytest.param(
        registry.kind,
        key,
        marks=[pytest.mark.slow] * (key in SLOW),
    )
    for registry in ALL
    for key in registry.keys()  # noqa: SIM118
]


@pytest.mark.parametrize(("kind", "key"), PLUGINS)
def test_every_registered_plugin_keeps_its_contract(kind, key):
    report = verify_plugin(kind, key)
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("kind", "key", "params"),
    [
        ("feature", "technical.rsi", {"length": 2}),
        ("feature", "technical.rsi", {"length": 100}),
        ("feature", "technical.atr", {"length": 1}),
        ("feature", "technical.macd", {"fast": 2, "slow": 3, "signal": 1}),
        ("feature", "technical.macd", {"fast": 5, "slow": 40, "signal": 15}),
        ("feature", "technical.ema_cross", {"fast": 2, "slow": 3}),
        ("feature", "technical.bbands", {"length": 2, "deviations": 0.5}),
        ("feature", "statistical.z_score", {"window": 2, "column": "volume"}),
        ("feature", "statistical.z_score", {"window": 50, "column": "funding_rate"}),
        ("feature", "statistical.hurst_exponent", {"window": 32}),
        ("feature", "statistical.hurst_exponent", {"window": 250}),
        (
            "feature",
            "statistical.volatility_regime",
            {"window": 2, "rank_window": 9, "min_history": 2, "low": 0.1, "high": 0.9},
        ),
        ("feature", "statistical.momentum", {"window": 1}),
        ("feature", "statistical.momentum", {"window": 500}),
        ("scorer", "text.lexicon", {"words": "", "neutral_weight": 3.0}),
    ],
)
def test_other_parameters(kind, key, params):
    report = verify_plugin(kind, key, **params)
    assert report.ok, str(report)
    assert report.parameters == params


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("news.sentiment_momentum", {"window": 30, "min_count": 10}),
        ("news.sentiment_divergence", {"normalise": False}),
        ("fundamental.ratios", {"ratios": ["net_margin"]}),
        ("fundamental.ratios", {"splits": "", "columns": {"equity": "book_value"}}),
        ("macro.indicators", {"indicators": ["cpi_surprise", "pmi"], "surprise_window": 12}),
    ],
)
def test_other_parameters_beside_defaults(key, params):
    report = verify_plugin("feature", key, **params)
    assert report.ok, str(report)


def test_a_report_reads_as_a_verdict():
    text = str(verify_plugin("feature", "technical.rsi", length=5))
    assert text.startswith("feature technical.rsi(length=5): passed, 11 of 11 checks")
    assert "ok   causality: Values do not change when the future is cut off" in text


def test_mistakes_of_the_caller_are_errors_not_findings():
    with pytest.raises(ConfigurationError, match=r"unknown kind of plugin 'featur'.*'feature'"):
        verify_plugin("featur", "technical.rsi")
    with pytest.raises(ConfigurationError, match=r"unknown feature plugin 'technical.rsj'"):
        verify_plugin("feature", "technical.rsj")
    with pytest.raises(ConfigurationError, match="unknown parameter 'lenght'"):
        verify_plugin("feature", "technical.rsi", lenght=5)


@pytest.mark.parametrize("kind", ["random_walk", "flat", "gaps"])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_sample_bars(kind, n):
    bars = sample_bars(kind, n, seed=3)
    assert bars.shape == (n, 5)
    assert str(pd.DatetimeIndex(bars.index).tz) == "UTC"
    assert bars.index.name == "timestamp"
    assert bars.index.is_monotonic_increasing
    assert bars.index.is_unique
    assert bars.equals(sample_bars(kind, n, seed=3))
    opened, high, low, close = bars.dropna().to_numpy().T[:4]
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    if kind != "flat":
        assert not bars.equals(sample_bars(kind, n, seed=4)) or n == 1


def test_the_suite_needs_no_test_framework():
    code = (
        "import sys, hf_plugins.testing; print('pytest' in sys.modules, 'dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_sample_bars_of_an_unknown_kind():
    with pytest.raises(ConfigurationError, match=r"unknown kind of sample 'gap'.*'gaps'"):
        sample_bars("gap")  # pyright: ignore[reportArgumentType]
