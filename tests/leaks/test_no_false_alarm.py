"""No built-in feature is accused, with the parameters that it has by default and with others."""

from __future__ import annotations

import pytest

from hf_plugins import registry
from hf_plugins.certificate import Certificate, Inputs, certify
from hf_plugins.joins import joined
from hf_plugins.testing._worlds import full_certificates, sample_inputs

# Of the 101 of one implementation: all operators, the longest look-back.
QUICK_ALPHAS = {f"alpha101.alpha{number:03d}" for number in (1, 48, 98)}
QUICK_GOLD = {"gold.calendar", "gold.lead_lag", "gold.momentum", "gold.risk"}
KEYS = registry.features.keys()
QUICK = {key for key in KEYS if not key.startswith(("alpha101.", "gold."))}
QUICK |= QUICK_ALPHAS | QUICK_GOLD
OTHERS = [
    ("technical.rsi", {"length": 2}),
    ("technical.rsi", {"length": 50}),
    ("technical.atr", {"length": 1}),
    ("technical.macd", {"fast": 2, "slow": 3, "signal": 1}),
    ("technical.ema_cross", {"fast": 2, "slow": 3}),
    ("technical.bbands", {"length": 2, "deviations": 0.5}),
    ("technical.ta", {"indicator": "obv"}),
    ("technical.ta", {"indicator": "supertrend"}),
    ("technical.ta", {"indicator": "psar"}),
    ("technical.ta", {"indicator": "kama"}),
    ("statistical.z_score", {"window": 2, "column": "volume"}),
    ("statistical.hurst_exponent", {"window": 32}),
    (
        "statistical.volatility_regime",
        {"window": 2, "rank_window": 9, "min_history": 2, "low": 0.1, "high": 0.9},
    ),
    ("statistical.momentum", {"window": 1}),
]


def quick(key: str, **params: object) -> dict[str, Certificate]:
    """Quick certificates on bars around the clock, and on those with gaps."""
    plugin = registry.features.create(key, **params)
    rows = min(max(400, (plugin.memory.lookback or 0) + 150), 1_200)
    found = {}
    for kind in ("steady", "gaps"):
        inputs = sample_inputs(plugin, kind, rows, seed=1)
        frame = inputs.own
        if inputs.sides:
            frame = joined(inputs.own, inputs.sides, inputs.timeframe, inputs.closes)
        found[kind] = certify(plugin, inputs, plugin.compute(frame.copy()), seed=4)
    return found


@pytest.mark.parametrize(
    "key",
    [pytest.param(key, marks=[] if key in QUICK else [pytest.mark.slow]) for key in KEYS],
)
def test_no_plugin_is_accused(key: str):
    for found in quick(key).values():
        assert found.ok, str(found)


@pytest.mark.parametrize(("key", "params"), OTHERS)
def test_nor_with_other_parameters(key: str, params: dict[str, object]):
    for found in quick(key, **params).values():
        assert found.ok, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_nor_at_the_full_level(key: str):
    for found in full_certificates(registry.features.create(key)).values():
        assert found.ok, str(found)


@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_certificate_goes_through_json(level):
    plugin = registry.features.create("technical.rsi")
    inputs = sample_inputs(plugin, rows=300)
    found = certify(plugin, inputs, plugin.compute(inputs.own.copy()), seed=2, level=level)
    assert found.ok
    assert Certificate.from_json(found.to_json()) == found
    assert found.recomputed > 0
    assert all(each.cuts and each.rows for each in found.aspects)


def test_the_quick_level_costs_a_fraction_of_a_long_history():
    plugin = registry.features.create("statistical.momentum")
    inputs = sample_inputs(plugin, rows=200_000)
    published = plugin.compute(inputs.own.copy())
    found = certify(plugin, inputs, published, seed=2)
    assert found.ok
    assert found.recomputed < 0.1 * len(published)


def test_a_wrong_value_in_a_long_history_of_appends_is_found_where_it_was_appended():
    plugin = registry.features.create("technical.rsi")
    inputs = sample_inputs(plugin, rows=3_000)
    published = plugin.compute(inputs.own.copy())
    published.iloc[2_995] += 1e-9
    after = published.index[2_989]
    found = certify(plugin, inputs, published, seed=2, after=after.to_pydatetime())
    assert found.finding is not None
    assert found.finding.timestamp == published.index[2_995].isoformat()
    assert found.continues
    assert found.rows == 10


def test_without_rows_there_is_nothing_to_certify():
    plugin = registry.features.create("technical.rsi")
    empty = sample_inputs(plugin, rows=5).own.iloc[:0]
    found = certify(plugin, Inputs(empty, "1h"), plugin.compute(empty), seed=1)
    assert found.ok
    assert found.sentence == "there is no row to certify"
