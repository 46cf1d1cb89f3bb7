"""Enriched bars of real markets: the same whole or from a state, and never from the future."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.bar_quality import QualityPolicy, check_bars
from hf_plugins.bar_quality.report import FLAGS
from hf_plugins.enrichment import crypto, crypto_features, universal, universal_features
from hf_plugins.enrichment.bars import OUTPUTS, PASSED_THROUGH, READS, context_rows, enrich
from hf_plugins.enrichment.universal import UniversalState
from hf_plugins.errors import DataError
from hf_plugins.market_data import adjusted_bars
from tests.plugins.enrichment import real

MARKETS = {
    "spot": ("1h", "24/7", "crypto"),
    "perpetual": ("1h", "24/7", "crypto"),
    "daily share": ("1d", "XNYS", "equity"),
    "hourly share": ("1h", "XNYS", "equity"),
    "five-minute share": ("5m", "XNYS", "equity"),
}
ROWS = 2500


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data


@cache
def ingested(folder: Path, market: str) -> Any:
    """Real bars with the columns of a dataset of bars, a split among the shares' factors."""
    timeframe = MARKETS[market][0]
    bars: Any = {
        "spot": lambda: real.spot(folder),
        "perpetual": lambda: real.perpetual(folder),
        "daily share": lambda: real.shares(folder, real.DAILY, "NVDA"),
        "hourly share": lambda: real.shares(folder, real.HOURLY, "TSLA"),
        "five-minute share": lambda: real.shares(folder, real.FIVE_MINUTES, "SPY"),
    }[market]()
    bars = bars.iloc[:ROWS]
    # Without its calendar an hour of New York, from half past to half past, is off the grid.
    policy = QualityPolicy(off_grid="warn")
    quality = check_bars(bars, symbol="X", timeframe=timeframe, policy=policy)
    assert quality.quarantined.empty
    half = np.arange(len(bars)) >= len(bars) // 2
    factor = np.where(half & ("share" in market), 10.0, 1.0)
    frame = pd.concat([quality.kept, quality.flags], axis=1).assign(adjustment=factor)
    frame["is_final"] = True
    missing = [name for name in READS if name not in frame.columns]
    return frame.assign(**dict.fromkeys(missing, np.nan))[list(READS)]


@cache
def whole(folder: Path, market: str) -> tuple[Any, dict[str, Any]]:
    return run(ingested(folder, market), market)


def run(bars: Any, market: str, state: UniversalState | None = None) -> tuple[Any, dict[str, Any]]:
    timeframe, calendar, asset_class = MARKETS[market]
    return enrich(
        bars, timeframe=timeframe, calendar=calendar, asset_class=asset_class, state=state
    )


def through_json(state: dict[str, Any]) -> UniversalState:
    """A state as it comes back from the store."""
    return UniversalState.from_json(json.loads(json.dumps(state, allow_nan=False)))


@pytest.mark.parametrize("market", MARKETS)
def test_the_composition_adds_nothing_of_its_own(folder: Path, market: str):
    bars, (found, state) = ingested(folder, market), whole(folder, market)
    timeframe, calendar, asset_class = MARKETS[market]
    assert list(found.columns) == list(OUTPUTS)
    assert found.index.equals(bars.index)
    assert state["rows"] == len(bars)
    adjusted = adjusted_bars(bars)
    features = universal_features(adjusted, timeframe=timeframe, calendar=calendar)
    own = crypto_features(bars, timeframe=timeframe)
    for name in OUTPUTS:
        expected: Any
        if name in adjusted.columns:
            expected = adjusted[name]
        elif name in universal.COLUMNS:
            expected = features[name]
        elif name in crypto.COLUMNS:
            expected = own[name] if asset_class == "crypto" else own[name] * np.nan
        elif name == "vwap":
            expected = bars["vwap"] * bars["adjustment"]
        elif name == "taker_sell_volume":
            expected = bars["volume"] - bars["taker_buy_volume"]
        else:
            assert name in (*PASSED_THROUGH, "is_final", *FLAGS)
            expected = bars[name]
        pd.testing.assert_series_equal(
            found[name], expected, check_names=False, check_exact=True, obj=name
        )
    # That something is there to compare.
    assert found["trend_direction"].notna().sum() > len(found) - 100
    if market == "perpetual":
        assert found["funding_rate_percentile"].notna().sum() > 1000


