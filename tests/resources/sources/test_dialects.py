"""Export dialects: recognised with a reason, and read back exactly."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.dialects import DIALECTS, get_dialect, recognise
from tests.resources.sources import exports

XAU = Instrument("XAUUSD", "metal", "24/5", 3, 0)
SHARE = Instrument("XAUUSD", "equity", "XNYS", 3, 0)
# Formats that two programs share tell them apart by the name of the file.
FILE_NAMES = {"histdata_metatrader": "DAT_MT_XAUUSD_M1_2023.csv"}


def random_bars(seed: int, rows: int, timeframe: str, start: str) -> pd.DataFrame:
    """Bars with holes on working days, prices with three decimals."""
    random = np.random.default_rng(seed)
    freq = {"1m": "1min", "1h": "1h", "1d": "1D"}[timeframe]
    times = pd.date_range(start, periods=rows * 4, freq=freq, tz="UTC", name="timestamp")
    # Clocks change on Sundays; that a recording comes through it whole is tested with the clock.
    times = times[(times.day_of_week < 5)]
    times = times[np.sort(random.permutation(len(times))[: min(rows, len(times))])]
    close = random.integers(1, 10**7, len(times)) / 1000
    high = np.round(close + random.integers(0, 1000, len(times)) / 1000, 3)
    low = np.maximum(np.round(close - random.integers(0, 1000, len(times)) / 1000, 3), 0.001)
    bars = {"open": close, "high": high, "low": low, "close": close}
    volume = random.integers(1, 10**6, len(times)).astype(float)
    return pd.DataFrame({**bars, "volume": volume}, index=times.as_unit("us"))


def read(
    folder: Path, dialect: str, text: str, instrument: Instrument, timeframe: str, **params: object
) -> pd.DataFrame:
    name = FILE_NAMES.get(dialect, "XAUUSD.csv")
    (folder / name).write_bytes(text.encode())
    source = create_source(
        "csv",
        {
            "folder": str(folder),
            "pattern": name,
            "symbols": {"XAUUSD": "XAUUSD"},
            "timeframes": {timeframe: timeframe},
            **params,
        },
    )
    note = source.notes(instrument, timeframe)[0]
    assert f"read as {DIALECTS[dialect].title}, " in note
    return source.fetch(instrument, timeframe)


@pytest.mark.parametrize("dialect", exports.INTRADAY)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 60),
    start=st.dates(date(2016, 1, 1), date(2026, 1, 1)),
    clock=st.sampled_from(sorted(exports.CLOCKS)),
)
@example(seed=1, rows=60, start=date(2023, 3, 13), clock="histdata")
def test_intraday_export_round_trip(dialect: str, seed: int, rows: int, start: date, clock: str):
    bars = random_bars(seed, rows, "1h", str(start))
    assume(len(bars))
    params: dict[str, object] = {} if dialect in exports.STAMPED else {"clock": clock}
    with tempfile.TemporaryDirectory() as folder:
        text = exports.INTRADAY[dialect](bars, clock)
        back = read(Path(folder), dialect, text, XAU, "1h", **params)
    if dialect in exports.NO_VOLUME:
        assert np.isnan(back.pop("volume").to_numpy()).all()
        bars = bars.drop(columns="volume")
    if dialect == "yfinance":
        assert set(back.pop("adjustment")) == {1.0}
        assert set(back.pop("dividend")) == {0.0}
    pd.testing.assert_frame_equal(back, bars, check_exact=True, check_freq=False)


@pytest.mark.parametrize("dialect", exports.DAILY)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 60),
    start=st.dates(date(2016, 1, 1), date(2026, 1, 1)),
)
def test_daily_export_round_trip(dialect: str, seed: int, rows: int, start: date):
    bars = random_bars(seed, rows, "1d", str(start))
    with tempfile.TemporaryDirectory() as folder:
        text = exports.DAILY[dialect](bars, "UTC")
        back = read(Path(folder), dialect, text, SHARE, "1d")
    if dialect == "tiingo":
        assert set(back.pop("adjustment")) == {1.0}
        assert set(back.pop("dividend")) == {0.0}
        assert set(back.pop("split_factor")) == {1.0}
    pd.testing.assert_frame_equal(back, bars, check_exact=True, check_freq=False)


def test_every_dialect_has_a_round_trip():
    assert {*exports.INTRADAY, *exports.DAILY} == set(DIALECTS)


# ------------------------------------------------------------------------------- recognition


@pytest.mark.parametrize(
    ("name", "lines", "dialect", "reason"),
    [
        (
            "XAUUSD_M1.csv",
            ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"],
            "metatrader5",
            "its header names <DATE>, <TIME>, <OPEN>, <TICKVOL>",
        ),
        (
            "a.csv",
            ["20230102 180000;1826.837000;1827.337000;1826.617000;1826.637000;0"],
            "histdata_ascii",
            "its lines read 20230102 180000;open;high;low;close;volume",
        ),
        (
            "DAT_MT_XAUUSD_M1_2023.csv",
            ["2023.01.02,18:00,1826.8,1827.3,1826.6,1826.6,0"],
            "histdata_metatrader",
            "its name starts with DAT_MT_",
        ),
        ("a.csv", ["2023.01.02,18:00,1,2,1,2,31"], "metatrader4", "its lines read"),
        (
            "a.csv",
            ["Date,Open,High,Low,Close,Adj Close,Volume", "2024-01-02,1,2,1,2,2,100"],
            "yfinance",
            "its header starts with Date and names Adj Close",
        ),
        (
            "a.csv",
            ["Price,Close,High", "Ticker,SPY,SPY", "Date,,", "2024-01-02,1,2"],
            "yfinance",
            "its header has three lines: price, ticker, date",
        ),
    ],
)
def test_recognition_says_why(name: str, lines: list[str], dialect: str, reason: str):
    found = recognise(name, lines)
    assert found is not None
    assert found[0].key == dialect
    assert reason in found[1]


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "time,open,high,low,close,volume",  # TradingView writes Volume
        "Date,Open,High,Low,Close,Volume",
        "",
    ],
)
def test_a_table_of_nobody_in_particular_is_not_recognised(header: str):
    assert recognise("a.csv", [header] if header else []) is None


def test_what_two_programs_write_alike_must_be_declared(tmp_path: Path):
    (tmp_path / "XAUUSD_1m.csv").write_text("2023.01.02,18:00,1826.8,1827.3,1826.6,1826.6,0\n")
    params = {"folder": str(tmp_path), "clock": "histdata"}
    with pytest.raises(DataError) as caught:
        create_source("csv", params).fetch(XAU, "1m")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'XAUUSD_1m.csv'}: the file fits several dialects: ")
    assert "metatrader4 (its lines read" in message
    assert "histdata_metatrader (its lines read" in message
    volume = create_source("csv", {**params, "dialect": "metatrader4"}).fetch(XAU, "1m")["volume"]
    assert volume.tolist() == [0.0]
    histdata = create_source("csv", {**params, "dialect": "histdata_metatrader"})
    assert np.isnan(histdata.fetch(XAU, "1m")["volume"].item())
    assert histdata.notes(XAU, "1m")[0].endswith("the format has no volume, so volume is null")


def test_unknown_dialect_names_the_nearest(tmp_path: Path):
    with pytest.raises(
        ConfigurationError, match=r"unknown dialect 'metatrader'; allowed: .*Did you"
    ):
        create_source("csv", {"folder": str(tmp_path), "dialect": "metatrader"})
    assert get_dialect("tiingo").key == "tiingo"


def test_a_declared_dialect_that_the_file_is_not_in(tmp_path: Path):
    (tmp_path / "XAUUSD_1m.csv").write_text("time,open\n2024-01-02,1\n")
    source = create_source("csv", {"folder": str(tmp_path), "dialect": "dukascopy"})
    with pytest.raises(
        DataError, match=r"column 'Gmt time' \(for timestamp\) is missing; the file has: time, open"
    ):
        source.fetch(XAU, "1m")


def test_real_volume_of_metatrader_by_declaration(tmp_path: Path):
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    lines.append("2024.01.02\t10:00:00\t1\t2\t1\t2\t31\t4000\t2")
    (tmp_path / "XAUUSD_1m.csv").write_text("\n".join(lines))
    params = {"folder": str(tmp_path), "clock": "UTC"}
    assert create_source("csv", params).fetch(XAU, "1m")["volume"].item() == 31
    declared = {**params, "dialect": "metatrader5", "columns": {"volume": "<VOL>"}}
    assert create_source("csv", declared).fetch(XAU, "1m")["volume"].item() == 4000


def test_stacked_header_without_the_symbol(tmp_path: Path):
    text = exports.yfinance_stacked(random_bars(0, 3, "1d", "2024-01-01"), "UTC")
    (tmp_path / "GOLD_1d.csv").write_text(text)
    gold = Instrument("GOLD", "equity", "XNYS", 3, 0)
    with pytest.raises(DataError, match="unknown symbol 'GOLD'; allowed: OTHER, XAUUSD"):
        create_source("csv", {"folder": str(tmp_path)}).fetch(gold, "1d")


def test_tiingo_factors_are_kept_beside_raw_prices(tmp_path: Path):
    """A split of 10:1 and a dividend of 2%, by hand."""
    lines = [
        "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor",
        "2024-01-02T00:00:00.000Z,1000,1000,1000,1000,10,98,98,98,98,100,0.0,1.0",
        "2024-01-03T00:00:00.000Z,100,100,100,100,100,98,98,98,98,100,0.0,10.0",
        "2024-01-04T00:00:00.000Z,98,98,98,98,100,98,98,98,98,100,2.0,1.0",
    ]
    (tmp_path / "XAUUSD_1d.csv").write_text("\n".join(lines))
    bars = create_source("csv", {"folder": str(tmp_path)}).fetch(SHARE, "1d")
    assert bars["close"].tolist() == [1000.0, 100.0, 98.0]
    assert bars["split_factor"].tolist() == [1.0, 10.0, 1.0]
    assert bars["dividend"].tolist() == [0.0, 0.0, 2.0]
    assert bars["adjustment"].to_numpy() == pytest.approx([1.0, 10.0, 10.0 / 0.98], rel=1e-15)


# --------------------------------------------------------------------------------- real files


def yfinance_files(shared_data: Path) -> list[Path]:
    files = sorted((shared_data / "us_equities" / "yfinance_bad_data").glob("*-1d-*.csv"))
    assert len(files) > 20
    return files


def test_real_yfinance_files_read_as_pandas_reads_them(shared_data: Path):
    """Bad and fixed alike: what is wrong with a value is for the checks on bars to say."""
    for path in yfinance_files(shared_data):
        bars = create_source(
            "csv",
            {
                "folder": str(path.parent),
                "pattern": path.name,
                "symbols": {"XAUUSD": "XAUUSD"},
                "timeframes": {"1d": "1d"},
            },
        ).fetch(SHARE, "1d")
        expected = pd.read_csv(path)
        first = expected.columns[0]
        expected.index = pd.DatetimeIndex(expected[first].str[:10], tz="UTC", name="timestamp")
        expected = expected.sort_index()
        for ours, theirs in {
            "open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume",
            "dividend": "Dividends",
        }.items():  # fmt: skip
            np.testing.assert_allclose(bars[ours], expected[theirs], rtol=1e-15, atol=0)
        assert bars.index.equals(expected.index)
        assert bars.index.is_unique
        assert "split_factor" not in bars  # the prices are adjusted for splits already


def test_fixed_twins_differ_where_the_vendor_was_wrong(shared_data: Path):
    folder = shared_data / "us_equities" / "yfinance_bad_data"
    closes = []
    for name in ("SPM-MI-1d-bad-stock-split", "SPM-MI-1d-bad-stock-split-fixed"):
        params = {"symbols": {"XAUUSD": "x"}, "timeframes": {"1d": "1d"}, "pattern": f"{name}.csv"}
        source = create_source("csv", {"folder": str(folder), **params})
        closes.append(source.fetch(SHARE, "1d")["close"])
    ratio = closes[0] / closes[1]
    assert set(ratio.round(3)) == {1.0, 10.0}


def test_real_histdata_file(shared_data: Path):
    params = {
        "folder": str(shared_data / "gold_m1" / "2023_histdata"),
        "pattern": "HISTDATA_COM_ASCII_{symbol}_M1*.zip",
        "timeframes": {"1m": "M1"},
        "clock": "histdata",
    }
    with pytest.raises(
        DataError,
        match=r"line 248696: timestamp is 2023-10-30 00:00:00\+00:00, before .* declare repeats",
    ):
        create_source("csv", params).fetch(XAU, "1m")
    bars = create_source("csv", {**params, "repeats": "merged"}).fetch(XAU, "1m")
    assert len(bars) == 308_812 - 60
    assert str(bars.index[0]) == "2023-01-02 23:00:00+00:00"
    assert bars["close"].iloc[0] == 1826.637
    assert np.isnan(bars["volume"].to_numpy()).all()
