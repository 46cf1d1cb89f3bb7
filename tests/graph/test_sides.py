"""Features that read other instruments, other timeframes and other features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import BaseFeature, Memory, Params, Side
from hf_plugins.errors import ConfigurationError
from tests.graph.lab import Lab, bars, missed, registered


class SpreadParams(Params):
    peer: str = "BBB"
    join: str = "inner"
    window: int = 20


class Spread(BaseFeature):
    """Mean over a window of the close less that of a peer."""

    Params: ClassVar[type[Params]] = SpreadParams
    seen: ClassVar[list[int]] = []

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (Side("peer", ("close",), symbol=self.params.peer, join=self.params.join),)  # type: ignore[attr-defined]

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("spread",)

    @property
    def memory(self) -> Memory:
        return Memory.finite(self.params.window)  # type: ignore[attr-defined]

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        self.seen.append(len(data))
        away = data["close"] - data["peer_close"]
        # Two-pass, so that a tail has the bits of the whole.
        values = away.rolling(self.params.window).apply(np.mean, raw=True)  # type: ignore[attr-defined]
        return values.to_frame("spread")


class DayParams(Params):
    of: str = "spread"


class Day(BaseFeature):
    """A feature of minutes beside the close of the last full day."""

    Params: ClassVar[type[Params]] = DayParams

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (
            Side("of", ("spread",), feature=self.params.of),  # type: ignore[attr-defined]
            Side("day", ("close",), timeframe="1d"),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("sum",)

    @property
    def memory(self) -> Memory:
        return Memory.finite(1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return (data["of_spread"] + data["day_close"]).to_frame("sum")


class Counter(BaseFeature):
    """The running sum of closes: exact only with the state that it left."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("total",)

    @property
    def memory(self) -> Memory:
        return Memory.cumulative()

    @property
    def context(self) -> int:
        return 0

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return self.advance(data, len(data), None)[0]

    def advance(self, data: pd.DataFrame, appended: int, state: Any) -> tuple[pd.DataFrame, Any]:
        before = state["total"] if state else 0.0
        total = np.cumsum(np.r_[before, data["close"].to_numpy()[len(data) - appended :]])[1:]
        index = data.index[len(data) - appended :]
        return pd.DataFrame({"total": total}, index=index), {"total": float(total[-1])}


@pytest.fixture(autouse=True)
def _plugins() -> Iterator[None]:
    Spread.seen.clear()
    with registered(spread=Spread, day=Day, counter=Counter):
        yield


SPREAD = """
type: hf_assets.Feature
attributes: {name: spread, plugin: test.spread, symbols: [AAA], timeframes: [1h]}
"""


def close(lab: Lab, symbol: str, timeframe: str = "1h") -> pd.Series:
    return lab.store.read(lab.head("market_data/enriched", f"{symbol}|{timeframe}"))["close"]  # type: ignore[return-value]


def append(lab: Lab, symbol: str, rows: int, seed: int) -> None:
    lab.write_bars(symbol, "1h", bars(rows, "1h", seed=seed))


def gapped(lab: Lab, symbol: str, seed: int, rows: int = 900) -> None:
    frame = bars(rows, "1h", seed=seed)
    lab.write_bars(symbol, "1h", frame.drop(frame.index[300:340]))


