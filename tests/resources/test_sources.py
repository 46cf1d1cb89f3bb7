"""Sources: the registry, the shipped ones, and the contract that all bars must satisfy."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import (
    Source,
    create_source,
    get_source,
    register_source,
    source_keys,
)
from hf_resources.sources.file_columns import NAMES as FILE_COLUMNS
from hf_resources.sources.rounding import rounded_bars

AAPL = Instrument("AAPL", "equity", "XNYS", 2, 0)
COLUMNS = "open, high, low, close, volume, adjustment"


def bars(rows: int = 3) -> pd.DataFrame:
    close = 10.0 + np.arange(rows)
    return pd.DataFrame(
        {
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": 100.0,
            "adjustment": 1.0,
        },
        index=pd.date_range("2024-01-01", periods=rows, tz="UTC", name="timestamp"),
    )


def changed(column: str, row: int, value: float) -> pd.DataFrame:
    frame = bars()
    frame.iloc[row, frame.columns.get_indexer([column])[0]] = value
    return frame


# ---------------------------------------------------------------------------------- precision


def test_rounding_is_a_fixed_point_and_keeps_columns_and_rows():
    frame = changed("high", 0, 11.005000001)
    once = rounded_bars(frame, AAPL, "here")
    assert once.index.equals(frame.index)
    assert list(once.columns) == COLUMNS.split(", ")
    pd.testing.assert_frame_equal(rounded_bars(once, AAPL, "here"), once)


def test_rounds_to_the_instruments_precision():
    frame = changed("high", 0, 11.005000001)
    frame["volume"] = [100.4, 100.6, -0.0]
    rounded = rounded_bars(frame, AAPL, "here")
    assert rounded["high"].iloc[0] == 11.01
    assert rounded["volume"].tolist() == [100.0, 101.0, 0.0]
    assert not np.signbit(rounded["volume"]).any()


def test_adjustment_keeps_twelve_significant_digits():
    frame = bars()
    frame["adjustment"] = [1.0 + 1e-15, 1.2345678901234567, 0.00012345678901234567]
    rounded = rounded_bars(frame, AAPL, "here")
    assert rounded["adjustment"].tolist() == [1.0, 1.23456789012, 0.000123456789012]


@given(
    cents=st.lists(st.integers(1, 10**9), min_size=1, max_size=20),
    noise=st.lists(st.floats(-1e-5, 1e-5), min_size=20, max_size=20),
)
def test_vendor_noise_leaves_no_trace(cents: list[int], noise: list[float]):
    clean = np.array(cents) / 100
    noisy = clean * (1 + 1e-10 * np.array(noise[: len(cents)]))
    index = pd.date_range("2024-01-01", periods=len(cents), tz="UTC", name="timestamp")

    def frame(close: np.ndarray) -> pd.DataFrame:
        prices = {"open": clean, "high": clean, "low": clean, "close": close, "volume": 0.0}
        return pd.DataFrame(prices, index=index)

    first = rounded_bars(frame(clean), AAPL, "here")
    again = rounded_bars(frame(noisy), AAPL, "here")
    assert first.to_numpy().tobytes() == again.to_numpy().tobytes()
    assert first["close"].tolist() == clean.tolist()


def test_values_too_large_for_decimals_are_kept():
    frame = bars()
    frame["volume"] = 2.0**60
    rounded = rounded_bars(frame, Instrument("X", "crypto", "24/7", 2, 12), "here")
    assert rounded["volume"].tolist() == [2.0**60] * 3


def test_nulls_stay_nulls():
    frame = bars().astype("Float64")
    frame.loc[frame.index[1], "close"] = pd.NA
    assert rounded_bars(frame, AAPL, "here")["close"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (bars().rename(columns={"volume": "volum"}), "unknown column 'volum'; .*'volume'"),
        (bars().assign(close="11"), "column 'close' is of type str; it must be numbers"),
        (bars().assign(close=True), "column 'close' is of type bool; it must be numbers"),
    ],
)
def test_only_known_numbers_are_rounded(frame: pd.DataFrame, expected: str):
    with pytest.raises(DataError, match=f"^here: {expected}"):
        rounded_bars(frame, AAPL, "here")


# ------------------------------------------------------------------------------------ registry


def test_unknown_source_names_the_nearest():
    with pytest.raises(
        ConfigurationError, match=r"unknown source 'sampel'; allowed: .*Did you mean 'sample'\?"
    ):
        get_source("sampel")


def test_shipped_sources():
    assert {"csv", "parquet", "sample"} <= set(source_keys())


def test_registration_is_strict():
    with pytest.raises(TypeError, match="source 'x' must be a subclass of Source"):
        register_source("x")(int)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="source key 'sample' is registered twice"):
        register_source("sample")(type("Again", (get_source("sample"),), {}))


@pytest.mark.parametrize(
    ("key", "params", "expected"),
    [
        ("sample", {"folder": "x"}, "source 'sample': unknown parameter 'folder'; allowed: none."),
        ("parquet", {}, "source 'parquet': parameter 'folder' is required"),
        (
            "parquet",
            {"folder": "x", "foldr": "y"},
            (
                "source 'parquet': unknown parameter 'foldr'; allowed: as_of, clock, columns, "
                "folder, label, offsets, pattern, repeats, session_zone, symbols, time, "
                "timeframes. Did you mean 'folder'?"
            ),
        ),
        (
            "parquet",
            {"folder": 3},
            "source 'parquet': parameter 'folder' is 3: input should be a valid string",
        ),
    ],
)
def test_parameters_are_checked(key: str, params: dict[str, object], expected: str):
    with pytest.raises(ConfigurationError) as caught:
        create_source(key, params)
    assert str(caught.value).startswith(expected)


# -------------------------------------------------------------------------------------- sample


def test_sample_window_is_half_open():
    source = create_source("sample")
    window = source.fetch(
        AAPL, "1d", datetime(2000, 3, 2, tzinfo=UTC), datetime(2000, 3, 6, tzinfo=UTC)
    )
    assert [f"{day:%m-%d}" for day in window.index] == ["03-02", "03-03"]
    assert window["close"].tolist() == [122.0, 128.0]


def test_sample_gives_out_copies():
    source = create_source("sample")
    given_out = source.fetch(AAPL, "1d")
    given_out["close"] = 0.0
    assert np.all(source.fetch(AAPL, "1d").to_numpy() > 0)


def test_sample_names_the_nearest_symbol_and_timeframe():
    source = create_source("sample")
    other = Instrument("APPL", "equity", "XNYS", 2, 0)
    assert source.timeframes(AAPL) == ("1d",)
    assert source.timeframes(other) == ()
    with pytest.raises(
        ConfigurationError,
        match=r"source 'sample': unknown symbol 'APPL'; allowed: .*Did you mean 'AAPL'\?",
    ):
        source.fetch(other, "1d")
    with pytest.raises(
        ConfigurationError, match="source 'sample': unknown timeframe '1h'; allowed: 1d"
    ):
        source.fetch(AAPL, "1h")


def test_empty_window_has_no_rows():
    assert create_source("sample").fetch(AAPL, "1d", datetime(2020, 1, 1, tzinfo=UTC)).empty


# --------------------------------------------------------------------------------------- files


def as_file(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index()


def parquet(folder: Path) -> Source:
    return create_source("parquet", {"folder": str(folder)})


def test_file_is_read_in_its_window(tmp_path: Path):
    as_file(bars()).to_parquet(tmp_path / "AAPL_1d.parquet")
    source = parquet(tmp_path)
    assert source.timeframes(AAPL) == ("1d",)
    pd.testing.assert_frame_equal(source.fetch(AAPL, "1d"), bars(), check_freq=False)
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (2, 3)]
    second = source.fetch(AAPL, "1d", *days)
    assert second["close"].tolist() == [11.0]


def test_file_with_timestamps_as_pandas_index(tmp_path: Path):
    bars().to_parquet(tmp_path / "AAPL_1d.parquet")
    assert len(parquet(tmp_path).fetch(AAPL, "1d")) == 3


def test_slash_of_a_symbol_is_quoted(tmp_path: Path):
    btc = Instrument("BTC/USDT", "crypto", "24/7", 2, 4)
    as_file(bars()).to_parquet(tmp_path / "BTC%2FUSDT_1d.parquet")
    source = parquet(tmp_path)
    assert source.timeframes(btc) == ("1d",)
    assert len(source.fetch(btc, "1d")) == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda f: f.drop(columns="volume"),
            (
                "column 'volume' is missing; the file has: timestamp, open, high, low, close, "
                "adjustment"
            ),
        ),
        (
            lambda f: f.rename(columns={"timestamp": "time"}),
            (
                f"unknown column 'time'; allowed: {', '.join(FILE_COLUMNS)}. "
                "Did you mean 'timestamp'?"
            ),
        ),
        (
            lambda f: f.drop(columns="timestamp"),
            f"column 'timestamp' is missing; the file has: {COLUMNS}",
        ),
        (
            lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize(None)),
            (
                "row 0: timestamp is 2024-01-01 00:00:00, which has no time zone; declare the "
                "clock that the file's stamps show, such as clock: UTC"
            ),
        ),
        (
            lambda f: f.assign(timestamp=f["timestamp"].dt.strftime("%Y-%m-%d")),
            (
                "column 'timestamp' is of type text, such as '2024-01-01' in row 0; it must be a "
                "timestamp, or its format declared as time: epoch_s, epoch_ms, epoch_us or one "
                "such as '%Y-%m-%d %H:%M'"
            ),
        ),
        (
            lambda f: f.assign(timestamp=f["timestamp"].where([True, False, True])),
            "row 1: timestamp is null; every row needs one",
        ),
        (lambda f: f.iloc[:0], "the file has no bars; at least one is required"),
        (
            lambda f: f.iloc[[0, 2, 1]],
            (
                "row 2: timestamp is 2024-01-02 00:00:00+00:00, before 2024-01-03 00:00:00+00:00 "
                "in the row above; bars must be sorted by time"
            ),
        ),
        (
            lambda f: f.iloc[[0, 1, 1]],
            (
                "row 2: timestamp is 2024-01-02 00:00:00+00:00, as in the row above; every bar is "
                "allowed once"
            ),
        ),
    ],
)
def test_bad_file(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], expected: str):
    path = tmp_path / "AAPL_1d.parquet"
    change(as_file(bars())).to_parquet(path, index=False)
    with pytest.raises(DataError) as caught:
        parquet(tmp_path).fetch(AAPL, "1d")
    assert str(caught.value) == f"{path}: {expected}"


def test_missing_file_names_the_nearest(tmp_path: Path):
    as_file(bars()).to_parquet(tmp_path / "AAPL_1D.parquet")
    with pytest.raises(
        DataError,
        match=re.escape(
            f"{tmp_path / 'AAPL_1d.parquet'}: the file does not exist; the folder has 1 file named "
            "{symbol}_{timeframe}.parquet. Did you mean 'AAPL_1D.parquet'?"
        ),
    ):
        parquet(tmp_path).fetch(AAPL, "1d")


def test_missing_folder(tmp_path: Path):
    with pytest.raises(
        ConfigurationError, match=r"source 'parquet': folder is '.*nowhere', which does not exist"
    ):
        parquet(tmp_path / "nowhere").fetch(AAPL, "1d")


def test_broken_file(tmp_path: Path):
    path = tmp_path / "AAPL_1d.parquet"
    path.write_bytes(b"timestamp,open\n")
    with pytest.raises(DataError, match="the file is not readable as Parquet") as caught:
        parquet(tmp_path).fetch(AAPL, "1d")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
