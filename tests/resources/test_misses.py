from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hf_plugins.versioning import Identity, Implementation, InputVersion
from hf_resources.datasets import Dataset
from hf_resources.misses import explain_miss
from tests.resources import samples


def stored(identity: Identity) -> Dataset:
    """A dataset with this identity, as it comes back from the catalog."""
    return Dataset(
        id=1,
        ref=samples.ref(),
        version_hash=identity.version_hash,
        generation=0,
        code_version=identity.code_version,
        source_fingerprint=identity.source_fingerprint,
        start_date=None,
        end_date=None,
        row_count=0,
        columns=(),
        column_digests={},
        attachments={},
        identity=json.loads(json.dumps(identity.explanation())),
        summary={},
        storage_uri="",
        created_at=datetime.now(UTC),
    )


BASE = samples.identity()


def implementation(modules: dict[str, str], libraries: dict[str, str]) -> Implementation:
    return Implementation(modules, libraries)


def inputs(**columns: str) -> dict[str, InputVersion]:
    return {"market_data/enriched": InputVersion("v2", columns)}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"params": {"length": 21}}, ["parameter length 14 -> 21"]),
        ({"params": {"length": 14, "source": "hl2"}}, ["parameter source added: hl2"]),
        ({"params": {}}, ["parameter length removed, was 14"]),
        ({"plugin_key": "technical.atr"}, ["plugin technical.rsi -> technical.atr"]),
        ({"schema_version": 2, "code_version": "d" * 16}, ["schema version 1 -> 2"]),
        (
            {
                "implementation": implementation(
                    {"hf_plugins.features.technical": "2"}, {"numba": "0.68", "numpy": "2.4.6"}
                )
            },
            ["code: hf_plugins.features.technical changed", "library numba 0.61 -> 0.68"],
        ),
        (
            {"inputs": inputs(close="c2", volume="w1")},
            ["market_data/enriched: close changed"],
        ),
        (
            {"inputs": inputs(close="c2", volume="w2")},
            ["market_data/enriched: close, volume changed"],
        ),
        ({"inputs": inputs(close="c1")}, ["market_data/enriched: volume changed"]),
        ({"inputs": {}}, ["market_data/enriched: no longer an input"]),
        (
            {"inputs": {**BASE.inputs, "features/rsi_14": InputVersion("v", {"rsi_14": "r"})}},
            ["features/rsi_14: new input"],
        ),
        (
            {"inputs": {**BASE.inputs, "market_data/enriched|XAGUSD|1m": InputVersion("v", {})}},
            ["market_data/enriched of XAGUSD 1m: new input"],
        ),
        ({"source_fingerprint": "e" * 64}, ["source content changed"]),
        (
            {"start_date": "2001-01-02T00:00:00+00:00"},
            ["range start 2000-01-03 -> 2001-01-02"],
        ),
        (
            {"end_date": "2013-03-01T14:30:00+00:00"},
            ["range end 2013-02-28 -> 2013-03-01 14:30"],
        ),
    ],
)
def test_each_difference_has_its_reason(changes: dict[str, Any], reasons: list[str]) -> None:
    assert explain_miss(stored(BASE), replace(BASE, **changes)) == reasons


def test_a_nested_parameter_is_named_by_its_path() -> None:
    old = replace(BASE, params={"tree": {"depth": 3, "leaves": 8}})
    new = replace(BASE, params={"tree": {"depth": 4, "leaves": 8}})
    assert explain_miss(stored(old), new) == ["parameter tree.depth 3 -> 4"]


def test_the_first_computation_and_force_come_first() -> None:
    assert explain_miss(None, BASE) == ["first computation"]
    assert explain_miss(stored(BASE), BASE, forced=True) == ["forced"]
    changed = replace(BASE, params={"length": 21})
    assert explain_miss(stored(BASE), changed, forced=True) == [
        "forced",
        "parameter length 14 -> 21",
    ]


APPENDED = replace(
    BASE,
    end_date="2013-03-01T00:00:00+00:00",
    source_fingerprint="e" * 64,
    inputs=inputs(close="c2", volume="w2"),
)


def test_an_input_that_only_grew_is_not_called_changed() -> None:
    assert explain_miss(stored(BASE), APPENDED, grown={"market_data/enriched"}) == [
        "range end 2013-02-28 -> 2013-03-01 (rows appended)"
    ]
    assert explain_miss(stored(BASE), APPENDED) == [
        "market_data/enriched: close, volume changed",
        "range end 2013-02-28 -> 2013-03-01",
    ]


def test_what_was_edited_stands_before_what_changed_upstream() -> None:
    changed = replace(
        APPENDED,
        params={"length": 21},
        schema_version=2,
        implementation=implementation({"m": "1"}, {"numpy": "2.5"}),
    )
    assert explain_miss(stored(BASE), changed) == [
        "parameter length 14 -> 21",
        "code: hf_plugins.features.technical removed",
        "code: m added",
        "library numba removed",
        "library numpy 2.4.6 -> 2.5",
        "schema version 1 -> 2",
        "market_data/enriched: close, volume changed",
        "range end 2013-02-28 -> 2013-03-01",
    ]


def test_a_rebuilt_input_with_the_same_content_is_no_reason() -> None:
    rebuilt = replace(
        BASE, inputs={"market_data/enriched": InputVersion("v9", {"close": "c1", "volume": "w1"})}
    )
    assert explain_miss(stored(BASE), rebuilt) == []
