from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pytest

from hf_plugins.errors import ConfigurationError
from hf_resources import sql
from hf_resources.client import Client
from hf_resources.datasets import DatasetRef
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import market, samples

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAY = timedelta(days=1)
SYMBOLS = ("BTCUSDT", "BTC/USDT", "BRK.B", "A_B", "ES=F", "X^Y")


@pytest.fixture
def database(store: DatasetStore, settings: Settings) -> Iterator[DuckDBPyConnection]:
    """Views over a store with three symbols, and two timeframes of one of them."""
    for number, symbol in enumerate(("BTCUSDT", "BTC/USDT", "A_B")):
        market.came(store, market.ohlcv(60 + number, seed=number), market.FIRST, symbol=symbol)
    hours = market.ohlcv(12_000, timeframe="1h", start="2023-06-01")
    bars = market.came(store, hours, market.FIRST, timeframe="1h")
    market.enriched(store, bars)
    with sql.connect(settings) as connection:
        yield connection


def _rows(connection: DuckDBPyConnection, query: str) -> list[Any]:
    return connection.execute(query).fetchall()


def _files_read(connection: DuckDBPyConnection, query: str) -> int:
    plan = _rows(connection, f"EXPLAIN ANALYZE {query}")[0][1]
    found = re.findall(r"Total Files Read: (\d+)", plan)
    assert found, plan
    return sum(map(int, found))


def _publish(store: DatasetStore, name: str, frame: Any, **changes: Any) -> None:
    ref = samples.ref(name, **changes)
    definition = samples.definition(ref)
    made = samples.identity(of=ref)
    store.publish(ref, made, definition=definition, frame=frame, expected=store.head(ref))


# -- what the views hold


@pytest.mark.parametrize(
    ("symbol", "timeframe", "enriched"),
    [("BTCUSDT", "1d", False), ("BTC/USDT", "1d", False), ("BTCUSDT", "1h", True)],
)
def test_a_view_holds_what_the_client_reads(
    database: DuckDBPyConnection, store: DatasetStore, symbol: str, timeframe: str, enriched: bool
) -> None:
    view = "enriched" if enriched else "bars"
    query = f"SELECT * FROM {view} WHERE symbol = ? AND timeframe = ? ORDER BY timestamp"
    found = database.sql(query, params=[symbol, timeframe]).pl()
    assert found.columns[:3] == ["symbol", "timeframe", "timestamp"]
    assert found["symbol"].unique().to_list() == [symbol]
    assert found["timeframe"].unique().to_list() == [timeframe]
    expected = Client(store).bars(symbol, timeframe, enriched=enriched)
    assert found.drop("symbol", "timeframe").cast(dict(expected.schema)).equals(expected)


def test_symbols_are_those_of_the_universe(store: DatasetStore, settings: Settings) -> None:
    for symbol in SYMBOLS:
        market.came(store, market.ohlcv(50), market.FIRST, symbol=symbol)
    with sql.connect(settings) as connection:
        found = _rows(connection, "SELECT symbol, timeframe, count(*) FROM bars GROUP BY ALL")
    assert sorted(found) == sorted((symbol, "1d", 50) for symbol in SYMBOLS)


def test_times_are_utc_and_compare_with_plain_text(database: DuckDBPyConnection) -> None:
    query = "SELECT count(*) FROM bars WHERE symbol = 'BTCUSDT' AND timeframe = '1h' AND "
    day = "timestamp >= '2024-01-01' AND timestamp < '2024-01-02'"
    assert _rows(database, query + day) == [(24,)]
    first = _rows(database, "SELECT min(timestamp) FROM bars WHERE timeframe = '1h'")[0][0]
    assert first == datetime(2023, 6, 1, tzinfo=UTC)


