"""Five years of hours of US shares from the files of another vendor, and days made of them.

What the data really has: no hole, but bars of the hours after an early close, when the exchange is
shut: a few trades each, which would pass for an afternoon.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.universes import oracles
from tests.universes.replays import EXAMPLES
from tests.universes.running import Ran, run_documents

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hourly_history")]

SYMBOLS = {"AAPL": 6, "PFE": 6, "TSLA": 4}
HOUR = timedelta(hours=1)
PRICES = ["open", "high", "low", "close", "volume"]


def exported(shared_data: Path, symbol: str) -> Any:
    file = shared_data / "us_equities" / "hourly_10_plus_spx_vix_2020_2025.parquet"
    frame: Any = pd.read_parquet(file, filters=[("symbol", "==", symbol)])
    return frame.set_index("time").sort_index()[PRICES]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Ran:
    """A project with the features of the example, on files."""
    root = tmp_path_factory.mktemp("hourly_history")
    files, folder = root / "files", root / "project"
    files.mkdir()
    for symbol in SYMBOLS:
        frame = exported(shared_data, symbol)
        seconds = pd.DatetimeIndex(frame.index).as_unit("s").asi8
        frame.insert(0, "time", seconds)
        frame.rename(columns={"volume": "Volume"}).to_csv(files / f"{symbol}_1h.csv", index=False)
    shutil.copytree(EXAMPLES / "us_equities" / "features", folder / "features")
    universe = yaml.safe_load((EXAMPLES / "us_equities" / "universe.yaml").read_text())
    instruments = [{**universe["instruments"][0], "symbol": symbol} for symbol in SYMBOLS]
    (folder / "universe.yaml").write_text(
        yaml.safe_dump({"timeframes": ["1d", "1h"], "instruments": instruments})
    )
    document = {
        "type": "hf_assets.MarketData",
        "attributes": {
            "source": "csv",
            "params": {
                "folder": str(files),
                "dialect": "tradingview_epoch",
                "clock": "UTC",
            },
            "resample": {"1d": "1h"},
        },
    }
    (folder / "market_data").mkdir()
    (folder / "market_data" / "defs.yaml").write_text(yaml.safe_dump(document))
    days = ("2022-11-24", "2022-11-25")
    return run_documents("history", folder, root / "state", environment={}, days=days)


def test_only_what_came_after_an_early_close_is_put_aside(history: Ran, shared_data: Path) -> None:
    for symbol, count in SYMBOLS.items():
        rows = exported(shared_data, symbol).round(dict.fromkeys(PRICES[:4], 4))
        outside = oracles.slot_of(rows.index, HOUR).isna()
        kept, aside = history.bars(symbol, "1h"), history.quarantine(symbol, "1h")
        assert outside.sum() == count == len(aside)
        assert list(aside["bar_timestamp"]) == list(rows.index[outside])
        assert set(aside["validation_notes"]) == {"opens when the market is closed"}
        assert list(kept.index) == list(rows.index[~outside])
        np.testing.assert_array_equal(kept[PRICES], rows.loc[~outside])
        assert history.status(symbol, "1h")["missing_bars"] == 0
    assert history.checks["gaps"].passed


def test_days_are_made_of_the_hours_of_the_session(history: Ran) -> None:
    for symbol in SYMBOLS:
        hours = history.bars(symbol, "1h")
        days = history.bars(symbol, "1d")
        grouped = hours.groupby(hours.index.normalize())
        np.testing.assert_array_equal(days["close"], grouped["close"].last())
        np.testing.assert_array_equal(days["high"], grouped["high"].max())
        np.testing.assert_array_equal(days["volume"], grouped["volume"].sum())
        assert list(days.index) == list(grouped["close"].last().index)


def test_the_shut_afternoon_is_in_the_metrics_of_its_day(history: Ran) -> None:
    day = history.metrics("2022-11-25", ("TSLA", "1h"))
    assert (day["rows_expected"], day["rows_kept"], day["rows_quarantined"]) == (4, 4, 3)
    assert day["failed"] == {"outside_session": 3}
    with pytest.raises(LookupError):
        history.metrics("2022-11-24", ("TSLA", "1h"))  # Thanksgiving


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_enriched_bars_equal_plain_pandas(history: Ran, timeframe: str) -> None:
    enriched = history.enriched("TSLA", timeframe)
    expected = oracles.features(enriched, 252 * {"1h": 7, "1d": 1}[timeframe], never_closes=False)
    for name in expected:
        np.testing.assert_allclose(
            enriched[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_a_second_run_computes_nothing(history: Ran) -> None:
    assert not history.first.failures
    assert history.first.computed == 36
    assert (history.again.computed, history.again.skipped) == (0, 36)
