"""All features on real bars: computed once, never again, in part where a part will do, and exactly.

Days of US shares and hours of perpetuals go through one story: one backfill of everything, the same
again, a correction by the vendor, new bars, and an empty installation that gets at once what the
first one got little by little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from hf_assets.cli.session import Session
from hf_plugins.base import BaseFeature
from hf_resources.datasets import Dataset
from tests.universes import all_features as everything
from tests.universes.all_features import (
    LEFT_OUT,
    MARKET_DATA,
    PERPETUALS,
    SHARES,
    Feature,
    Installation,
    Partition,
    Step,
    vendors,
)

# What they look at takes long to make: in one process, once.
pytestmark = pytest.mark.xdist_group("all_features")

FIRST: Final = datetime(2026, 2, 6, 0, 30, tzinfo=UTC)
"""The vendors' clock at the first backfill: after a close, half an hour into an hour."""
LATER: Final = (datetime(2026, 3, 12, 0, 30, tzinfo=UTC), datetime(2026, 3, 12, 9, 30, tzinfo=UTC))
"""And when new bars come: a month with two dividends, then a night in which no share trades."""

REVISED: Final[Mapping[Partition, str]] = {
    ("AAPL", "1d"): "volume",
    ("BTCUSDT", "1h"): "close",
    ("SOLUSDT", "1h"): "high",
}
"""One column of one bar of each, far from both ends."""

FEW: Final = (
    "alpha101_alpha004",
    "alpha101_alpha006",
    "gold_momentum",
    "statistical_hurst_exponent",
    "technical_atr",
    "technical_bbands",
    "technical_rsi",
    "technical_ta_adx",
    "technical_ta_aroon",
    "technical_ta_obv",
)
"""Of each kind of memory and of each column, for those who wait for the tests."""

WHOLE_ON_GROWTH: Final = {
    "technical.ta": "the library goes from the first row to the last and leaves no state behind, "
    "so that what fades or adds up is exact only as a whole"
}
"""Plugins with features that are computed whole when bars are appended, and why."""

WITHOUT_VALUES: Final = {
    "alpha101_alpha096": "two ranks of three bars correlate: where one does not move that is "
    "undefined, and a value takes 37 bars in a row in which it is not; 15 is the most here",
    "gold_levels": "looks back on more bars than there are",
}
"""Features that are null on all of these bars, and why."""

VINTAGE: Final = {"quality_score", "revision", "validation_notes"}
"""Columns of enriched bars that tell how the bars came (late, corrected), not what they are."""

Heads = dict[str, dict[Partition, Dataset]]


@dataclass
class Growth:
    """New bars: how many rows of enriched bars there were, and what was done."""

    before: dict[Partition, int]
    after: dict[Partition, int]
    step: Step


@dataclass
class Story:
    """What came of each command, in order."""

    features: Mapping[str, Feature]
    partitions: tuple[Partition, ...]
    first: Step
    rows: dict[Partition, int]
    values: dict[str, int]
    again: Step
    stored: list[tuple[dict[str, int], list[str]]]
    corrected: dict[Partition, Step]
    grown: list[Growth]
    heads: Heads
    fresh: Heads

    def plugin(self, name: str) -> BaseFeature:
        return self.features[name].plugin

    def everywhere(self) -> set[tuple[str, Partition]]:
        """All assets in all partitions."""
        names = [*MARKET_DATA, *(f"features/{name}" for name in self.features)]
        return {(name, partition) for name in names for partition in self.partitions}


@pytest.fixture(scope="module", params=["few", pytest.param("all", marks=pytest.mark.slow)])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_data: Path
) -> Story:
    features, shares, perpetuals = everything.all_features(), SHARES, PERPETUALS
    if request.param == "few":
        features = {name: features[name] for name in FEW}
        shares, perpetuals = SHARES[:1], PERPETUALS[:1]
    partitions = (*((each, "1d") for each in shares), *((each, "1h") for each in perpetuals))
    root = tmp_path_factory.mktemp("all_features")
    with vendors(shared_data, [*shares, *perpetuals], FIRST) as vendor:
        with Installation(root / "grown", features, partitions).open(vendor.environment) as one:
            first = one.backfill("first")
            stored, rows, values = [one.stored()], rows_of(one.heads()), values_of(one)
            again = one.backfill("again")
            stored.append(one.stored())
            corrected = {}
            for partition, column in REVISED.items():
                if partition in partitions:
                    vendor.correct(partition, column, bar_in_the_middle(one, partition), 1.0001)
                    corrected[partition] = one.fetch_again(partition)
            grown = []
            for now in LATER:
                before, vendor.server.now = rows_of(one.heads()), now
                grown.append(Growth(before, step=one.run(), after=rows_of(one.heads())))
            heads = one.heads()
        with Installation(root / "fresh", features, partitions).open(vendor.environment) as other:
            other.run()
            fresh = other.heads()
    return Story(
        features, partitions, first, rows, values, again, stored, corrected, grown, heads, fresh
    )


def rows_of(heads: Heads) -> dict[Partition, int]:
    """Rows of the enriched bars."""
    return {partition: head.row_count for partition, head in heads["market_data/enriched"].items()}


def values_of(installation: Installation) -> dict[str, int]:
    """The number of values that each feature has in all partitions together."""
    store = Session.load().store
    return {
        key.removeprefix("features/"): sum(
            int(np.isfinite(store.read(head).to_numpy(float)).sum()) for head in found.values()
        )
        for key, found in installation.heads().items()
        if key.startswith("features/")
    }


