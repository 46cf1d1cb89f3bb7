"""The gold features as assets: from six files to the lake, minute by minute, and why again.

Everything is real (see :mod:`tests.graph.lab`). What lands is compared with what the library alone
makes of the same frames, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.features import gold
from hf_plugins.features.gold.plugins import GoldFeature
from hf_resources.datasets import DatasetRef
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from tests.gold import synthetic
from tests.graph.conftest import make_lab, uncertified
from tests.graph.lab import Event, Lab

__all__ = ["make_lab", "uncertified"]  # fixtures

Frames = dict[str, pd.DataFrame]

DOCUMENTS = """
type: hf_assets.Feature
attributes: {name: whole, plugin: gold.features107, symbols: [XAUUSD], params: {us500: SPX500}}
---
type: hf_assets.Feature
attributes: {name: risk, plugin: gold.risk, symbols: [XAUUSD], params: {us500: SPX500}}
"""
PARTITION = "XAUUSD|1m"
MARKET_DATA = ("market_data/bars", "market_data/enriched")
FEATURES = ("features/whole", "features/risk")
BARS = 9_300
"""Joined ones: more than a level looks back, so that all columns have values."""
TOLD = {"US500": "SPX500"}
"""A broker's own name."""


def market() -> Frames:
    """Bars that each lack some minutes, with frozen markets and volumes of zero."""
    frames = synthetic.ordinary(BARS, seed=11)
    stamps = synthetic.minutes(frames)
    synthetic.frozen_markets(frames, stamps[8_900:9_100])
    synthetic.no_volume(frames, stamps[9_120:9_150])
    return frames


def until(frames: Frames, stamp: pd.Timestamp) -> Frames:
    return {symbol: frame.loc[frame.index <= stamp] for symbol, frame in frames.items()}


def write(lab: Lab, frames: Frames) -> None:
    for symbol, frame in frames.items():
        lab.write_bars(TOLD.get(symbol, symbol), "1m", frame)


def stored(lab: Lab, name: str) -> pd.DataFrame:
    return lab.store.read(head(lab, name))


def head(lab: Lab, name: str) -> Any:
    found = lab.store.head(DatasetRef("features", name, "XAUUSD", "1m"))
    assert found is not None
    return found


def reason(events: dict[tuple[str, str], Event], name: str) -> str:
    return events[f"features/{name}", PARTITION].reason


