"""Appended rows are computed alone, and what comes of it is what a whole recomputation yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest

from hf_plugins.features.statistical import Momentum
from hf_resources.datasets import DatasetRef
from tests.graph.lab import Lab, bars

MOMENTUM = """
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
---
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
"""
ASSETS = ("market_data/enriched", "features/momentum_20", "features/rsi_14")
HOURS = 3000


@contextmanager
def rows_computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of rows of each call of the plugin with a finite memory."""
    seen: list[int] = []
    real = Momentum.compute

    def compute(self: Momentum, data: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(data))
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Momentum, "compute", compute)
        yield seen


def digests(lab: Lab, symbol: str = "AAA") -> dict[str, Any]:
    found = {}
    for key in ASSETS:
        layer, name = key.split("/")
        head = lab.store.head(DatasetRef(layer, name, symbol, "1h"))  # pyright: ignore[reportArgumentType]
        assert head is not None
        found[key] = (dict(head.column_digests), head.version_hash)
    return found


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    made = make_lab(yaml_text=MOMENTUM, symbols=("AAA", "BBB"), timeframes=("1h",), rows=HOURS)
    made.run()
    return made


def test_only_the_tail_is_computed_and_equals_the_whole(
    lab: Lab, make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (HOURS + 1, HOURS + 25, HOURS + 200):
        lab.write_bars("AAA", "1h", bars(rows, "1h", seed=0))
        before = lab.store.head(DatasetRef("features", "momentum_20", "AAA", "1h"))
        assert before is not None
        with rows_computed(monkeypatch) as seen:
            lab.run()
        assert seen == [rows - before.row_count + 20]
    fresh = make_lab(yaml_text=MOMENTUM, symbols=("AAA",), timeframes=("1h",), rows=HOURS + 200)
    fresh.run()
    for key, (found, _) in digests(lab).items():
        assert found == digests(fresh)[key][0], key


def test_a_revised_bar_is_computed_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = bars(HOURS + 5, "1h", seed=0)
    frame.loc[frame.index[1000], ["close", "high"]] = frame["high"].iloc[1000] + 0.5
    lab.write_bars("AAA", "1h", frame)
    with rows_computed(monkeypatch) as seen:
        lab.run()
    assert seen == [HOURS + 5]


def test_other_parameters_are_computed_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_bars("AAA", "1h", bars(HOURS + 5, "1h", seed=0))
    lab.edit_yaml("window: 20", "window: 30")
    with rows_computed(monkeypatch) as seen:
        lab.run()
    assert sorted(seen) == [HOURS, HOURS + 5]


def test_forcing_computes_the_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_bars("AAA", "1h", bars(HOURS + 5, "1h", seed=0))
    with rows_computed(monkeypatch) as seen:
        lab.run(force=True)
    assert sorted(seen) == [HOURS, HOURS + 5]