def bar_in_the_middle(installation: Installation, partition: Partition) -> datetime:
    """Open time of a bar that is no day before a dividend, whose close adjusts all later bars."""
    store = Session.load().store
    head = store.heads("market_data", "bars", [partition])[partition]
    bars = store.read(head, ["dividend", "split_factor"])
    middle: Any = bars.index[len(bars) // 2]
    assert not bars.iloc[len(bars) // 2 + 1]["dividend"] > 0
    return middle.to_pydatetime()


def of_features(keys: set[tuple[str, Partition]]) -> set[tuple[str, Partition]]:
    return {(key.removeprefix("features/"), p) for key, p in keys if key.startswith("features/")}


# ------------------------------------------------------------------------------ the documents


def test_every_registered_plugin_is_declared_or_left_out_for_a_reason() -> None:
    features = everything.all_features()
    keys = set(everything.built_in())
    assert set(everything.DECLARED) | set(LEFT_OUT) <= keys
    assert not set(everything.DECLARED) & set(LEFT_OUT)
    assert {feature.key for feature in features.values()} == keys - set(LEFT_OUT)
    named = {document["attributes"]["name"] for f in features.values() for document in f.beside}
    for feature in features.values():
        for side in feature.plugin.sides:
            told = f"{feature.key} reads beside the bars; say in DECLARED what, or leave it out"
            assert side.symbol is None, told
            assert (side.feature or side.table) in named | set(features), told


def test_the_few_have_each_kind_of_memory_and_read_each_column() -> None:
    chosen = [everything.all_features()[name].plugin for name in FEW]
    assert {plugin.memory.kind for plugin in chosen} == {"finite", "fading", "cumulative"}
    assert {plugin.context is None for plugin in chosen} == {True, False}
    assert {name for plugin in chosen for name in plugin.reads} == set(everything.OHLCV)


# ---------------------------------------------------------------------------------- the story


def test_one_backfill_computes_every_feature(story: Story) -> None:
    assert story.first.misses == set(story.first.events) == story.everywhere()
    for name in story.features:
        assert story.first.rows(name) == sorted(story.rows.values())
    assert min(story.rows.values()) > 400


def test_all_but_these_have_values_on_real_bars(story: Story) -> None:
    without = {name for name, count in story.values.items() if not count}
    assert without == set(WITHOUT_VALUES) & set(story.features)


def test_the_second_pass_computes_and_stores_nothing(story: Story) -> None:
    assert set(story.again.events) == story.everywhere()
    assert (story.again.misses, story.again.calls) == (set(), [])
    assert story.stored[0] == story.stored[1]


def test_a_revised_bar_recomputes_only_what_reads_it(story: Story) -> None:
    assert story.corrected
    for partition, step in story.corrected.items():
        column = REVISED[partition]
        reading = {name for name in story.features if column in story.plugin(name).reads}
        assert 0 < len(reading) < len(story.features)
        assert of_features(step.misses) == {(name, partition) for name in reading}
        assert {each for _, each in step.events} == {partition}
        assert sorted(call.feature for call in step.calls) == sorted(reading)
        for name in reading:
            told = step.events[f"features/{name}", partition]["reason"]
            assert told == f"market_data/enriched: {column} changed"


def test_appended_bars_are_computed_alone(story: Story) -> None:
    for growth in story.grown:
        moved = [each for each in story.partitions if growth.after[each] > growth.before[each]]
        for name in story.features:
            rows = [rows_needed(story.plugin(name), growth, each) for each in moved]
            assert growth.step.rows(name) == sorted(rows), name
        assert of_features(growth.step.misses) == {
            (name, each) for name in story.features for each in moved
        }
    shares = [each for each in story.partitions if each[1] == "1d"]
    assert all(story.grown[0].after[each] > story.grown[0].before[each] for each in shares)
    assert all(story.grown[1].after[each] == story.grown[1].before[each] for each in shares)
    hours = [each for each in story.partitions if each[1] == "1h"]
    assert {story.grown[1].after[each] - story.grown[1].before[each] for each in hours} == {9}


def rows_needed(plugin: BaseFeature, growth: Growth, partition: Partition) -> int:
    """The appended rows and what they look back on, or all where the plugin cannot go on."""
    total = growth.after[partition]
    appended = total - growth.before[partition]
    if plugin.context is not None:
        return min(total, plugin.context + appended)
    if plugin.memory.kind == "finite":
        assert plugin.memory.lookback is not None
        return min(total, plugin.memory.lookback - 1 + appended)
    return total


def test_only_these_are_computed_whole_when_bars_are_appended(story: Story) -> None:
    whole = {
        feature.key
        for feature in story.features.values()
        if feature.plugin.memory.kind != "finite" and feature.plugin.context is None
    }
    assert whole == set(WHOLE_ON_GROWTH)


def test_what_grew_equals_what_an_empty_installation_computes(story: Story) -> None:
    assert set(story.heads) == set(story.fresh)
    for key, found in story.heads.items():
        expected = story.fresh[key]
        assert set(found) == set(expected) == set(story.partitions)
        for partition, head in found.items():
            digests, others = dict(head.column_digests), dict(expected[partition].column_digests)
            if key == "market_data/enriched":
                assert {name for name in others if digests[name] != others[name]} <= VINTAGE
                continue
            assert digests == others, (key, partition)
            assert head.version_hash == expected[partition].version_hash, (key, partition)
            assert head.row_count == expected[partition].row_count