def test_features_have_a_view_each(store: DatasetStore, settings: Settings) -> None:
    _publish(store, "rsi_14", samples.frame(90))
    _publish(store, "rsi_14", samples.frame(30, seed=1), symbol="MSFT")
    _publish(store, "odd-name.2", samples.frame(70).rename(columns={"a": "x"}))
    with sql.connect(settings) as connection:
        rows = _rows(connection, "SELECT symbol, count(*), sum(a) FROM features.rsi_14 GROUP BY 1")
        other = _rows(connection, 'SELECT count(x) FROM features."odd-name.2"')
    expected = {"AAPL": samples.frame(90), "MSFT": samples.frame(30, seed=1)}
    assert {row[0]: row[1] for row in rows} == {"AAPL": 90, "MSFT": 30}
    for symbol, _, total in rows:
        assert total == pytest.approx(expected[symbol]["a"].sum(), rel=1e-12)
    assert other == [(70,)]


def test_the_quarantine_tells_what_was_put_aside(store: DatasetStore, settings: Settings) -> None:
    frame = market.ohlcv(60)
    wrong = frame.copy()
    wrong.loc[wrong.index[7], "high"] = wrong["low"].iloc[7] / 2
    market.came(store, frame, market.FIRST, symbol="CLEAN")
    with sql.connect(settings) as connection:
        assert _rows(connection, "SELECT count(*), count(validation_notes) FROM quarantine") == [
            (0, 0)
        ]
        market.came(store, wrong, market.FIRST, symbol="FAULTY")
        sql.refresh(connection, settings)
        query = "SELECT symbol, bar_timestamp, validation_notes FROM quarantine"
        ((symbol, stamp, notes),) = _rows(connection, query)
    assert symbol == "FAULTY"
    assert pd.Timestamp(stamp) == frame.index[7]
    assert "high" in notes


def test_datasets_lists_what_is_current(database: DuckDBPyConnection, store: DatasetStore) -> None:
    rows = _rows(
        database,
        "SELECT layer || '/' || name, symbol, timeframe, version_hash, row_count, start_date, "
        "end_date FROM datasets WHERE row_count > 0",
    )
    assert len(rows) == 5
    for asset, symbol, timeframe, version_hash, count, start, end in rows:
        _, _, name = asset.partition("/")
        head = store.head(DatasetRef("market_data", name, symbol, timeframe))
        assert head is not None
        assert (head.version_hash, head.row_count) == (version_hash, count)
        assert (head.start_date, head.end_date) == (start, end)
    query = "SELECT DISTINCT unnest(columns) FROM datasets WHERE name = 'enriched'"
    assert ("raw_close",) in _rows(database, query)


def test_an_empty_installation_has_empty_views(settings: Settings) -> None:
    with sql.connect(settings) as connection:
        for view in ("bars", "enriched", "quarantine", "datasets"):
            assert _rows(connection, f"SELECT count(*) FROM {view}") == [(0,)]


def test_datasets_of_older_code_with_other_columns_stay_in_the_view(
    store: DatasetStore, settings: Settings
) -> None:
    _publish(store, "rsi_14", samples.frame(90))
    _publish(store, "rsi_14", samples.frame(30)[["b"]].assign(c="x"), symbol="MSFT")
    with sql.connect(settings) as connection:
        query = "SELECT symbol, count(*), count(a), count(b), count(c) FROM features.rsi_14 "
        found = _rows(connection, query + "GROUP BY 1 ORDER BY 1")
    assert found == [("AAPL", 90, 90, 90, 0), ("MSFT", 30, 0, 30, 30)]


# -- what is opened


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("symbol = 'BTC/USDT'", 1),
        ("symbol = 'BTCUSDT'", 3),
        ("symbol = 'BTCUSDT' AND timeframe = '1d'", 1),
        ("timeframe = '1h'", 2),
        ("symbol IN ('A_B', 'BTC/USDT')", 2),
        ("symbol LIKE 'BTC%' AND timeframe = '1d'", 2),
        ("close > 0", 5),
    ],
)
def test_only_files_of_the_partitions_are_opened(
    database: DuckDBPyConnection, where: str, files: int
) -> None:
    query = f"SELECT sum(close) FROM bars WHERE {where}"
    assert _files_read(database, query) == files
    everything = database.sql("SELECT symbol, timeframe, close FROM bars").pl()
    expected = everything.sql(f"SELECT sum(close) FROM self WHERE {where}").item()
    assert _rows(database, query)[0][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["a*", "a?", "a[b]", "a=b", "it's %20"])
