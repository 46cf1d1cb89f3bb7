"""One event per partition, each with its own data version and provenance, however it is run."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from hf_assets.partitions import symbol_and_timeframe
from tests.graph.lab import Event, Lab, bars, range_tags

FIVE = ("AAA", "BBB", "CCC", "DDD", "EEE")
FEATURES = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
"""
FETCHED = ("market_data/bars", "market_data/quarantine")
"""What one fetch yields; it is selected as a whole."""
CHAINED = (*FETCHED, "market_data/enriched", "features/momentum_20", "features/rsi_14")


@pytest.fixture
def wide(make_lab: Callable[..., Lab]) -> Lab:
    """Five symbols in two timeframes."""
    return make_lab(symbols=FIVE, timeframes=("1h", "1d"), yaml_text=FEATURES, rows=80)


def stale_statuses(lab: Lab) -> dict[tuple[str, str], StaleStatus]:
    """What the partition's page in the UI says of each asset partition."""
    graph = lab.definitions().resolve_asset_graph()
    resolver = CachingStaleStatusResolver(
        lab.instance, graph, loading_context=LoadingContextForTest(lab.instance)
    )
    return {
        (name, key): resolver.get_status(dg.AssetKey(name.split("/")), key)
        for name in lab.asset_names()
        for key in graph.get(dg.AssetKey(name.split("/"))).partitions_def.get_partition_keys()  # type: ignore[union-attr]
    }


def assert_exact(lab: Lab, events: dict[tuple[str, str], Event]) -> None:
    """Every asset partition has one event, whose version and provenance are the catalog's."""
    assert len(events) == len(FIVE) * 2 * len(CHAINED)
    by_key = {(e.asset, e.partition): e for e in events.values()}
    # One fetch is one version of both that it yields; any two others differ.
    computed = {
        (e.version, e.partition, FETCHED if e.asset in FETCHED else e.asset)
        for e in events.values()
    }
    assert len(computed) == len(FIVE) * 2 * (len(CHAINED) - 1)
    assert len({version for version, _, _ in computed}) == len(computed)
    for (asset, partition), event in by_key.items():
        assert event.version == lab.head(asset, partition).version_hash
        symbol, timeframe = symbol_and_timeframe(partition)
        assert event.tags["dagster/partition/symbol"] == symbol
        assert event.tags["dagster/partition/timeframe"] == timeframe
        parents = {
            **dict.fromkeys(FETCHED),
            "market_data/enriched": "market_data/bars",
        }
        parent = parents.get(asset, "market_data/enriched")
        if parent is not None:
            read = by_key[parent, partition]
            assert event.tags[f"dagster/input_data_version/{parent}"] == read.version
            assert event.tags[f"dagster/input_event_pointer/{parent}"] == str(read.storage_id)
    assert set(stale_statuses(lab).values()) == {StaleStatus.FRESH}


def test_one_run_over_many_partitions_of_chained_assets(wide: Lab) -> None:
    job = wide.definitions().resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=wide.instance,
        asset_selection=[dg.AssetKey(name.split("/")) for name in CHAINED],
        tags=range_tags("AAA|1h", "EEE|1d"),
    )
    assert result.success
    events = wide.events_after(0)
    assert {event.run_id for event in events.values()} == {result.run_id}
    assert_exact(wide, events)


@pytest.mark.slow
def test_runs_layer_by_layer(wide: Lab) -> None:
    for name in CHAINED:
        if name != "market_data/quarantine":  # comes with the bars
            wide.run([name])
    # The features share a step but each was asked for alone.
    latest = {(e.asset, e.partition): e for e in wide.all_events()}
    assert_exact(wide, latest)


def test_a_single_partition(wide: Lab) -> None:
    events = wide.run(partition="CCC|1h")
    assert set(events) == {(name, "CCC|1h") for name in CHAINED}


@pytest.mark.slow
def test_a_subset_of_the_features_leaves_the_others_alone(wide: Lab) -> None:
    wide.run(["market_data/bars", "market_data/enriched"])
    events = wide.run(["features/rsi_14"])
    assert {asset for asset, _ in events} == {"features/rsi_14"}


