"""Real vintages of a vendor: eight fetches of six shares, each with the instant it was made at."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.ingestion import as_of
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import Source, create_source
from hf_resources.store import DatasetStore
from tests.resources.series import Series

SYMBOLS = ("AAPL", "KWEB", "MSFT", "NVDA", "SPY", "TSM")
NOW = datetime(2026, 4, 1, tzinfo=UTC)
LAST = pd.Timestamp("2026-03-20", tz="UTC")
CLOSE = pd.Timestamp("2026-03-20 20:00", tz="UTC")  # 16:00 in New York
DECIMALS = {"open": 2, "high": 2, "low": 2, "close": 2, "volume": 0}
COLUMNS = list(DECIMALS)


@pytest.fixture(scope="module")
def vintages(shared_data: Path) -> dict[str, dict[datetime, Any]]:
    """Bars as they came, by symbol and instant of the fetch."""
    path = shared_data / "us_equities" / "daily_yahoo_vintages_6.parquet"
    rows: Any = pd.read_parquet(path)
    found: dict[str, dict[datetime, Any]] = {}
    for (symbol, fetched), bars in rows.groupby(["symbol", "as_of"], observed=True):
        frame = bars.set_index("time").rename_axis("timestamp").sort_index()[COLUMNS]
        found.setdefault(symbol, {})[fetched.to_pydatetime()] = frame
    assert sorted(found) == sorted(SYMBOLS)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("vintages")
    opened = DatasetStore.open(Settings.from_env({"HF_HOME": str(home)}))
    yield opened
    opened.catalog.close()


def file_source(folder: Path, symbol: str, bars: Any, fetched: datetime) -> Source:
    """A file of one vintage, which says of when it is."""
    bars.to_parquet(folder / f"{symbol}_1d.parquet")
    return create_source("parquet", {"folder": str(folder), "as_of": fetched.isoformat()})


def finished(bars: Any, fetched: datetime) -> Any:
    """The bars that had closed by then; only the last day's may not have."""
    return bars if fetched >= CLOSE else bars.loc[bars.index < LAST]


def expected_revisions(
    fetches: dict[datetime, Any],
) -> tuple[dict[datetime, dict[Any, tuple[str, ...]]], int]:
    """The bars that each vintage changes, by plain comparison of neighbouring vintages.

    Also the number of values that differ as they came and not when rounded: noise.
    """
    expected: dict[datetime, dict[Any, tuple[str, ...]]] = {}
    before: Any = None
    noise = 0
    for fetched, bars in sorted(fetches.items()):
        expected[fetched] = {}
        if before is not None:
            days = before.index.intersection(bars.index)
            raw = before.loc[days] != bars.loc[days]
            rounded = before.loc[days].round(DECIMALS) != bars.loc[days].round(DECIMALS)
            noise += int((raw & ~rounded).sum().sum())
            changed = rounded.loc[rounded.any(axis=1)]
            expected[fetched] = {
                day: tuple(name for name in COLUMNS if changed.loc[day, name])
                for day in changed.index
            }
        # What is no longer sent stays known.
        gone = [] if before is None else [before.loc[~before.index.isin(bars.index)]]
        before = pd.concat([*gone, bars]).sort_index()
    return expected, noise


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("unfinished", ["quarantine", "warn"])
def test_each_vintage_is_read_as_it_was_known(
    store: DatasetStore,
    vintages: dict[str, dict[datetime, Any]],
    tmp_path: Path,
    symbol: str,
    unfinished: Any,
):
    fetches = dict(sorted(vintages[symbol].items()))
    if unfinished == "quarantine":
        fetches = {fetched: finished(bars, fetched) for fetched, bars in fetches.items()}
    instrument = Instrument(f"{symbol}.{unfinished.upper()}", "equity", "XNYS", 2, 0)
    series = Series(store, instrument, "1d", policy=QualityPolicy(unfinished=unfinished))
    expected, _ = expected_revisions(fetches)
    numbers: Counter[Any] = Counter()
    known: Any = None
    views: dict[datetime, Any] = {}
    for fetched in fetches:
        source = file_source(tmp_path, instrument.symbol, vintages[symbol][fetched], fetched)
        outcome = series.ingest(source, NOW)
        found = {stamp: names for stamp, _, names in outcome.revised}
        assert found == {
            day.to_pydatetime(): tuple(names) for day, names in expected[fetched].items()
        }
        numbers.update(list(expected[fetched]))
        known = fetches[fetched] if known is None else known
        known = pd.concat([known.loc[~known.index.isin(fetches[fetched].index)], fetches[fetched]])
        views[fetched] = known = known.sort_index()
        if unfinished == "quarantine":
            assert len(outcome.quality.quarantined) == (fetched < CLOSE)
    revisions = series.read("revision")["revision"]
    assert revisions.tolist() == [1 + numbers[day] for day in known.index]
    # At each instant the series is the vintage that stood then, bit for bit.
    for fetched, bars in views.items():
        version = as_of(series.history, fetched + timedelta(minutes=1))
        assert version is not None
        read: Any = store.read(version, COLUMNS, verify=True)
        assert list(read.index) == list(bars.index)
        for name, decimals in DECIMALS.items():
            np.testing.assert_array_equal(read[name], np.round(bars[name], decimals))
        arrived: Any = store.read(version, ["fetched_at"])["fetched_at"]
        assert arrived.max() <= fetched
    assert as_of(series.history, min(fetches) - timedelta(seconds=1)) is None
    # Versions are made by what changed, not by how often the vendor was asked.
    real = sum(bool(changes) for changes in expected.values())
    assert real <= len(series.history) <= real + 3


