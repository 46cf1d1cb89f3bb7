"""The shipped sample equals what its script builds, and its corporate actions are right."""

from __future__ import annotations

import hashlib
from pathlib import Path

import bokeh_sampledata
import numpy as np
import pandas as pd
import pytest

from hf_plugins.market_data import adjusted_bars
from hf_resources.instruments import Universe, load_universe
from hf_resources.sources import create_source, source_keys
from hf_resources.sources.rounding import rounded_bars
from hf_resources.sources.sample_data import build

ROOT = Path(__file__).resolve().parents[2]
PROVENANCE = build.TARGET.with_name("PROVENANCE.md")


@pytest.fixture(scope="module")
def universe() -> Universe:
    return load_universe(ROOT / "hf_assets" / "defs" / "universe.yaml", sources=source_keys())


def bars_of(universe: Universe, symbol: str) -> pd.DataFrame:
    return create_source("sample").fetch(universe.get(symbol), "1d")


def test_shipped_file_equals_what_the_script_builds():
    shipped = pd.read_parquet(build.TARGET)
    pd.testing.assert_frame_equal(shipped, build.build(), check_exact=True)


def test_provenance_states_the_origin_and_the_counts():
    text = PROVENANCE.read_text()
    origin = Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz"
    assert hashlib.sha256(origin.read_bytes()).hexdigest() in text
    shipped = pd.read_parquet(build.TARGET)
    assert f"{len(shipped)} bars in all" in text
    for symbol, rows in shipped.groupby("symbol"):
        first, last = rows["timestamp"].min(), rows["timestamp"].max()
        assert f"| {symbol} | {len(rows)} | {first:%Y-%m-%d} | {last:%Y-%m-%d} |" in text


def test_shipped_universe_is_the_sample(universe: Universe):
    assert universe.symbols == build.SYMBOLS
    assert universe.timeframes == ("1d",)


def test_the_precision_of_the_universe_loses_nothing_of_the_sample(universe: Universe):
    source = create_source("sample")
    for instrument in universe.instruments:
        bars = source.fetch(instrument, "1d")
        pd.testing.assert_frame_equal(
            rounded_bars(bars, instrument, "sample"), bars, check_exact=True
        )
        assert bars["adjustment"].iloc[0] == 1.0
        assert np.all(np.diff(bars["adjustment"].to_numpy()) >= 0)


@pytest.mark.parametrize(
    ("symbol", "date", "step"),
    [("AAPL", "2000-06-21", 2.0), ("AAPL", "2005-02-28", 2.0), ("MSFT", "2003-02-18", 2.0)],
)
def test_known_splits_are_steps_and_vanish_from_adjusted_returns(
    universe: Universe, symbol: str, date: str, step: float
):
    bars = bars_of(universe, symbol)
    row = bars.index.get_loc(pd.Timestamp(date, tz="UTC"))
    assert isinstance(row, int)
    factor = bars["adjustment"].to_numpy()
    assert factor[row] / factor[row - 1] == pytest.approx(step, abs=1e-9)
    raw_return = bars["close"].iloc[row] / bars["close"].iloc[row - 1] - 1
    adjusted = adjusted_bars(bars)["close"]
    adjusted_return = adjusted.iloc[row] / adjusted.iloc[row - 1] - 1
    assert raw_return < -0.4
    assert abs(adjusted_return) < 0.1
    assert adjusted_return == pytest.approx((1 + raw_return) * step - 1, abs=1e-9)


def test_the_only_steps_of_two_are_the_splits(universe: Universe):
    found = []
    for symbol in universe.symbols:
        bars = bars_of(universe, symbol)
        factor = bars["adjustment"].to_numpy()
        steps = factor[1:] / factor[:-1]
        found += [(symbol, f"{day:%Y-%m-%d}") for day in bars.index[1:][steps > 1.5]]
        # IBM paid 52 dividends in these 13 years, four a year.
        if symbol == "IBM":
            assert np.count_nonzero(steps != 1.0) == 52
    assert found == [("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")]


def test_adjustment_ignores_noise_and_holds_each_step():
    # By hand: the vendor's factor is 0.5 with noise in the last bits, and 1.0 from bar 3 on.
    close = np.array([10.0, 10.0, 10.0, 5.0, 5.0])
    vendor = np.array([5.0, 5.0 * (1 + 1e-12), 5.0 * (1 - 1e-12), 5.0, 5.0 * (1 + 1e-12)])
    assert build.adjustment(close, vendor).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]
