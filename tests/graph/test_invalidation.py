"""What recomputes when what changes: the matrix, through real materialisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from hf_plugins import registry
from tests.graph.lab import CHAIN, Event, Lab, bars, missed, reload_plugin

HIT = "identical code, parameters and inputs"
BOTH = ("AAA|1d", "BBB|1d")
FETCHED = ("market_data/bars", "market_data/quarantine")
"""What one fetch yields: both have a new version when either changes."""
BELOW_RSI = ("models/forest", "predictions/forest", "signals/quantile", "backtests/trend")

PLUGIN = '''
"""A plugin under test."""

import pandas as pd

from hf_plugins.base import BaseFeature, Memory
from hf_plugins.registry import features


@features.register("{key}")
class Range(BaseFeature):
    """Range of a bar."""

    @property
    def reads(self):
        return ("high", "low")

    @property
    def outputs(self):
        return ("range",)

    @property
    def memory(self):
        return Memory.finite(1)

    def compute(self, data):
        # the formula
        return pd.DataFrame({{"range": data["high"] - data["low"]}})
'''


def expected(assets: tuple[str, ...], partitions: tuple[str, ...] = BOTH) -> set[tuple[str, str]]:
    found = {(asset, partition) for asset in assets for partition in partitions}
    if "backtests/trend" in assets:
        found.add(("reports/trend", "1d"))
    return found


@pytest.fixture
def settled(lab: Lab) -> Lab:
    """A lab in which everything has been computed once."""
    events = lab.run()
    assert missed(events) == set(events)
    assert {event.reason for event in events.values()} == {"first computation"}
    return lab


def reasons(events: dict[tuple[str, str], Event], asset: str) -> set[str]:
    return {event.reason for (key, _), event in events.items() if key == asset}


def test_nothing_changed_computes_nothing_and_stores_nothing(settled: Lab) -> None:
    def stored() -> tuple[int, list[str]]:
        covered = settled.covered()
        rows = sum(
            len(settled.store.history(ref))
            for task in settled.tasks()
            for partition in covered[task.names()[0]]
            for ref in task.refs(partition)
        )
        return rows, sorted(path for path, _, _ in settled.store.lake.list(""))

    before = stored()
    first = {(e.asset, e.partition): e.version for e in settled.all_events()}
    events = settled.run()
    assert missed(events) == set()
    assert {key: event.version for key, event in events.items()} == first
    assert stored() == before


def test_a_parameter_recomputes_its_asset_and_its_descendants_only(settled: Lab) -> None:
    settled.edit_yaml(
        "length: 14}}\n---\ntype: hf_assets.Feature\nattributes: {name: atr_14",
        "length: 21}}\n---\ntype: hf_assets.Feature\nattributes: {name: atr_14",
    )
    events = settled.run()
    assert missed(events) == expected(("features/rsi_14", *BELOW_RSI))
    assert reasons(events, "features/rsi_14") == {"parameter length 14 -> 21"}
    assert all("features/rsi_14" in reason for reason in reasons(events, "models/forest"))


def test_a_reverted_parameter_finds_the_old_dataset(settled: Lab) -> None:
    first = settled.head("features/rsi_14", "AAA|1d")
    settled.edit_yaml(
        "params: {length: 14}}\n---\ntype: hf_assets.Feature\nattributes: {name: atr",
        "params: {length: 9}}\n---\ntype: hf_assets.Feature\nattributes: {name: atr",
    )
    settled.run(["features/rsi_14"])
    assert settled.head("features/rsi_14", "AAA|1d").version_hash != first.version_hash
    settled.edit_yaml("length: 9", "length: 14")
    events = settled.run()
    assert missed(events) == set()
    assert settled.head("features/rsi_14", "AAA|1d").id == first.id
    assert events["features/rsi_14", "AAA|1d"].version == first.version_hash


@pytest.mark.slow
def test_prose_recomputes_nothing(settled: Lab) -> None:
    settled.edit_yaml("name: atr_14,", "name: atr_14, description: A range., owner: 'team:x',")
    assert missed(settled.run()) == set()


def test_a_revised_close_recomputes_only_what_reads_closes_of_that_symbol(settled: Lab) -> None:
    frame = settled.read_bars("AAA")
    row = frame.index[100]
    frame.loc[row, "close"] = (frame.loc[row, "high"] + frame.loc[row, "low"]) / 2 + 0.0101
    settled.write_bars("AAA", "1d", frame)
    events = settled.run()
    everything = tuple(key for key in settled.asset_names() if key != "reports/trend")
    assert missed(events) == expected(everything, ("AAA|1d",))
    assert all("close" in reason for reason in reasons(events, "features/rsi_14") - {HIT})


def test_a_revised_volume_recomputes_no_feature_that_does_not_read_it(settled: Lab) -> None:
    frame = settled.read_bars("AAA")
    frame.loc[frame.index[100], "volume"] += 1
    settled.write_bars("AAA", "1d", frame)
    events = settled.run()
    assert missed(events) == expected((*FETCHED, "market_data/enriched"), ("AAA|1d",))
    assert reasons(events, "market_data/enriched") == {
        HIT,
        "market_data/bars: volume changed",
    }


@pytest.mark.slow
def test_float_noise_of_a_vendor_is_not_a_revision(settled: Lab) -> None:
    frame = settled.read_bars("AAA")
    frame["close"] += 1e-9
    settled.write_bars("AAA", "1d", frame)
    assert missed(settled.run()) == set()


def test_appended_bars_recompute_only_that_symbol(settled: Lab) -> None:
    settled.write_bars("BBB", "1d", bars(263, "1d", seed=1))
    events = settled.run()
    everything = tuple(key for key in settled.asset_names() if key != "reports/trend")
    assert missed(events) == expected(everything, ("BBB|1d",))
    grown = {"range end 2020-09-16 -> 2020-09-19 (rows appended)"}
    for asset in ("market_data/bars", "market_data/enriched", "features/rsi_14"):
        assert reasons(events, asset) - {HIT} == grown


def test_appended_bars_leave_earlier_predictions_untouched(settled: Lab) -> None:
    before = settled.store.read(settled.head("predictions/forest", "BBB|1d"))
    settled.write_bars("BBB", "1d", bars(275, "1d", seed=1))
    settled.run()
    after = settled.store.read(settled.head("predictions/forest", "BBB|1d"))
    assert len(after) > len(before)
    pd.testing.assert_frame_equal(
        after.reindex(before.index).filter(["prediction"]),
        before.filter(["prediction"]),
        check_exact=True,
    )


@pytest.mark.slow
def test_what_judges_bars_otherwise_and_leaves_them_recomputes_no_feature(settled: Lab) -> None:
    settled.write_universe(asset_class="crypto")
    events = settled.run()
    assert missed(events) == expected((*FETCHED, "market_data/enriched"))
    told = "asset_class equity -> crypto"
    assert reasons(events, "market_data/bars") == {f"parameter instrument.{told}"}
    assert reasons(events, "market_data/enriched") == {f"parameter {told}"}
    assert missed(settled.run()) == set()


@pytest.mark.slow
def test_a_calendar_puts_aside_what_it_excludes_and_all_below_follows(settled: Lab) -> None:
    """The bars are those of a project that never had another calendar."""
    before = settled.head("market_data/bars", "AAA|1d")
    settled.write_universe(calendar="XNYS")
    events = settled.run()
    told = "parameter calendar 24/7 -> XNYS"
    assert all(told in reason for reason in reasons(events, "backtests/trend"))
    assert all(told in reason for reason in reasons(events, "market_data/enriched"))
    assert {asset for asset, _ in missed(events)} >= {"features/rsi_14", "predictions/forest"}
    after = settled.head("market_data/bars", "AAA|1d")
    aside = settled.head("market_data/quarantine", "AAA|1d")
    assert after.row_count + aside.row_count == before.row_count > after.row_count
    stamps = pd.DatetimeIndex(settled.store.read(after, []).index)
    assert (stamps.dayofweek < 5).all()
    assert missed(settled.run()) == set()


def test_force_recomputes_and_keeps_the_old_dataset(settled: Lab) -> None:
    before = settled.head("features/rsi_14", "AAA|1d")
    events = settled.run(["features/rsi_14"], force=True)
    after = settled.head("features/rsi_14", "AAA|1d")
    assert events["features/rsi_14", "AAA|1d"].reason == "forced"
    assert after.version_hash == before.version_hash
    assert after.generation == before.generation + 1
    assert [d.id for d in settled.store.history(after.ref)] == [after.id, before.id]
    assert missed(settled.run()) == set()


# ------------------------------------------------------------------------------------- code


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A third-party plugin module that tests edit."""
    path = tmp_path / "acme_range.py"
    path.write_text(PLUGIN.format(key="acme.range"))
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.features.discover()
    reload_plugin("acme_range")
    yield path
    registry.features._plugins.pop("acme.range", None)