def test_a_folder_with_odd_characters_is_taken_literally(tmp_path: Path, name: str) -> None:
    for folder in (name, "ab"):  # the same objects in a folder that the name is a pattern of
        settings = Settings.from_env({"HF_HOME": str(tmp_path / folder)})
        market.came(DatasetStore.open(settings), market.ohlcv(50), market.FIRST)
    with sql.connect(Settings.from_env({"HF_HOME": str(tmp_path / name)})) as connection:
        query = "SELECT symbol, timeframe, count(*) FROM bars GROUP BY ALL"
        assert _rows(connection, query) == [("BTCUSDT", "1d", 50)]


# -- what is current


def test_views_stand_still_until_they_are_refreshed(
    database: DuckDBPyConnection, store: DatasetStore, settings: Settings
) -> None:
    query = "SELECT count(*) FROM bars WHERE symbol = 'BTCUSDT' AND timeframe = '1d'"
    assert _rows(database, query) == [(60,)]
    market.came(store, market.ohlcv(70, seed=0), market.FIRST + DAY)
    market.came(store, market.ohlcv(50), market.FIRST, symbol="NEW")
    store.collect_garbage(grace=timedelta(0))
    assert _rows(database, query) == [(60,)]
    assert _rows(database, "SELECT count(*) FROM bars WHERE symbol = 'NEW'") == [(0,)]
    sql.refresh(database, settings)
    assert _rows(database, query) == [(70,)]
    assert _rows(database, "SELECT count(*) FROM bars WHERE symbol = 'NEW'") == [(50,)]


def test_what_a_user_made_survives_a_refresh(
    database: DuckDBPyConnection, settings: Settings
) -> None:
    database.execute("CREATE TABLE mine AS SELECT symbol, max(close) AS top FROM bars GROUP BY 1")
    database.execute("CREATE VIEW tops AS SELECT symbol, max(close) AS top FROM bars GROUP BY 1")
    sql.refresh(database, settings)
    mine, tops = _rows(database, "FROM mine ORDER BY 1"), _rows(database, "FROM tops ORDER BY 1")
    assert mine == tops
    assert len(mine) == 3


def test_cursors_share_the_views(database: DuckDBPyConnection) -> None:
    with database.cursor() as cursor:
        assert _rows(cursor, "SELECT count(DISTINCT symbol) FROM bars") == [(3,)]


def test_a_missing_library_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hf-assets\[sql\]'"):
        sql.connect(settings)


# -- in S3


@pytest.fixture
def bucket(s3_lake: str, tmp_path: Path) -> Settings:
    """An installation whose lake is in S3."""
    return Settings.from_env({"HF_HOME": str(tmp_path / "home"), "HF_LAKE_URL": s3_lake})


def test_a_lake_in_s3_is_read_like_a_local_one(bucket: Settings) -> None:
    client = Client.open(bucket)
    frame = market.ohlcv(12_000, timeframe="1h", start="2023-06-01")
    market.came(client.store, frame, market.FIRST, timeframe="1h", symbol="BTC/USDT")
    market.came(client.store, market.ohlcv(50), market.FIRST)
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    found = client.bars("BTC/USDT", "1h", start, end, columns=["close"])
    assert found["close"].to_list() == frame.loc["2024-01", "close"].to_list()
    with sql.connect(bucket) as connection:
        query = "SELECT timestamp, close FROM bars WHERE symbol = 'BTC/USDT' ORDER BY 1"
        whole = connection.sql(query).pl()
        assert _files_read(connection, query) == 2
    assert whole["close"].to_list() == frame["close"].to_list()
    assert isinstance(whole.schema["timestamp"], pl.Datetime)
