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
    canonical_bars,
    create_source,
    get_source,
    register_source,
    source_keys,
)
from hf_resources.sources.file_columns import NAMES as FILE_COLUMNS

AAPL = Instrument("AAPL", "equity", "XNYS", 2, 0)
OWNER = "here: AAPL 1d: "
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


def reindexed(index: pd.Index) -> pd.DataFrame:
    return bars().set_axis(index)


# ------------------------------------------------------------------------------ canonical form


def test_canonical_form_is_a_fixed_point():
    frame = bars()
    once = canonical_bars(frame, AAPL, "1d", "here")
    assert once.index.dtype == "datetime64[us, UTC]"
    assert once.index.name == "timestamp"
    assert list(once.columns) == COLUMNS.split(", ")
    assert {str(kind) for kind in once.dtypes} == {"float64"}
    pd.testing.assert_frame_equal(canonical_bars(once, AAPL, "1d", "here"), once)


def test_columns_are_ordered_and_adjustment_is_optional():
    frame = bars().reindex(columns=["volume", "close", "open", "low", "high"]).astype("int64")
    canonical = canonical_bars(frame, AAPL, "1d", "here")
    assert list(canonical.columns) == ["open", "high", "low", "close", "volume"]
    assert canonical["close"].tolist() == [10.0, 11.0, 12.0]


def test_rounds_to_the_instruments_precision():
    frame = changed("high", 0, 11.005000001)
    frame["volume"] = [100.4, 100.6, -0.0]
    canonical = canonical_bars(frame, AAPL, "1d", "here")
    assert canonical["high"].iloc[0] == 11.01
    assert canonical["volume"].tolist() == [100.0, 101.0, 0.0]
    assert not np.signbit(canonical["volume"]).any()


def test_adjustment_keeps_twelve_significant_digits():
    frame = bars()
    frame["adjustment"] = [1.0 + 1e-15, 1.2345678901234567, 0.00012345678901234567]
    canonical = canonical_bars(frame, AAPL, "1d", "here")
    assert canonical["adjustment"].tolist() == [1.0, 1.23456789012, 0.000123456789012]


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

    first = canonical_bars(frame(clean), AAPL, "1d", "here")
    again = canonical_bars(frame(noisy), AAPL, "1d", "here")
    assert first.to_numpy().tobytes() == again.to_numpy().tobytes()
    assert first["close"].tolist() == clean.tolist()


def test_values_too_large_for_decimals_are_kept():
    frame = bars()
    frame["volume"] = 2.0**60
    canonical = canonical_bars(frame, Instrument("X", "crypto", "24/7", 2, 12), "1d", "here")
    assert canonical["volume"].tolist() == [2.0**60] * 3


DAYS = pd.DatetimeIndex(bars().index)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            bars().drop(columns="close"),
            "column 'close' is missing; the bars have: open, high, low, volume, adjustment",
        ),
        (
            bars().rename(columns={"volume": "volumne"}),
            f"unknown column 'volumne'; allowed: {COLUMNS}. Did you mean 'volume'?",
        ),
        (
            pd.concat([bars(), bars()[["close"]]], axis=1),
            "column 'close' is there 2 times",
        ),
        (bars().astype({"open": "str"}), "column 'open' is of type str; it must be numbers"),
        (bars().astype({"volume": "bool"}), "column 'volume' is of type bool; it must be numbers"),
        (bars(0), "there are no bars; at least one is required"),
        (
            bars().reset_index(drop=True),
            "the bars are indexed by int64; they must be indexed by their open time in UTC",
        ),
        (
            reindexed(DAYS.tz_localize(None)),
            ("the timestamps, such as 2024-01-01 00:00:00, have no time zone; they must be in UTC"),
        ),
        (
            reindexed(DAYS.tz_convert("America/New_York")),
            (
                "the timestamps, such as 2023-12-31 19:00:00-05:00, are in time zone "
                "America/New_York; they must be in UTC"
            ),
        ),
        (
            reindexed(DAYS.where(np.array([True, False, True]))),
            "row 1 has no timestamp; every bar needs one (1 row)",
        ),
        (
            reindexed(DAYS[[1, 0, 2]]),
            (
                "the bar at 2024-01-01 00:00 UTC comes after the one at 2024-01-02 00:00 UTC; bars "
                "must be sorted by time (1 row)"
            ),
        ),
        (
            reindexed(DAYS[[0, 0, 0]]),
            (
                "the bar at 2024-01-01 00:00 UTC is there more than once; every bar is allowed "
                "once (2 rows)"
            ),
        ),
        (
            reindexed(DAYS + pd.Timedelta(hours=5)),
            (
                "the bar at 2024-01-01 05:00 UTC does not open on a multiple of 1d UTC; a "
                "timestamp is the open time of its bar (3 rows)"
            ),
        ),
        (
            reindexed(DAYS + pd.to_timedelta([0, 0, 0.5], unit="s")),
            (
                "the bar at 2024-01-03 00:00:00.500000 UTC does not open on a multiple of 1d UTC; "
                "a timestamp is the open time of its bar (1 row)"
            ),
        ),
        (
            changed("close", 1, float("nan")),
            "close is nan at 2024-01-02 00:00 UTC; close must be a finite number (1 row)",
        ),
        (
            changed("volume", 2, float("inf")),
            "volume is inf at 2024-01-03 00:00 UTC; volume must be a finite number (1 row)",
        ),
        (
            changed("open", 0, -1.0),
            (
                "open is -1.0 at 2024-01-01 00:00 UTC; open must be greater than 0 when rounded to "
                "the instrument's price_precision of 2 (1 row)"
            ),
        ),
        (
            changed("low", 0, 0.004),
            (
                "low is 0.004 at 2024-01-01 00:00 UTC; low must be greater than 0 when rounded to "
                "the instrument's price_precision of 2 (1 row)"
            ),
        ),
        (
            changed("volume", 1, -0.1),
            "volume is -0.1 at 2024-01-02 00:00 UTC; volume must not be below 0 (1 row)",
        ),
        (
            changed("high", 1, 10.5),
            (
                "high is 10.5 at 2024-01-02 00:00 UTC; high must not be below open, low and close "
                "(the open is 11.0) (1 row)"
            ),
        ),
        (
            changed("low", 1, 11.5),
            (
                "low is 11.5 at 2024-01-02 00:00 UTC; low must not be above open, high and close "
                "(the open is 11.0) (1 row)"
            ),
        ),
        (
            changed("close", 1, 13.0),
            (
                "high is 12.0 at 2024-01-02 00:00 UTC; high must not be below open, low and close "
                "(the close is 13.0) (1 row)"
            ),
        ),
        (
            changed("adjustment", 1, 0.0),
            "adjustment is 0.0 at 2024-01-02 00:00 UTC; adjustment must be greater than 0 (1 row)",
        ),
    ],
)
def test_each_violation_is_one_sentence(frame: pd.DataFrame, expected: str):
    with pytest.raises(DataError) as caught:
        canonical_bars(frame, AAPL, "1d", "here")
    assert str(caught.value) == OWNER + expected