@pytest.fixture
def with_plugin(plugin: Path, make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(
        yaml_text=CHAIN.replace("plugin: technical.atr, params: {length: 14}", "plugin: acme.range")
    )
    lab.run()
    return lab


def test_a_formula_recomputes_its_asset_and_its_descendants_only(
    with_plugin: Lab, plugin: Path
) -> None:
    plugin.write_text(
        plugin.read_text().replace('data["high"] - data["low"]', 'data["high"] / data["low"]')
    )
    reload_plugin("acme_range")
    events = with_plugin.run()
    assert missed(events) == expected(("features/atr_14", *BELOW_RSI))
    assert reasons(events, "features/atr_14") == {"code: acme_range changed"}


def test_a_rewritten_formula_with_the_same_values_stops_there(
    with_plugin: Lab, plugin: Path
) -> None:
    plugin.write_text(
        plugin.read_text().replace('data["high"] - data["low"]', 'data["high"].sub(data["low"])')
    )
    reload_plugin("acme_range")
    assert missed(with_plugin.run()) == expected(("features/atr_14",))


WORDS_AND_LAYOUT = {
    "# the formula": "# the formula, explained at length",
    '"""Range of a bar."""': '"""High minus low, in quote currency."""',
    'pd.DataFrame({"range": data["high"] - data["low"]})': (
        'pd.DataFrame(\n            {\n                "range": data["high"]\n'
        '                - data["low"]\n            }\n        )'
    ),
}


def test_words_and_layout_recompute_nothing(with_plugin: Lab, plugin: Path) -> None:
    for old, new in WORDS_AND_LAYOUT.items():
        text = plugin.read_text()
        assert old in text
        plugin.write_text(text.replace(old, new))
        reload_plugin("acme_range")
        assert missed(with_plugin.run()) == set(), new