def test_a_failing_partition_loses_nothing_of_the_others_and_is_named(wide: Lab) -> None:
    wide.bars_file("CCC", "1d").unlink()
    events = wide.run(["market_data/bars"], raise_on_error=False)
    everywhere = {f"{symbol}|{timeframe}" for symbol in FIVE for timeframe in ("1h", "1d")}
    assert set(events) == {
        (asset, partition) for asset in FETCHED for partition in everywhere - {"CCC|1d"}
    }
    with pytest.raises(Exception, match=r"CCC_1d\.parquet"):
        wide.run(["market_data/bars"])


def test_a_revised_parent_makes_exactly_its_own_partition_unsynced(wide: Lab) -> None:
    wide.run()
    frame = wide.read_bars("BBB", "1h")
    frame.iloc[-1, frame.columns.get_loc("volume")] += 5  # type: ignore[index]
    wide.write_bars("BBB", "1h", frame)
    wide.run(["market_data/bars"])
    stale = {key for key, status in stale_statuses(wide).items() if status == StaleStatus.STALE}
    assert stale == {("market_data/enriched", "BBB|1h")}


def test_an_input_that_is_not_there_yet_is_named(wide: Lab) -> None:
    with pytest.raises(Exception, match="market_data/enriched has no data for AAA"):
        wide.run(["features/rsi_14"], partition="AAA|1d")


def test_metadata_of_hit_and_miss(wide: Lab) -> None:
    rsi = ("features/rsi_14", "AAA|1d")
    miss = wide.run(partition="AAA|1d")[rsi].metadata
    hit = wide.run(partition="AAA|1d")[rsi].metadata
    assert (miss["cache"], miss["reason"]) == ("miss", "first computation")
    assert (hit["cache"], hit["reason"]) == ("hit", "identical code, parameters and inputs")
    for metadata in (miss, hit):
        assert metadata["rows"] == metadata["dagster/partition_row_count"] == 80
        columns = metadata["dagster/column_schema"].columns
        assert [c.name for c in columns] == ["timestamp", "rsi_14"]
        assert metadata["source_fingerprint"] == wide.head(*rsi).source_fingerprint
        assert metadata["unique_key"] == {
            "name": "rsi_14",
            "symbol": "AAA",
            "timeframe": "1d",
            "version_hash": metadata["version_hash"],
            "generation": 0,
        }
        assert metadata["code_version_parts"]["params"] == {"length": 14}
        assert metadata["inputs"]["market_data/enriched"]["columns"] == ["close", "timestamp"]
        assert metadata["duration_s"] >= 0
        assert "technical.rsi/AAA/1d" in metadata["dagster/uri"]
    assert hit["version_hash"] == miss["version_hash"]


def test_no_wrong_version_is_visible_while_a_run_is_under_way(
    wide: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every single event of a run, what is visible is the catalog's version."""
    seen: list[int] = []
    real = dg.DagsterInstance.handle_new_event

    def watch(self: dg.DagsterInstance, event: object, **options: object) -> None:
        real(self, event, **options)  # type: ignore[arg-type]
        for found in wide.all_events():
            dataset = wide.store.lookup(wide.head(found.asset, found.partition).ref, found.version)
            assert dataset is not None, f"{found} names a version that no dataset has"
        seen.append(1)

    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", watch)
    wide.run(["market_data/bars", "market_data/enriched"], partition="AAA|1d")
    assert len(seen) > 4


def test_appended_bars_change_the_version_of_their_partition_only(wide: Lab) -> None:
    first = wide.run()
    wide.write_bars("DDD", "1h", bars(90, "1h", seed=3))
    second = wide.run()
    changed = {key for key, event in second.items() if event.version != first[key].version}
    assert {partition for _, partition in changed} == {"DDD|1h"}
    assert {asset for asset, _ in changed} == set(CHAINED)