def test_null_of_a_nullable_type_is_a_violation():
    frame = bars().astype("Float64")
    frame.loc[DAYS[1], "close"] = pd.NA
    with pytest.raises(DataError, match="close is nan at 2024-01-02 00:00 UTC"):
        canonical_bars(frame, AAPL, "1d", "here")


def test_all_offending_rows_are_counted():
    frame = bars(5)
    frame["volume"] = -1.0
    with pytest.raises(DataError, match=r"2024-01-01 00:00 UTC; .* \(5 rows\)$"):
        canonical_bars(frame, AAPL, "1d", "here")


def test_intraday_bars_are_aligned_to_their_own_length():
    frame = bars().set_axis(pd.date_range("2024-01-01 14:30", periods=3, freq="30min", tz="UTC"))
    assert len(canonical_bars(frame, AAPL, "30m", "here")) == 3
    with pytest.raises(DataError, match="2024-01-01 14:30 UTC does not open on a multiple of 1h"):
        canonical_bars(frame, AAPL, "1h", "here")


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


def test_window_without_time_zone_is_refused():
    with pytest.raises(
        ConfigurationError,
        match=r"source 'sample': start is 2000-03-02T00:00:00, which has no time zone",
    ):
        create_source("sample").bars(AAPL, "1d", datetime(2000, 3, 2))


def test_empty_window_has_no_rows_and_is_no_partition():
    source = create_source("sample")
    late = datetime(2020, 1, 1, tzinfo=UTC)
    assert source.fetch(AAPL, "1d", late).empty
    with pytest.raises(DataError, match="source 'sample': AAPL 1d: there are no bars"):
        source.bars(AAPL, "1d", late)


# --------------------------------------------------------------------------------------- files


def as_file(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index()


def parquet(folder: Path) -> Source:
    return create_source("parquet", {"folder": str(folder)})


def test_file_is_read_in_its_window(tmp_path: Path):
    as_file(bars()).to_parquet(tmp_path / "AAPL_1d.parquet")
    source = parquet(tmp_path)
    assert source.timeframes(AAPL) == ("1d",)
    pd.testing.assert_frame_equal(
        source.bars(AAPL, "1d"), canonical_bars(bars(), AAPL, "1d", "here")
    )
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (2, 3)]
    second = source.fetch(AAPL, "1d", *days)
    assert second["close"].tolist() == [11.0]


def test_file_with_timestamps_as_pandas_index(tmp_path: Path):
    bars().to_parquet(tmp_path / "AAPL_1d.parquet")
    assert len(parquet(tmp_path).bars(AAPL, "1d")) == 3


def test_slash_of_a_symbol_is_quoted(tmp_path: Path):
    btc = Instrument("BTC/USDT", "crypto", "24/7", 2, 4)
    as_file(bars()).to_parquet(tmp_path / "BTC%2FUSDT_1d.parquet")
    source = parquet(tmp_path)
    assert source.timeframes(btc) == ("1d",)
    assert len(source.bars(btc, "1d")) == 3


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


def test_bad_value_names_the_file_and_the_bar(tmp_path: Path):
    path = tmp_path / "AAPL_1d.parquet"
    as_file(changed("high", 1, 10.5)).to_parquet(path)
    with pytest.raises(DataError) as caught:
        parquet(tmp_path).bars(AAPL, "1d")
    assert str(caught.value).startswith(f"{path}: AAPL 1d: high is 10.5 at 2024-01-02 00:00 UTC")


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


def test_unknown_timeframe():
    with pytest.raises(ConfigurationError, match="unknown timeframe '1w'; allowed: 15m, "):
        create_source("sample").bars(AAPL, "1w")