@pytest.fixture
def spread(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(yaml_text=SPREAD, timeframes=("1h",), rows=900)
    gapped(lab, "BBB", seed=1)
    lab.run()
    return lab


def test_a_peer_is_joined_and_only_what_is_covered_is_there(spread: Lab) -> None:
    head = spread.head("features/spread", "AAA|1h")
    found = spread.store.read(head)["spread"]
    away = (close(spread, "AAA") - close(spread, "BBB")).dropna()
    assert len(found) == 860
    expected = away.rolling(20).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert set(head.identity["inputs"]) == {"market_data/enriched", "market_data/enriched|BBB|1h"}
    assert spread.store.heads("features", "spread").keys() == {("AAA", "1h")}


def test_the_parents_are_the_own_bars_and_the_peers(spread: Lab) -> None:
    graph = spread.definitions().resolve_asset_graph()
    found = graph.get_parent_partition_keys_for_child(
        "AAA|1h", dg.AssetKey(["market_data", "enriched"]), dg.AssetKey(["features", "spread"])
    )
    assert set(found.partitions_subset.get_partition_keys()) == {"AAA|1h", "BBB|1h"}


def test_a_change_of_the_peer_recomputes_and_nothing_else_does(spread: Lab) -> None:
    assert missed(spread.run()) == set()
    frame = spread.read_bars("BBB", "1h")
    frame.iloc[500, frame.columns.get_loc("close")] *= 1.001
    spread.write_bars("BBB", "1h", frame)
    again = spread.run()
    assert ("features/spread", "AAA|1h") in missed(again)
    assert "market_data/enriched of BBB 1h" in again["features/spread", "AAA|1h"].reason


@pytest.mark.parametrize(
    ("join", "grown", "rows_computed"),
    [
        # 19 rows before a row are looked back to.
        pytest.param("inner", (930, 930), (49, 49), marks=pytest.mark.slow),
        pytest.param("inner", (930, 900), (0, 79), marks=pytest.mark.slow),
        pytest.param("inner", (900, 930), (0, 79), marks=pytest.mark.slow),
        pytest.param("inner", (930, 915), (34, 64), marks=pytest.mark.slow),
        pytest.param("asof", (930, 930), (49, 49), marks=pytest.mark.slow),
        pytest.param("asof", (900, 930), (0, 79), marks=pytest.mark.slow),
        # Rows that the peer was late with are known to bars that stand already: all is computed.
        pytest.param("asof", (930, 900), (49, 960), marks=pytest.mark.slow),
        ("asof", (930, 915), (49, 960)),
    ],
)
def test_a_tail_of_joined_rows_has_the_bits_of_the_whole(
    make_lab: Callable[..., Lab],
    join: str,
    grown: tuple[int, int],
    rows_computed: tuple[int, int],
) -> None:
    """Whichever input grew first, and by how much: late rows of a peer included."""
    text = SPREAD.replace("symbols", f"params: {{join: {join}}}, symbols")
    lab = make_lab(yaml_text=text, timeframes=("1h",), rows=900)
    gapped(lab, "BBB", seed=1)
    lab.run()
    computed: dict[tuple[int, int], list[int]] = {}
    for rows in ((900, 900), grown, (960, 960)):
        append(lab, "AAA", rows[0], 0)
        gapped(lab, "BBB", seed=1, rows=rows[1])
        Spread.seen.clear()
        lab.run()
        computed[rows] = [*Spread.seen]
        if not computed[rows]:
            continue
        found = lab.head("features/spread", "AAA|1h")
        fresh = make_lab(yaml_text=text, timeframes=("1h",), rows=900)
        append(fresh, "AAA", rows[0], 0)
        gapped(fresh, "BBB", seed=1, rows=rows[1])
        fresh.run()
        assert found.column_digests == fresh.head("features/spread", "AAA|1h").column_digests
    assert [*computed[grown], *computed[960, 960]] == [each for each in rows_computed if each]


def test_other_timeframes_and_features_in_one_step(make_lab: Callable[..., Lab]) -> None:
    text = (
        SPREAD
        + "---\ntype: hf_assets.Feature\n"
        + "attributes: {name: a_sum, plugin: test.day, symbols: [AAA], timeframes: [1h]}\n"
    )
    lab = make_lab(yaml_text=text, timeframes=("1h", "1d"), rows=900)
    lab.run()
    found = lab.store.read(lab.head("features/a_sum", "AAA|1h"))["sum"]
    spread = lab.store.read(lab.head("features/spread", "AAA|1h"))["spread"]
    days = close(lab, "AAA", "1d")
    # At the close of the hour that opens at 10:00 on the third day, two days are over.
    at = pd.Timestamp("2020-01-03 10:00", tz="UTC")
    assert found[at] == spread[at] + days.iloc[1]
    last_of_day = pd.Timestamp("2020-01-03 23:00", tz="UTC")
    assert found[last_of_day] == spread[last_of_day] + days.iloc[2]
    assert missed(lab.run()) == set()


def test_a_state_is_carried(make_lab: Callable[..., Lab]) -> None:
    text = "type: hf_assets.Feature\nattributes: {name: total, plugin: test.counter}\n"
    lab = make_lab(yaml_text=text, symbols=("AAA",), timeframes=("1h",), rows=900)
    lab.run()
    for rows in (901, 950):
        append(lab, "AAA", rows, 0)
        lab.run()
        found = lab.store.read(lab.head("features/total", "AAA|1h"))["total"]
        np.testing.assert_array_equal(found, np.cumsum(close(lab, "AAA")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SPREAD.replace("AAA]", "AAC]"), r"field 'symbols'.*'AAC'.*AAA"),
        (SPREAD.replace("[1h]", "[2h]"), r"field 'timeframes'.*'2h'.*1h"),
        (SPREAD.replace("symbols", "params: {peer: BBC}, symbols"), r"field 'params'.*BBC.*BBB"),
        (
            SPREAD + "---\ntype: hf_assets.Feature\n"
            "attributes: {name: a_sum, plugin: test.day, params: {of: spraed}}\n",
            r"feature 'spraed'.*Did you mean 'spread'",
        ),
    ],
)
def test_what_is_not_there_is_told(make_lab: Callable[..., Lab], text: str, told: str) -> None:
    lab = make_lab(yaml_text=text, timeframes=("1h", "1d"), rows=30)
    with pytest.raises(ConfigurationError, match=told):
        lab.definitions()


