"""Partition mappings, as a table: a mapping that matches nothing fails silently in Dagster."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from hf_assets.partitions import partition_key, symbol_and_timeframe
from tests.graph.lab import CHAIN, Lab

CASES = [
    ("market_data/enriched", "BBB|1h", "market_data/bars", {"BBB|1h"}),
    ("features/rsi_14", "BBB|1h", "market_data/enriched", {"BBB|1h"}),
    ("predictions/forest", "AAA|1d", "features/rsi_14", {"AAA|1d"}),
    ("predictions/forest", "AAA|1d", "market_data/enriched", {"AAA|1d"}),
    ("models/forest", "AAA|1d", "features/atr_14", {"AAA|1d"}),
    ("models/forest", "AAA|1d", "market_data/enriched", {"AAA|1d"}),
    ("signals/quantile", "CCC|1d", "predictions/forest", {"CCC|1d"}),
    ("backtests/trend", "AAA|1d", "signals/quantile", {"AAA|1d"}),
    ("backtests/trend", "BBB|1d", "market_data/enriched", {"BBB|1d"}),
    ("reports/trend", "1d", "backtests/trend", {"AAA|1d", "BBB|1d"}),
]


@pytest.fixture
def graph(make_lab: Callable[..., Lab]) -> object:
    lab = make_lab(symbols=("AAA", "BBB", "CCC"), timeframes=("1h", "1d"), yaml_text=CHAIN, rows=5)
    return lab.definitions().resolve_asset_graph()


@pytest.mark.parametrize(("child", "key", "parent", "expected"), CASES)
def test_parents_of_a_partition(
    graph: object, child: str, key: str, parent: str, expected: set[str]
) -> None:
    found = graph.get_parent_partition_keys_for_child(  # type: ignore[attr-defined]
        key, dg.AssetKey(parent.split("/")), dg.AssetKey(child.split("/"))
    )
    assert set(found.partitions_subset.get_partition_keys()) == expected


def test_every_dependency_is_in_the_table(graph: object) -> None:
    declared = {
        (node.key.to_user_string().split("/")[0], parent.to_user_string().split("/")[0])
        for node in graph.asset_nodes  # type: ignore[attr-defined]
        for parent in node.parent_keys
    }
    assert declared == {
        (child.split("/")[0], parent.split("/")[0]) for child, _, parent, _ in CASES
    }


@pytest.mark.parametrize("pair", [("AAPL", "1d"), ("BTC/USDT", "1h"), ("BRK.B", "5m"), ("*", "1d")])
def test_keys_round_trip(pair: tuple[str, str]) -> None:
    assert symbol_and_timeframe(str(partition_key(*pair))) == pair
    assert symbol_and_timeframe(partition_key(*pair)) == pair
