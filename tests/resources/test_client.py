from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import hf_resources
from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.client import Client
from hf_resources.datasets import DatasetRef
from hf_resources.ingestion import BAR_COLUMNS
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import market, samples

DAY = timedelta(days=1)
RAW = DatasetRef("market_data", "bars", "BTCUSDT", "1d")


@pytest.fixture
def client(store: DatasetStore) -> Client:
    return Client(store)


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Two and a half years of hours, in three chunks."""
    folder = tmp_path_factory.mktemp("hourly")
    opened = Client.open(Settings.from_env({"HF_HOME": str(folder)}))
    frame = market.ohlcv(21_000, timeframe="1h", start="2022-06-01")
    market.came(opened.store, frame, market.FIRST, timeframe="1h")
    assert len(opened.store.chunks(_head(opened.store, "1h"))) == 3
    return opened


def _head(store: DatasetStore, timeframe: str = "1d", name: str = "bars") -> Any:
    return store.head(DatasetRef("market_data", name, "BTCUSDT", timeframe))


# -- what it reads


def test_polars_and_pandas_hold_what_was_ingested(client: Client) -> None:
    frame = market.ohlcv(400)
    market.came(client.store, frame, market.FIRST)

    as_polars = client.bars("BTCUSDT", "1d")
    as_pandas = client.bars("BTCUSDT", "1d", engine="pandas")

    assert as_polars.columns == ["timestamp", *BAR_COLUMNS]
    assert as_polars.schema["timestamp"] == pl.Datetime("ns", "UTC")
    for name in frame.columns:
        assert as_polars[name].to_list() == frame[name].to_list()
    assert as_polars["timestamp"].to_list() == [stamp.to_pydatetime() for stamp in frame.index]
    pd.testing.assert_frame_equal(as_pandas, client.store.read(_head(client.store)))


def test_a_missing_value_is_null_and_never_nan(client: Client) -> None:
    market.came(client.store, market.ohlcv(50), market.FIRST)
    trades = client.bars("BTCUSDT", "1d", columns=["trades", "amended_from"])
    assert trades.null_count().row(0) == (0, 50, 50)


def test_columns_come_in_the_order_asked_for(client: Client) -> None:
    market.came(client.store, market.ohlcv(50), market.FIRST)
    wanted = ["volume", "timestamp", "open"]
    assert client.bars("BTCUSDT", "1d", columns=wanted).columns == ["timestamp", "volume", "open"]
    assert list(client.bars("BTCUSDT", "1d", columns=wanted, engine="pandas")) == ["volume", "open"]
    assert client.bars("BTCUSDT", "1d", columns=[]).shape == (50, 1)


def test_enriched_bars_are_a_dataset_of_their_own(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(120), market.FIRST)
    made = market.enriched(client.store, bars)
    found = client.bars("BTCUSDT", "1d", enriched=True, engine="pandas")
    pd.testing.assert_frame_equal(found, client.store.read(made))
    assert "raw_close" in found
    assert "fetched_at" not in found


@hypothesis_settings(max_examples=60)
@given(
    st.integers(-30, 21_030),
    st.integers(-30, 21_030),
    st.sampled_from([0, 1, 1_800_000_000]),
    st.sampled_from([0, -5, 9]),
)
def test_a_range_is_what_a_filter_of_everything_gives(
    hourly: Client, first: int, last: int, offset: int, zone: int
) -> None:
    first, last = sorted((first, last))
    origin = datetime(2022, 6, 1, tzinfo=UTC).astimezone(timezone(timedelta(hours=zone)))
    start = origin + timedelta(hours=first, microseconds=offset)
    end = max(start, origin + timedelta(hours=last))
    whole = hourly.bars("BTCUSDT", "1h", columns=["close"])
    found = hourly.bars("BTCUSDT", "1h", start, end, columns=["close"])
    stamp = pl.col("timestamp").dt.cast_time_unit("us")
    assert found.equals(whole.filter((stamp >= start) & (stamp < end)))


def test_either_end_of_the_range_may_be_open(hourly: Client) -> None:
    middle = datetime(2023, 7, 1, 3, tzinfo=UTC)
    left, right = hourly.bars("BTCUSDT", "1h", end=middle), hourly.bars("BTCUSDT", "1h", middle)
    assert right["timestamp"][0] == middle
    assert pl.concat([left, right]).equals(hourly.bars("BTCUSDT", "1h"))
    far = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    assert hourly.bars("BTCUSDT", "1h", far[0]).is_empty()
    assert hourly.bars("BTCUSDT", "1h", far[1], far[0]).height == 21_000


def test_a_range_without_bars_has_their_types(hourly: Client) -> None:
    none = hourly.bars("BTCUSDT", "1h", end=datetime(2020, 1, 1, tzinfo=UTC))
    assert none.is_empty()
    assert none.schema == hourly.bars("BTCUSDT", "1h").schema


def test_only_chunks_of_the_range_are_opened(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = market.ohlcv(21_000, timeframe="1h", start="2022-06-01")
    market.came(client.store, frame, market.FIRST, timeframe="1h")
    first, _, last = client.store.chunks(_head(client.store, "1h"))
    for chunk in (first, last):
        client.store.lake.delete([chunk.path])
    start, end = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    assert client.bars("BTCUSDT", "1h", start, end).height == 365 * 24
    with pytest.raises(DataError, match="is missing from the lake"):
        client.bars("BTCUSDT", "1h", start, end + timedelta(hours=1))


def test_a_new_head_is_seen_at_once(client: Client) -> None:
    frame = market.ohlcv(60)
    market.came(client.store, frame.iloc[:50], market.FIRST)
    assert client.bars("BTCUSDT", "1d").height == 50
    market.came(client.store, frame, market.FIRST + DAY)
    assert client.bars("BTCUSDT", "1d").height == 60


def test_a_folder_with_odd_characters_is_taken_literally(tmp_path: Path) -> None:
    home = tmp_path / "a=[b]*? c%20d"
    client = Client.open(Settings.from_env({"HF_HOME": str(home)}))
    market.came(client.store, market.ohlcv(50), market.FIRST)
    assert client.bars("BTCUSDT", "1d").height == 50


# -- what was known when


def test_as_of_answers_with_what_had_come_by_then(client: Client) -> None:
    first = market.ohlcv(60)
    second = first.copy()
    second.loc[second.index[10], "close"] += 0.05
    market.came(client.store, first.iloc[:50], market.FIRST)
    market.came(client.store, second, market.FIRST + DAY)

    def known(instant: datetime) -> list[float]:
        return client.bars("BTCUSDT", "1d", columns=["close"], as_of=instant)["close"].to_list()

    just_before = market.FIRST + DAY - timedelta(microseconds=1)
    for instant in (market.FIRST, just_before):
        assert known(instant) == first["close"].to_list()[:50]
    for instant in (market.FIRST + DAY, market.FIRST + 1000 * DAY):
        assert known(instant) == second["close"].to_list()
    with pytest.raises(DataError, match=r"nothing was known at .* the first bars came at 2026-03"):
        client.bars("BTCUSDT", "1d", as_of=market.FIRST - timedelta(microseconds=1))


def test_enriched_bars_as_of_are_those_of_the_bars_known_then(client: Client) -> None:
    frame = market.ohlcv(60)
    old = market.came(client.store, frame.iloc[:50], market.FIRST)
    made = market.enriched(client.store, old)
    new = market.came(client.store, frame, market.FIRST + DAY)

    options: Any = {"enriched": True, "engine": "pandas"}
    then = client.bars("BTCUSDT", "1d", as_of=market.FIRST, **options)
    pd.testing.assert_frame_equal(then, client.store.read(made))
    with pytest.raises(DataError, match="no version was computed from the bars"):
        client.bars("BTCUSDT", "1d", as_of=market.FIRST + DAY, **options)

    market.enriched(client.store, new)
    assert len(client.bars("BTCUSDT", "1d", as_of=market.FIRST + DAY, **options)) == 60
    then = client.bars("BTCUSDT", "1d", as_of=market.FIRST, **options)
    pd.testing.assert_frame_equal(then, client.store.read(made))


def test_a_change_that_enriched_bars_do_not_read_needs_no_new_ones(client: Client) -> None:
    frame = market.ohlcv(50).assign(split_factor=1.0, dividend=0.0)
    made = market.enriched(client.store, market.came(client.store, frame, market.FIRST))
    # Only the marks of what the vendor says of the day change, and the revision with them.
    changed = frame.assign(dividend=float("nan"))
    bars = market.came(client.store, changed, market.FIRST + DAY)
    assert bars.version_hash != made.identity["inputs"]["market_data/bars"]["version_hash"]
    found = client.bars("BTCUSDT", "1d", enriched=True, as_of=market.FIRST + DAY, engine="pandas")
    pd.testing.assert_frame_equal(found, client.store.read(made))


def test_of_several_computations_that_of_the_code_in_force_is_read(client: Client) -> None:
    frame = market.ohlcv(60)
    old = market.came(client.store, frame.iloc[:50], market.FIRST)
    in_force = market.enriched(client.store, old, code_version="1" * 16, quality=0.25)
    other = market.enriched(client.store, old, code_version="2" * 16, quality=0.75)
    market.came(client.store, frame, market.FIRST + DAY)

    def quality() -> set[float]:
        options: Any = {"enriched": True, "as_of": market.FIRST}
        return set(client.bars("BTCUSDT", "1d", **options)["quality_score"])

    assert quality() == {0.75}
    client.store.adopt(in_force, expected=other)
    assert quality() == {0.25}


def test_real_vintages_are_read_back_each_as_it_was(shared_data: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(shared_data / "us_equities" / "daily_yahoo_vintages_6.parquet")
    table = table.loc[table["symbol"] == "SPY"]
    client = Client.open(Settings.from_env({"HF_HOME": str(tmp_path)}))
    vintages = {}
    for instant, rows in table.groupby("as_of"):
        assert isinstance(instant, pd.Timestamp)
        frame = rows.set_index(pd.DatetimeIndex(rows["time"], name="timestamp").as_unit("ns"))
        vintages[instant.to_pydatetime()] = frame.loc[:, ["open", "high", "low", "close", "volume"]]
    for instant, frame in vintages.items():
        spy: Any = {"symbol": "SPY", "asset_class": "equity", "calendar": "XNYS"}
        market.came(client.store, frame, instant, **spy)
    different = set()
    for instant, frame in vintages.items():
        known = client.bars("SPY", "1d", as_of=instant, columns=["close"], engine="pandas")
        both = known.index.intersection(frame.index)
        assert len(both) >= len(frame) - 1  # the bar of a day that was not over is put aside
        expected = frame.loc[both, "close"].round(2)
        np.testing.assert_array_equal(known.loc[both, "close"], expected)
        different.add(tuple(expected.head(100)))
    assert len(vintages) == 8
    assert len(different) > 1  # SPY went ex dividend in between


# -- what it refuses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": "BTCUSD"}, "unknown symbol 'BTCUSD'; allowed: BTCUSDT. Did you mean 'BTCUSDT'"),
        ({"symbol": "btcusdt"}, r"unknown symbol 'btcusdt'.* Did you mean 'BTCUSDT'"),
        ({"timeframe": "1hour"}, "unknown timeframe '1hour'"),
        ({"timeframe": "1h"}, "market_data/bars has no data for BTCUSDT at 1h; it has 1d"),
        ({"columns": ["clsoe"]}, "unknown column 'clsoe'; .* Did you mean 'close'"),
        ({"columns": ["raw_close"]}, "unknown column 'raw_close'"),
        ({"columns": "close"}, "columns must be a list of names, not the text 'close'"),
        ({"columns": ["open", "open"]}, "column 'open' is asked for twice"),
        ({"start": datetime(2024, 1, 1)}, "start 2024-01-01T00:00:00 has no time zone"),
        ({"end": datetime(2024, 1, 1)}, "end 2024-01-01T00:00:00 has no time zone"),
        ({"as_of": datetime(2024, 1, 1)}, "as_of 2024-01-01T00:00:00 has no time zone"),
        ({"start": "2024-01-01"}, "start must be a timezone-aware datetime, not str '2024-01-01'"),
        ({"engine": "panda"}, "unknown engine 'panda'; .* Did you mean 'pandas'"),
        ({"enriched": True}, "market_data/enriched has no data yet; materialise it first"),
        (
            {"start": datetime(2024, 1, 2, tzinfo=UTC), "end": datetime(2024, 1, 1, tzinfo=UTC)},
            "end 2024-01-01T00:00:00.00:00 is before start 2024-01-02",
        ),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    asked: Client, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigurationError, DataError), match=message) as caught:
        asked.bars(**{"symbol": "BTCUSDT", "timeframe": "1d", **arguments})
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("asked")
    opened = Client.open(Settings.from_env({"HF_HOME": str(folder)}))
    market.came(opened.store, market.ohlcv(50), market.FIRST)
    return opened


def test_an_installation_without_bars_says_so(client: Client) -> None:
    with pytest.raises(DataError, match="market_data/bars has no data yet; materialise it first"):
        client.bars("BTCUSDT", "1d")
    with pytest.raises(DataError, match="market_data/bars has no data yet"):
        client.bars("BTCUSDT", "1d", as_of=market.FIRST)


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "other"])
def test_a_damaged_object_is_named(client: Client, damage: str) -> None:
    market.came(client.store, market.ohlcv(50), market.FIRST)
    (chunk,) = client.store.chunks(_head(client.store))
    lake = client.store.lake
    whole = lake.get(chunk.path)
    if damage == "missing":
        lake.delete([chunk.path])
    elif damage == "other":
        other = io.BytesIO()
        pl.read_parquet(whole).head(49).write_parquet(other)
        lake.replace(chunk.path, other.getvalue())
    else:
        lake.replace(chunk.path, whole[: len(whole) // 2] if damage == "cut" else b"")
    with pytest.raises(
        DataError, match=r"object (file|s3)://.*/market_data/bars/BTCUSDT/1d/.*\.parquet"
    ):
        client.bars("BTCUSDT", "1d")


# -- the short way in


def test_bars_reads_the_installation_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("one", 50), ("two", 60)):
        monkeypatch.setenv("HF_HOME", str(tmp_path / name))
        market.came(DatasetStore.open(Settings.from_env()), market.ohlcv(rows), market.FIRST)
        assert hf_resources.bars("BTCUSDT", "1d").height == rows
        assert hf_resources.Client.open().bars("BTCUSDT", "1d").height == rows


def test_the_package_itself_imports_nothing() -> None:
    code = (
        "import sys, hf_resources;"
        "print([m for m in ('sqlalchemy', 'polars', 'pandas') if m in sys.modules]);"
        "from hf_resources import bars;"
        "print([m for m in ('duckdb', 'redis', 'dagster') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
    with pytest.raises(AttributeError, match="no attribute 'barz'"):
        _ = hf_resources.barz  # pyright: ignore[reportAttributeAccessIssue]


def test_pandas_frames_are_those_of_the_store(store: DatasetStore) -> None:
    """All stored types, nullable ones included, through the other way of reading."""
    ref = samples.ref("bars", layer="market_data", symbol="X", timeframe="1d")
    frame = samples.frame(3).assign(
        i=np.arange(3),
        n=pd.array([1, None, 3], dtype="Int64"),
        t=[True, False, True],
        m=pd.array([True, None, False], dtype="boolean"),
        s=pd.array(["a", None, "é"], dtype="str"),
        at=pd.date_range("2020-01-01", periods=3, tz="UTC", unit="ns"),
    )
    frame.loc[frame.index[1], "a"] = float("nan")
    made = store.publish(
        ref, samples.identity(of=ref), definition=samples.definition(ref), frame=frame
    )
    found = Client(store).bars("X", "1d", engine="pandas")
    pd.testing.assert_frame_equal(found, store.read(made))
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