@contextmanager
def rows_given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Rows that plugins were given, and how many of these were new."""
    seen: list[tuple[int, int]] = []
    real = GoldFeature.advance

    def advance(self: GoldFeature, data: pd.DataFrame, appended: int, state: Any) -> Any:
        seen.append((len(data), appended))
        return real(self, data, appended, state)

    with monkeypatch.context() as patch:
        patch.setattr(GoldFeature, "advance", advance)
        yield seen


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    symbols = [TOLD.get(symbol, symbol) for symbol in synthetic.ordinary(1)]
    made = make_lab(yaml_text=DOCUMENTS, symbols=symbols, timeframes=("1m",), rows=1)
    made.write_universe(asset_class="index", calendar="24/5")
    return made


def assert_same_bits(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found) == list(expected)
    assert found.index.equals(expected.index)
    a, b = (np.ascontiguousarray(each.to_numpy()) for each in (found, expected))
    wrong = (a.view(np.int64) != b.view(np.int64)) & ~(np.isnan(a) & np.isnan(b))
    assert not wrong.any(), list(found.columns[wrong.any(axis=0)])


@pytest.mark.slow
def test_minutes_that_come_in_yield_what_all_at_once_would(
    lab: Lab,
    make_lab: Callable[..., Lab],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = market()
    expected = gold.compute(frames)
    stamps = expected.index
    write(lab, until(frames, stamps[-81]))
    lab.run()
    assert_same_bits(stored(lab, "whole"), expected.iloc[:-80])
    context = 8_713
    for last, appended in ((-80, 1), (-79, 1), (-1, 78)):
        write(lab, until(frames, stamps[last]))
        with rows_given(monkeypatch) as seen:
            events = lab.run()
        assert (context + appended, appended) in seen
        assert all(rows <= context + appended for rows, _ in seen)
        assert "rows appended" in reason(events, "whole")
        assert "XAGUSD" not in reason(events, "whole")
    assert_same_bits(stored(lab, "whole"), expected)

    fresh = make_lab(yaml_text=DOCUMENTS, symbols=lab.symbols, timeframes=("1m",), rows=1)
    fresh.write_universe(asset_class="index", calendar="24/5")
    write(fresh, frames)
    fresh.run()
    for name in ("whole", "risk"):
        assert head(fresh, name).column_digests == head(lab, name).column_digests
        assert head(fresh, name).source_fingerprint == head(lab, name).source_fingerprint


def test_a_minute_that_one_instrument_lacks_waits_for_it(lab: Lab) -> None:
    frames = synthetic.ordinary(400, seed=3)
    expected = gold.compute(frames)
    late = frames["VIX"]
    write(lab, {**frames, "VIX": late.loc[late.index <= expected.index[-11]]})
    lab.run()
    assert_same_bits(stored(lab, "whole"), expected.iloc[:-10])
    write(lab, frames)
    lab.run(MARKET_DATA, "VIX|1m")
    lab.run(FEATURES)
    assert_same_bits(stored(lab, "whole"), expected)


def test_each_rebuild_says_what_changed(lab: Lab) -> None:
    frames = synthetic.ordinary(300, seed=5)
    write(lab, frames)
    lab.run()
    assert reason(lab.run(FEATURES), "whole") == "identical code, parameters and inputs"

    lab.edit_yaml("params: {us500: SPX500}}\n---", "params: {us500: SPX500, invert: false}}\n---")
    events = lab.run(FEATURES)
    assert reason(events, "whole") == "parameter invert true -> false"
    assert events["features/risk", PARTITION].cache == "hit"
    upright = stored(lab, "whole")["tod_cos"].to_numpy()
    np.testing.assert_array_equal(upright, -gold.compute(frames)["tod_cos"].to_numpy())

    lab.edit_yaml("invert: false", "invert: false, alpha101: false")
    assert reason(lab.run(FEATURES), "whole") == "parameter alpha101 true -> false"
    assert stored(lab, "whole").shape[1] == 105

    silver = frames["XAGUSD"]
    silver.loc[silver.index[100], ["high", "close"]] += 0.5
    lab.write_bars("XAGUSD", "1m", silver)
    lab.run(MARKET_DATA, "XAGUSD|1m")
    events = lab.run(FEATURES)
    assert reason(events, "whole") == "market_data/enriched of XAGUSD 1m: close changed"
    assert events["features/risk", PARTITION].cache == "hit"  # it does not look at silver


def test_the_generator_is_a_source_that_needs_nothing() -> None:
    source = create_source("gold_generator", {"rows": 120, "seed": 4})
    drawn = synthetic.generator.generate(120, 4)
    for symbol, frame in drawn.items():
        instrument = Instrument(symbol, "index", "24/5", 4, 0)
        assert source.timeframes(instrument) == ("1m",)
        bars = source.fetch(instrument, "1m")
        assert bars.index.equals(frame.index)
        np.testing.assert_array_equal(bars.loc[:, list(frame)], frame)
        later = source.fetch(instrument, "1m", start=frame.index[50], end=frame.index[60])
        assert list(later.index) == list(frame.index[50:60])
    other = Instrument("EURUSD", "fx", "24/5", 5, 0)
    assert source.timeframes(other) == ()
    with pytest.raises(ValueError, match=r"unknown symbol 'EURUSD'"):
        source.fetch(other, "1m")
    gold_bars = Instrument("XAUUSD", "metal", "24/5", 2, 0)
    with pytest.raises(ValueError, match=r"unknown timeframe '1h'"):
        source.fetch(gold_bars, "1h")
    again = source.fetch(gold_bars, "1m")
    again.iloc[:] = 0.0  # what is handed out is the caller's own
    assert source.fetch(gold_bars, "1m").to_numpy()[:, 3].min() > 0.0
