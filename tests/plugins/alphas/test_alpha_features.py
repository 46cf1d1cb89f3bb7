"""The alphas as feature plugins: values, declarations, and the two that the gold features have."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pandas as pd
import pytest

from hf_plugins import registry
from hf_plugins.alphas import ALPHAS, across_time
from hf_plugins.alphas.expression import SECTIONS, VALUES, WINDOWS
from hf_plugins.errors import ConfigurationError
from hf_plugins.features.alpha101 import columns_of
from hf_plugins.testing import sample_bars
from tests.plugins.test_contract import QUICK_ALPHAS

KEYS = [f"alpha101.alpha{number:03d}" for number in range(1, 102)]


def test_there_is_one_plugin_per_formula() -> None:
    assert [key for key in registry.features.keys() if key.startswith("alpha101.")] == KEYS  # noqa: SIM118


@pytest.mark.parametrize("number", [1, 7, 36, 56, 101])
def test_values_are_those_of_the_formula_on_all_columns(number: int) -> None:
    bars = sample_bars(n=600)
    plugin = registry.features.create(f"alpha101.alpha{number:03d}", window=20)
    found = plugin.compute(bars.loc[:, list(plugin.reads)])
    expected = across_time(bars, [number], window=20)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert int(np.isfinite(found.to_numpy()).sum()) > 200


def test_declared_columns_by_hand() -> None:
    expected = {
        1: ("close",),
        2: ("open", "close", "volume"),
        5: ("open", "high", "low", "close"),  # vwap: the typical price
        56: ("close",),  # cap: the close
        84: ("high", "low", "close"),
        101: ("open", "high", "low", "close"),
    }
    assert {number: columns_of(ALPHAS[number]) for number in expected} == expected


def test_look_back_follows_the_window() -> None:
    alpha019 = [registry.features.create("alpha101.alpha019", window=w) for w in (2, 60)]
    # sum(returns, 250) reads 251 closes; the rank of it w - 1 bars more.
    assert [plugin.memory.lookback for plugin in alpha019] == [252, 310]
    assert registry.features.create("alpha101.alpha101").memory.lookback == 1
    with pytest.raises(ConfigurationError, match="'window' is 1"):
        registry.features.create("alpha101.alpha019", window=1)


@pytest.mark.parametrize("name", ["alpha024", "alpha083"])
def test_the_gold_features_have_the_same_formula(name: str) -> None:
    """Written twice, apart from each other, and equal where both have a value."""
    bars = sample_bars(n=900)
    bars.index = pd.date_range("2024-01-01", periods=900, freq="min", tz="UTC", name="timestamp")
    gold = registry.features.create("gold.alpha101")
    theirs = gold.compute(bars.loc[:, list(gold.columns)])[name]
    ours = registry.features.create(f"alpha101.{name}").compute(bars)[name]
    np.testing.assert_array_equal(ours.isna(), theirs.isna())
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert int(np.isfinite(ours.to_numpy(np.float64)).sum()) > 600


def test_the_description_shows_the_formula() -> None:
    for number in (24, 56, 83):
        text = inspect.getdoc(registry.features.get(f"alpha101.alpha{number:03d}")) or ""
        assert f"Alpha {number} of" in text
        assert f"\n    {ALPHAS[number].expression.text}\n" in text
    text = " ".join((inspect.getdoc(registry.features.get("alpha101.alpha083")) or "").split())
    assert "The typical price (high + low + close) / 3 stands for ``vwap``." in text


def test_the_alphas_of_the_quick_contract_use_every_operator() -> None:
    used = {
        name
        for key in QUICK_ALPHAS
        for name in re.findall(r"[a-z_]+(?=\()", ALPHAS[int(key[-3:])].expression.text)
    }
    everywhere = {
        name
        for alpha in ALPHAS.values()
        for name in re.findall(r"[a-z_]+(?=\()", alpha.expression.text)
    } & {*WINDOWS, *VALUES, *SECTIONS}
    assert everywhere <= used