def test_a_strategy_trades_what_its_features_cover(make_lab: Callable[..., Lab]) -> None:
    text = (
        SPREAD
        + """---
type: hf_assets.Model
attributes: {name: forest, plugin: ml.random_forest, features: [spread], horizon: 2}
---
type: hf_assets.Signal
attributes: {name: quantile, plugin: signal.threshold, model: forest}
---
type: hf_assets.Strategy
attributes: {name: trend, universe: [AAA, BBB], timeframe: 1h, signal: quantile}
"""
    )
    lab = make_lab(yaml_text=text, timeframes=("1h", "1d"), rows=30)
    with pytest.raises(ConfigurationError, match=r"field 'universe'.*symbol of its signal 'BBB'"):
        lab.definitions()


def test_a_model_learns_from_the_bars_that_all_its_features_have(
    make_lab: Callable[..., Lab],
) -> None:
    text = (
        SPREAD
        + """---
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, symbols: [AAA]}
---
type: hf_assets.Model
attributes: {name: forest, plugin: ml.random_forest, params: {n_estimators: 3, max_depth: 2},
  features: [spread, rsi_14], horizon: 2, min_train: 100, refit_every: 200}
---
type: hf_assets.Signal
attributes: {name: quantile, plugin: signal.threshold, model: forest,
  params: {window: 60, min_history: 20}}
---
type: hf_assets.Strategy
attributes: {name: trend, universe: [AAA], timeframe: 1h, signal: quantile}
"""
    )
    lab = make_lab(yaml_text=text, timeframes=("1h",), rows=900)
    gapped(lab, "BBB", seed=1)
    lab.run()
    spread = lab.store.read(lab.head("features/spread", "AAA|1h"))
    predictions = lab.store.read(lab.head("predictions/forest", "AAA|1h"))
    assert predictions.index.equals(spread.index)
    # The label is that of the bars, not of the rows that the join left: it ends two hours later.
    bars_close = close(lab, "AAA")
    before_the_gap = spread.index[299]
    place = bars_close.index.get_loc(before_the_gap)
    values = bars_close.to_numpy()
    label = predictions["label"].to_numpy()[299]
    assert label == pytest.approx(values[place + 2] / values[place] - 1.0)  # pyright: ignore[reportOperatorIssue]
    equity = lab.store.read(lab.head("backtests/trend", "AAA|1h"))
    assert len(equity) > len(predictions.loc[equity.index[0] :])