@pytest.mark.parametrize("market", MARKETS)
@settings(max_examples=8)
@given(data=st.data())
def test_from_a_state_on_it_is_the_whole_bit_for_bit(folder: Path, market: str, data: Any):
    bars, (expected, end) = ingested(folder, market), whole(folder, market)
    context = context_rows(*MARKETS[market])
    cuts = data.draw(st.lists(st.integers(0, len(bars)), min_size=1, max_size=3).map(sorted))
    state: UniversalState | None = None
    after: dict[str, Any] = {}
    parts, first = [], 0
    for last in (*cuts, len(bars)):
        part, after = run(bars.iloc[max(first - context, 0) : last], market, state)
        parts.append(part)
        first = last
        state = through_json(after)
    found = pd.concat(parts)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert after == end


@pytest.mark.parametrize("market", MARKETS)
@settings(max_examples=6)
@given(cut=st.integers(1, ROWS - 1), factor=st.floats(0.01, 100.0))
def test_no_value_knows_what_follows_it(folder: Path, market: str, cut: int, factor: float):
    bars, (expected, _) = ingested(folder, market), whole(folder, market)
    cut = min(cut, len(bars) - 1)
    numbers = [name for name in bars.columns if bars[name].dtype == "float64"]
    other = bars.copy()
    other.loc[bars.index[cut:], numbers] = (bars[numbers].iloc[cut:] * factor).to_numpy()
    for changed in (bars.iloc[:cut], other):
        found, _ = run(changed, market)
        pd.testing.assert_frame_equal(
            found.iloc[:cut], expected.iloc[:cut], check_exact=True, check_freq=False
        )


def test_a_later_split_changes_no_earlier_row(folder: Path):
    bars, (expected, _) = ingested(folder, "daily share"), whole(folder, "daily share")
    later = bars.copy()
    later.loc[bars.index[-50:], "adjustment"] *= 4.0
    found, _ = run(later, "daily share")
    pd.testing.assert_frame_equal(found.iloc[:-50], expected.iloc[:-50], check_exact=True)
    assert (found["raw_close"] == bars["close"]).all()
    assert (found["close"].iloc[-50:] == 4.0 * expected["close"].iloc[-50:]).all()


def test_a_split_is_no_return(folder: Path):
    """A price that falls to a half while the factor doubles has not moved."""
    bars = ingested(folder, "daily share").assign(adjustment=1.0)
    prices = ["open", "high", "low", "close"]
    halved = bars.copy()
    late = halved.index[200:]
    halved.loc[late, prices] /= 2.0
    halved.loc[late, "volume"] *= 2.0
    halved.loc[late, "adjustment"] = 2.0
    names = ["close", "volume", *universal.COLUMNS]
    pd.testing.assert_frame_equal(
        run(halved, "daily share")[0][names],
        run(bars, "daily share")[0][names],
        check_exact=True,
    )


@pytest.mark.parametrize("market", ["perpetual", "daily share"])
def test_a_context_that_is_too_short_is_refused(folder: Path, market: str):
    bars = ingested(folder, market)
    context = context_rows(*MARKETS[market])
    cut = min(context + 20, len(bars) - 10)
    _, state = run(bars.iloc[:cut], market)
    timeframe, calendar, _ = MARKETS[market]
    needed = universal.context_rows(timeframe, calendar)
    with pytest.raises(DataError, match=f"given as context; the universal features need {needed}"):
        run(bars.iloc[cut - needed + 1 :], market, through_json(state))
    with pytest.raises(DataError, match="and that bar is not among those given"):
        run(bars.iloc[cut:], market, through_json(state))


def test_no_new_bar_is_no_row(folder: Path):
    bars = ingested(folder, "spot")
    _, state = run(bars, "spot")
    found, after = run(bars, "spot", through_json(state))
    assert found.empty
    assert list(found.columns) == list(OUTPUTS)
    assert after == state


@pytest.mark.parametrize("name", READS)
def test_a_missing_column_is_named(folder: Path, name: str):
    with pytest.raises(DataError, match=f"the columns? .*{name}.* not there"):
        run(ingested(folder, "spot").drop(columns=name), "spot")
