"""What a person sees of a feature's dataset: on its events, and at the command line."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hf_assets.cli import cli
from hf_assets.cli.session import Session
from hf_assets.previews import COLUMNS, preview_table, remembered
from hf_resources.client import Client
from hf_resources.store import DatasetStore
from tests.graph.lab import Lab, bars

RSI = ("features/rsi_14", "AAA|1d")
FEATURES = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
"""


@pytest.fixture
def small(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(yaml_text=FEATURES, rows=80, shared=True)


def table(markdown: str) -> list[list[str]]:
    """Cells of a Markdown table, without its headings."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def shown(lab: Lab, feature: str) -> list[list[str]]:
    """The preview that a dataset should have, from the stored rows."""
    frame = lab.store.read(lab.head(feature, "AAA|1d"))
    ends = pd.concat([frame.head(3), frame.tail(3)])
    rows = [
        [f"{stamp:%Y-%m-%d}", *("null" if np.isnan(x) else str(float(f"{x:.6g}")) for x in row)]
        for stamp, row in zip(ends.index, ends.to_numpy(), strict=True)
    ]
    return [*rows[:3], ["…"] * (1 + frame.shape[1]), *rows[3:]]


@pytest.mark.parametrize(
    "feature",
    ["features/rsi_14", pytest.param("features/momentum_20", marks=pytest.mark.slow)],
)
def test_the_preview_is_what_is_stored_also_of_rows_that_were_appended(
    small: Lab, feature: str
) -> None:
    seen = []
    for rows in (80, 81, 85):
        small.write_bars("AAA", "1d", bars(rows))
        event = small.run(partition="AAA|1d")[feature, "AAA|1d"]
        assert event.cache == "miss"
        seen.append(event.metadata["preview"])
        assert table(seen[-1]) == shown(small, feature)
    hit = small.run(partition="AAA|1d")[feature, "AAA|1d"]
    assert hit.cache == "hit"
    assert hit.metadata["preview"] == seen[-1]


def test_the_history_tells_the_last_versions_with_their_reasons(small: Lab) -> None:
    first = small.run(partition="AAA|1d")[RSI]
    small.edit_yaml("length: 14", "length: 21")
    small.run(["features/rsi_14"], partition="AAA|1d")
    forced = small.run(["features/rsi_14"], partition="AAA|1d", force=True)[RSI]
    told = table(forced.metadata["history"])
    assert [row[4] for row in told] == ["forced", "parameter length 14 -> 21", "first computation"]
    assert [row[2] for row in told] == ["1", "0", "0"]
    assert [row[1].strip("`") for row in told] == [
        forced.version[:12],
        forced.version[:12],
        first.version[:12],
    ]
    assert {row[3] for row in told} == {"80"}
    # Back to the first: it tells what it told.
    small.edit_yaml("length: 21", "length: 14")
    reverted = small.run(["features/rsi_14"], partition="AAA|1d")[RSI]
    assert reverted.cache == "hit"
    assert reverted.metadata["history"] == first.metadata["history"]


@pytest.mark.slow
def test_the_history_on_an_event_stays_short(small: Lab) -> None:
    small.run(partition="AAA|1d")
    events = [small.run(["features/rsi_14"], partition="AAA|1d", force=True)[RSI] for _ in range(6)]
    assert [row[2] for row in table(events[-1].metadata["history"])] == ["6", "5", "4", "3", "2"]
    assert len(small.store.history(small.head(*RSI).ref)) == 7


def test_no_event_reads_what_the_run_has_not_read(
    small: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run(partition="AAA|1d")
    opened: list[str] = []

    def refuse(self: DatasetStore, chunk: Any, columns: Any) -> Any:
        opened.append(chunk.path)
        raise AssertionError("an object was opened")

    monkeypatch.setattr(DatasetStore, "_table", refuse)
    hit = small.run(["features/rsi_14"], partition="AAA|1d")[RSI]
    assert "null" in hit.metadata["preview"]
    assert opened == []


def test_values_that_json_lacks_and_columns_beyond_the_first() -> None:
    index = pd.date_range("2024-01-01", periods=2, freq="h", tz="UTC", name="timestamp")
    frame = pd.DataFrame({f"c{n}": [float(n), -np.inf] for n in range(COLUMNS + 2)}, index=index)
    frame = frame.assign(c1=pd.array([1, None], dtype="Int64"), c2=["a|b", None], c3=[True, False])
    preview = remembered(frame, None, None, ["first computation"])["preview"]
    told = preview_table(preview, 2)
    rows = table(told)
    assert rows[0][:5] == ["2024-01-01", "0.0", "1", "a b", "True"]
    assert rows[1][:5] == ["2024-01-01 01:00", "-inf", "null", "null", "False"]
    assert len(rows) == 2
    assert len(rows[0]) == COLUMNS + 1
    assert told.endswith("and 2 more columns")


# -- at the command line


@pytest.fixture
def hf(small: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the command on the lab, and gives its output in one line."""
    monkeypatch.setattr(Session, "load", lambda: Session(small.tree))
    monkeypatch.setenv("HF_HOME", str(small.root / "state"))
    monkeypatch.setenv("DAGSTER_HOME", str(small.root / "dagster"))

    def invoke(*words: str) -> str:
        result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return re.sub(r"\s+", " ", io.StringIO(result.output).read())

    return invoke


def test_why_tells_of_the_last_computation_and_of_the_next(
    small: Lab, hf: Callable[..., str]
) -> None:
    ask = ("why", "features/rsi_14", "AAA", "1d")
    assert "features/rsi_14 AAA 1d: never computed" in hf(*ask)
    small.run()
    assert "was computed: first computation" in hf(*ask)
    assert "up to date: identical code" in hf(*ask)
    small.edit_yaml("length: 14", "length: 21")
    assert "would be computed: parameter length 14 -> 21" in hf(*ask)
    small.run()
    changed = bars(82)
    changed.iloc[40, changed.columns.get_loc("close")] += 0.01  # pyright: ignore[reportArgumentType,reportCallIssue]
    small.write_bars("AAA", "1d", changed)
    small.run(["market_data/bars", "market_data/enriched"], partition="AAA|1d")
    told = hf(*ask)
    assert "was computed: parameter length 14 -> 21" in told
    sentence = "market_data/enriched: 1 row revised in close, first 2020-02-10; 2 rows appended"
    assert f"would be computed: {sentence}" in told
    small.run(["features/rsi_14"], partition="AAA|1d")
    told = hf(*ask)
    assert f"was computed: {sentence}" in told
    assert "market_data/enriched was computed anew" in told
    assert sentence in str(Client(small.store).why("rsi_14", "AAA", "1d"))
    told = hf("history", "features/rsi_14", "AAA", "1d")
    assert re.search("82 rows.*, current .*80 rows.* parameter length 14 -> 21 .*80 rows", told)
    assert told.endswith("first computation ")


def test_one_command_computes_a_feature_for_the_whole_universe_and_force_keeps_the_old(
    small: Lab, hf: Callable[..., str]
) -> None:
    hf("run")
    before = {symbol: small.head("features/rsi_14", f"{symbol}|1d") for symbol in small.symbols}
    assert hf("run", "--select", "features/rsi_14").endswith("computed: 0, skipped: 2 ")
    told = hf("run", "--select", "features/rsi_14", "--force")
    assert told.endswith("computed: 2, skipped: 0 ")
    assert "features (1)" in told  # the line of progress
    for symbol, old in before.items():
        new = small.head("features/rsi_14", f"{symbol}|1d")
        assert (new.version_hash, new.generation) == (old.version_hash, old.generation + 1)
        assert [each.id for each in small.store.history(new.ref)] == [new.id, old.id]
        # The old one is there to the last byte: nothing but `hf gc` deletes, and it spares this.
        pd.testing.assert_frame_equal(
            small.store.read(old, verify=True), small.store.read(new, verify=True)
        )
    hf("gc", "--grace-hours", "0")
    for old in before.values():
        small.store.read(old, verify=True)