def test_noise_outnumbers_what_changed(vintages: dict[str, dict[datetime, Any]]):
    """Otherwise the tests above would prove little about noise."""
    noise = sum(expected_revisions(fetches)[1] for fetches in vintages.values())
    assert noise > 1000


def test_the_ex_dividend_day_changed_the_adjusted_history(
    vintages: dict[str, dict[datetime, Any]],
):
    changes, _ = expected_revisions(vintages["SPY"])
    assert max(len(days) for days in changes.values()) > 490


def test_a_vintage_out_of_order_is_refused(
    store: DatasetStore, vintages: dict[str, dict[datetime, Any]], tmp_path: Path
):
    series = Series(store, Instrument("LATE", "equity", "XNYS", 2, 0), "1d")
    first, second, *_ = sorted(vintages["SPY"].items())
    series.ingest(file_source(tmp_path, "LATE", second[1], second[0]), NOW)
    before = series.bars
    with pytest.raises(
        DataError, match=r"LATE_1d\.parquet: LATE 1d: this vintage is of 2026-03-20"
    ):
        series.ingest(file_source(tmp_path, "LATE", first[1], first[0]), NOW)
    assert series.bars == before


def test_the_declared_instant_is_no_part_of_what_the_data_is(tmp_path: Path):
    moments = ("2026-03-20T18:04:58Z", "2026-03-20T14:04:58-04:00", None)
    made = [create_source("csv", {"folder": str(tmp_path), "as_of": each}) for each in moments]
    assert made[0].parameters() == made[1].parameters() == made[2].parameters()
    instrument = Instrument("SPY", "equity", "XNYS", 2, 0)
    found = [source.vintage(instrument, "1d") for source in made]
    assert found == [datetime(2026, 3, 20, 18, 4, 58, tzinfo=UTC)] * 2 + [None]


@pytest.mark.parametrize("text", ["2026-03-20", "2026-03-20T18:00:00", "yesterday"])
def test_an_instant_without_its_offset_is_refused(tmp_path: Path, text: str):
    with pytest.raises(ConfigurationError, match=f"source 'csv': parameter 'as_of' is '{text}'"):
        create_source("csv", {"folder": str(tmp_path), "as_of": text})
