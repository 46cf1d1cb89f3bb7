"""The row of market data: complete, and the same in code and in the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_plugins.bar_quality import policy
from hf_plugins.bar_quality.report import FLAGS
from hf_plugins.enrichment import crypto, schema, universal

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "market_data.md"


def test_the_row_has_all_its_fields_once():
    names = [field.name for field in schema.FIELDS]
    assert len(set(names)) == len(names) == 48
    assert schema.names("raw") == ("open", "high", "low", "close", "volume")
    assert set(schema.names("raw crypto")) == {
        "open_interest", "funding_rate", "liquidations_long", "liquidations_short",
        "taker_buy_volume", "taker_sell_volume",
    }  # fmt: skip
    assert schema.names("universal") == universal.COLUMNS
    assert schema.names("crypto") == crypto.COLUMNS
    assert schema.names("quality") == ("source", *FLAGS)
    assert schema.names("versioning") == ("revision", "amended_from")
    assert schema.names("timestamps") == ("fetched_at", "computed_at", "updated_at")
    assert set(schema.names("identification")) == {
        "id", "symbol", "asset_class", "timeframe", "timestamp",
    }  # fmt: skip
    assert schema.names("raw extended") == ("vwap", "trades", "close_time", "is_final")


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
def test_the_described_memory_is_the_declared_one(timeframe):
    declared = {**universal.memories(timeframe, "24/7"), **crypto.memories(timeframe)}
    described = {field.name: field.memory for field in schema.FIELDS}
    for name, memory in declared.items():
        text = described[name]
        if memory.kind != "finite":
            assert text.startswith(memory.kind)
        elif text.endswith("bars"):
            assert text == f"{memory.lookback} bars"
        elif text == "bar":
            assert memory.lookback == 1


@pytest.mark.parametrize(
    ("section", "table"),
    [("fields", schema.markdown_table), ("checks", policy.markdown_table)],
)
def test_the_document_holds_the_table_of_the_code(section, table):
    text = DOCUMENT.read_text(encoding="utf-8")
    held = text.split(f"<!-- begin: {section} -->\n")[1].split(f"\n<!-- end: {section} -->")[0]
    assert held == table(), f"docs/market_data.md is stale; put {table.__module__}.markdown_table()"
