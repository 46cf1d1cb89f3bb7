"""The file sources: mapping, layout, several files, daily labels, and every refusal."""

from __future__ import annotations

import gzip
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import Source, create_source
from hf_resources.sources.file_columns import NAMES, VALUES

SHARE = Instrument("AAPL", "equity", "XNYS", 2, 0)
GOLD = Instrument("XAUUSD", "metal", "24/5", 2, 0)
COIN = Instrument("BTC/USDT", "crypto", "24/7", 2, 4)
# A coin, in files that are named as those of the share.
ROUND_THE_CLOCK = Instrument("AAPL", "crypto", "24/7", 2, 4)
HEADER = "timestamp,open,high,low,close,volume"
ROW = "1,2,0.5,1.5,100"
QUOTED = '"open"'


def csv(folder: Path, **params: object) -> Source:
    return create_source("csv", {"folder": str(folder), **params})


def write(folder: Path, *lines: str, name: str = "AAPL_1h.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def stamps(frame: pd.DataFrame) -> list[str]:
    return [f"{instant:%m-%d %H:%M}" for instant in frame.index]


def refusal(source: Source, instrument: Instrument = SHARE, timeframe: str = "1h") -> str:
    with pytest.raises(DataError) as caught:
        source.fetch(instrument, timeframe)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------ mapping


def test_every_column_can_be_mapped(tmp_path: Path):
    theirs = [f"Their {name}" for name in VALUES]
    values = [f"{position}.5" for position in range(len(VALUES))]
    write(
        tmp_path,
        ",".join(("Their day", "Their hour", *theirs, "remark")),
        ",".join(("02.01.2024", "10:00", *values, "holiday")),
    )
    columns = {name: f"Their {name}" for name in VALUES}
    source = csv(
        tmp_path,
        columns={"timestamp": ["Their day", "Their hour"], **columns},
        time="%d.%m.%Y %H:%M",
        clock="UTC",
    )
    bars = source.fetch(SHARE, "1h")
    assert list(bars.columns) == list(VALUES)
    assert bars.iloc[0].tolist() == [position + 0.5 for position in range(len(VALUES))]
    assert {str(kind) for kind in bars.dtypes} == {"float64"}
    assert bars.index.dtype == "datetime64[us, UTC]"
    assert bars.index.name == "timestamp"
    assert stamps(bars) == ["01-02 10:00"]


def test_european_numbers_and_separators(tmp_path: Path):
    write(
        tmp_path,
        "Zeit;Eröffnung;Hoch;Tief;Schluss;Umsatz",
        "02.01.2024 10:00;1,25;2,5;1,0;1,75;n/a",
    )
    columns = dict(
        zip(
            ("timestamp", "open", "high", "low", "close", "volume"),
            ("Zeit", "Eröffnung", "Hoch", "Tief", "Schluss", "Umsatz"),
            strict=True,
        )
    )
    layout = {"columns": columns, "separator": ";", "time": "%d.%m.%Y %H:%M", "clock": "UTC"}
    bars = csv(tmp_path, **layout, decimal=",", missing=["n/a"]).fetch(SHARE, "1h")
    assert bars.iloc[0, :4].tolist() == [1.25, 2.5, 1.0, 1.75]
    assert np.isnan(bars["volume"].item())
    assert (
        "line 2: open ('Eröffnung') is '1,25', which is not a number with the decimal mark '.'"
        in (refusal(csv(tmp_path, **layout)))
    )


def test_a_point_among_decimal_commas_is_refused(tmp_path: Path):
    write(tmp_path, HEADER.replace(",", ";"), "2024-01-02T10:00Z;1.250;2;1;1;9")
    message = refusal(csv(tmp_path, separator=";", decimal=","))
    assert message.endswith(
        "line 2: open is '1.250', which is not a number with the decimal mark ',' (1 row)"
    )


@pytest.mark.parametrize(
    ("unit", "stamp"),
    [("epoch_s", 1704189600), ("epoch_ms", 1704189600000), ("epoch_us", 1704189600000000)],
)
def test_epoch_units(tmp_path: Path, unit: str, stamp: int):
    path = write(tmp_path, HEADER, f"{stamp},{ROW}")
    assert stamps(csv(tmp_path, time=unit, clock="UTC").fetch(SHARE, "1h")) == ["01-02 10:00"]
    # The same number can be written by a server on its own clock.
    server = csv(tmp_path, time=unit, clock="new_york+7").fetch(SHARE, "1h")
    assert stamps(server) == ["01-02 08:00"]
    other = "epoch_s" if unit != "epoch_s" else "epoch_us"
    assert refusal(csv(tmp_path, time=other, clock="UTC")).startswith(
        f"{path}: line 2: timestamp is"
    )
    assert "declare its unit as time: epoch_s" in refusal(csv(tmp_path, clock="UTC"))
    assert "has no time zone; declare the clock" in refusal(csv(tmp_path, time=unit))


def test_volume_that_a_file_does_not_have(tmp_path: Path):
    write(tmp_path, "timestamp,open,high,low,close", "2024-01-02T10:00Z,1,2,0.5,1.5")
    assert "column 'volume' is missing; the file has: timestamp, open" in refusal(csv(tmp_path))
    bars = csv(tmp_path, columns={"volume": None}).fetch(SHARE, "1h")
    assert np.isnan(bars["volume"].item())


def test_rows_of_one_symbol_out_of_many(tmp_path: Path):
    frame = pd.DataFrame(
        {
            "ticker": ["AAPL", "MSFT", "AAPL"],
            "time": pd.to_datetime(["2024-01-02", "2024-01-02", "2024-01-03"], utc=True),
            **{name: [1.0, 9.0, 2.0] for name in ("open", "high", "low", "close", "volume")},
        }
    )
    frame.to_parquet(tmp_path / "all.parquet")
    params = {
        "folder": str(tmp_path),
        "pattern": "all.parquet",
        "columns": {"symbol": "ticker", "timestamp": "time"},
        "timeframes": {"1d": "1d"},
    }
    source = create_source("parquet", params)
    assert source.fetch(SHARE, "1d")["close"].tolist() == [1.0, 2.0]
    assert source.timeframes(SHARE) == ("1d",)
    with pytest.raises(DataError, match="unknown symbol 'XAUUSD'; allowed: AAPL, MSFT"):
        source.fetch(GOLD, "1d")
    named = create_source("parquet", {**params, "symbols": {"XAUUSD": "MSFT"}})
    assert named.fetch(GOLD, "1d")["close"].tolist() == [9.0]


def test_parquet_with_foreign_types(tmp_path: Path):
    columns = {name: pa.array([3], pa.uint64()) for name in ("open", "high", "low", "close")}
    path = tmp_path / "AAPL_1h.parquet"

    def fetch(kind: pa.DataType, value: object, **params: object) -> pd.DataFrame:
        volume = pa.array([2.5], pa.float32())
        stamp = pa.array([value], kind)
        pq.write_table(pa.table({"timestamp": stamp, **columns, "volume": volume}), path)
        return create_source("parquet", {"folder": str(tmp_path), **params}).fetch(SHARE, "1h")

    micros = 1704189600000000
    assert stamps(fetch(pa.timestamp("us", "America/New_York"), micros)) == ["01-02 10:00"]
    assert stamps(fetch(pa.timestamp("us", "+02:00"), micros)) == ["01-02 10:00"]
    assert stamps(fetch(pa.timestamp("ns"), micros * 1000, clock="UTC+2")) == ["01-02 08:00"]
    text = fetch(pa.string(), "2024-01-02 10:00", clock="UTC+2", time="%Y-%m-%d %H:%M")
    assert stamps(text) == ["01-02 08:00"]
    assert fetch(pa.int64(), micros // 10**6, clock="UTC", time="epoch_s").iloc[0].tolist() == [
        3.0, 3.0, 3.0, 3.0, 2.5,
    ]  # fmt: skip
    columns["open"] = pa.array(["3"])
    with pytest.raises(DataError, match="column 'open' is of type String; it must be numbers"):
        fetch(pa.timestamp("us", "UTC"), micros)


# -------------------------------------------------------------------------------------- files


def test_compressed_files(tmp_path: Path):
    text = f"{HEADER}\n2024-01-02T10:00Z,{ROW}\n".encode()
    plain = write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}")
    expected = csv(tmp_path).fetch(SHARE, "1h")
    plain.unlink()
    zipped = tmp_path / "AAPL_1h.csv.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("AAPL.csv", text)
        archive.writestr("gaps.txt", "report of gaps")
    packed = {
        ".gz": gzip.compress(text),
        ".zst": pa.compress(text, codec="zstd", asbytes=True),
        ".zip": zipped.read_bytes(),
    }
    zipped.unlink()
    for suffix, data in packed.items():
        path = tmp_path / f"AAPL_1h.csv{suffix}"
        path.write_bytes(data)
        pd.testing.assert_frame_equal(csv(tmp_path).fetch(SHARE, "1h"), expected)
        path.write_bytes(data[: len(data) // 2])
        assert refusal(csv(tmp_path)).startswith(f"{path}: the file is not readable as {suffix} (")
        path.unlink()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.csv", text)
        archive.writestr("b.csv", text)
    assert refusal(csv(tmp_path)).startswith(f"{zipped}: the archive holds 2 tables (a.csv, b.csv)")


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\r\n\r\n2024-01-02T10:00Z,{ROW}\r\n\r\n".encode("utf-8-sig"),
        f"{HEADER}\r\n2024-01-02T10:00Z,{ROW}".encode("utf-16"),
        f'{HEADER.replace("open", QUOTED)}\n"2024-01-02T10:00Z",{ROW}'.encode(),
        f"{HEADER}\n 2024-01-02T10:00Z , 1, 2,0.5 ,1.5,100".encode(),
    ],
    ids=["blank lines and a mark", "UTF-16", "quoted", "padded"],
)
def test_texts_of_other_programs(tmp_path: Path, data: bytes):
    (tmp_path / "AAPL_1h.csv").write_bytes(data)
    bars = csv(tmp_path).fetch(SHARE, "1h")
    assert stamps(bars) == ["01-02 10:00"]
    assert bars.iloc[0].tolist() == [1, 2, 0.5, 1.5, 100]


def test_several_files_are_joined(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-03T10:00Z,{ROW}", name="AAPL/1h/b.csv")
    write(
        tmp_path,
        HEADER,
        f"2024-01-02T10:00Z,{ROW}",
        "2024-01-03T10:00Z,1.0000001,2,0.5,1.4999999,100.2",
        name="AAPL/1h/a.csv",
    )
    source = csv(tmp_path, pattern="{symbol}/{timeframe}/*.csv")
    assert source.timeframes(SHARE) == ("1h",)
    bars = source.fetch(SHARE, "1h")
    assert stamps(bars) == ["01-02 10:00", "01-03 10:00"]


def test_a_contradiction_names_both_places(tmp_path: Path):
    one = write(
        tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", f"2024-01-02T11:00Z,{ROW}", name="AAPL_a.csv"
    )
    two = write(
        tmp_path,
        HEADER,
        "2024-01-02T11:00Z,1,2,0.5,1.51,100",
        "2024-01-02T12:00Z,1,2,0.5,1.5,100",
        name="AAPL_b.csv",
    )
    message = refusal(csv(tmp_path, pattern="{symbol}_*.csv", timeframes={"1h": "1h"}))
    assert message == (
        f"{two}: line 2: close is 1.51 at 2024-01-02 11:00 UTC, and 1.5 in {one}: line 3; a bar "
        "that is there twice must be the same (1 bar)"
    )


def test_the_first_contradiction_is_named_whatever_its_column(tmp_path: Path):
    write(tmp_path, HEADER, *(f"2024-01-02T{h}:00Z,{ROW}" for h in (10, 11)), name="AAPL_a.csv")
    write(
        tmp_path,
        HEADER,
        "2024-01-02T10:00Z,1,2,0.5,1.5,101",
        "2024-01-02T11:00Z,1.1,2,0.5,1.5,100",
        name="AAPL_b.csv",
    )
    message = refusal(csv(tmp_path, pattern="{symbol}_*.csv", timeframes={"1h": "1h"}))
    assert "line 2: volume is 101.0 at 2024-01-02 10:00 UTC, and 100.0 in" in message
    assert message.endswith("(2 bars)")


def test_files_with_other_columns_are_not_joined(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", name="AAPL_a.csv")
    write(tmp_path, f"{HEADER},vwap", f"2024-01-02T11:00Z,{ROW},1", name="AAPL_b.csv")
    message = refusal(csv(tmp_path, pattern="{symbol}_*.csv", timeframes={"1h": "1h"}))
    assert "differ in the columns vwap" in message


def test_adjusted_closes_of_two_downloads_are_not_joined(tmp_path: Path):
    """Each is relative to its own last day, so their ratio would jump between the files."""
    header = "Date,Open,High,Low,Close,Adj Close,Volume"
    write(tmp_path, header, "2024-01-02,1,2,0.5,1,0.9,100", name="AAPL_a.csv")
    write(tmp_path, header, "2024-01-03,1,2,0.5,1,1,100", name="AAPL_b.csv")
    params: dict[str, object] = {"pattern": "{symbol}_*.csv", "timeframes": {"1d": "1d"}}
    message = refusal(csv(tmp_path, **params), timeframe="1d")
    assert "2 files of one series have adjusted closes" in message
    declared = csv(tmp_path, **params, dialect="yfinance", columns={"adjusted_close": None})
    assert "adjustment" not in declared.fetch(SHARE, "1d")


def test_a_file_that_repeats_bars(tmp_path: Path):
    hours = (10, 11, 10, 11, 12)
    lines = [f"2024-01-02T{hour}:00Z,{ROW}" for hour in hours]
    path = write(tmp_path, HEADER, *lines)
    assert refusal(csv(tmp_path)) == (
        f"{path}: line 4: timestamp is 2024-01-02 10:00:00+00:00, before 2024-01-02 "
        "11:00:00+00:00 in the line above; bars must be sorted by time and allowed once (or "
        "declare repeats: merged)"
    )
    merged = csv(tmp_path, repeats="merged")
    assert stamps(merged.fetch(SHARE, "1h")) == ["01-02 10:00", "01-02 11:00", "01-02 12:00"]
    write(tmp_path, HEADER, *lines[:2], "2024-01-02T10:00Z,1,2,0.5,1.6,100", lines[4])
    assert f"{path}: line 4: close is 1.6 at 2024-01-02 10:00 UTC, and 1.5 in {path}: line 2" in (
        refusal(merged)
    )
    write(tmp_path, HEADER, lines[0], lines[4], lines[1], lines[0], lines[4])
    assert "line 4: timestamp is 2024-01-02 11:00:00+00:00, before" in refusal(merged)


def test_newest_first_is_turned_round(tmp_path: Path):
    write(tmp_path, HEADER, *(f"2024-01-02T{hour}:00Z,{hour},20,1,9,1" for hour in (12, 11, 10)))
    assert csv(tmp_path).fetch(SHARE, "1h")["open"].tolist() == [10, 11, 12]


def test_marker_follows_the_files(tmp_path: Path):
    source = csv(tmp_path, pattern="{symbol}_{timeframe}*.csv")
    assert source.marker(SHARE, "1h") is None
    path = write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}")
    markers = [source.marker(SHARE, "1h")]
    assert source.marker(SHARE, "1h") == markers[0]
    state = path.stat()
    write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", f"2024-01-02T11:00Z,{ROW}")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    markers.append(source.marker(SHARE, "1h"))  # size
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    markers.append(source.marker(SHARE, "1h"))  # time
    write(tmp_path, HEADER, f"2024-01-02T12:00Z,{ROW}", name="AAPL_1h_new.csv")
    markers.append(source.marker(SHARE, "1h"))  # one more
    assert None not in markers
    assert len(set(markers)) == 4
    assert source.marker(GOLD, "1h") is None


def test_window_is_half_open(tmp_path: Path):
    write(tmp_path, HEADER, *(f"2024-01-02T{hour}:00Z,{ROW}" for hour in (10, 11, 12)))
    hours = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (11, 12)]
    assert stamps(csv(tmp_path).fetch(SHARE, "1h", *hours)) == ["01-02 11:00"]


def test_names_of_files(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", name="hist/GOLD_M60_2024.csv")
    source = csv(
        tmp_path,
        pattern="hist/{symbol}_{timeframe}_????.csv",
        symbols={"XAUUSD": "GOLD"},
        timeframes={"1h": "M60", "1d": "D1"},
    )
    assert source.timeframes(GOLD) == ("1h",)
    assert len(source.fetch(GOLD, "1h")) == 1
    assert source.timeframes(SHARE) == ()
    with pytest.raises(ConfigurationError, match="unknown timeframe '4h'; allowed: 1d, 1h"):
        source.fetch(GOLD, "4h")
    with pytest.raises(DataError, match=r"AAPL_M60_\?\?\?\?.csv: the file does not exist"):
        source.fetch(SHARE, "1h")
    write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", name="BTC%2FUSDT_1h.csv")
    assert csv(tmp_path).timeframes(COIN) == ("1h",)


def test_one_file_belongs_to_one_symbol(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-02T10:00Z,{ROW}", name="gold.csv")
    source = csv(tmp_path, pattern="gold.csv", symbols={"XAUUSD": "GOLD"}, timeframes={"1h": "1h"})
    assert source.timeframes(GOLD) == ("1h",)
    assert source.timeframes(SHARE) == ()
    with pytest.raises(ConfigurationError, match="unknown symbol 'AAPL'; allowed: XAUUSD"):
        source.fetch(SHARE, "1h")


# --------------------------------------------------------------------------------------- time


def test_close_labels(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-03-10 02:00,{ROW}", f"2024-03-11 00:00,{ROW}")
    bars = csv(tmp_path, clock="UTC", label="close").fetch(ROUND_THE_CLOCK, "1h")
    assert stamps(bars) == ["03-10 01:00", "03-10 23:00"]


def test_an_hour_that_the_clock_skips_names_its_line(tmp_path: Path):
    path = write(tmp_path, HEADER, f"2024-03-10 01:00,{ROW}", f"2024-03-10 02:00,{ROW}")
    assert refusal(csv(tmp_path, clock="America/New_York")) == (
        f"{path}: line 3: timestamp 2024-03-10 02:00:00 does not exist on the clock "
        "America/New_York, which is put forward over it"
    )


def test_an_hour_that_repeats_is_resolved_in_either_order_of_the_file(tmp_path: Path):
    local = ["00:00", "01:00", "01:00", "02:00"]
    lines = [f"2024-11-03 {hour},{ROW}" for hour in local]
    for ordered in (lines, lines[::-1]):
        write(tmp_path, HEADER, *ordered)
        bars = csv(tmp_path, clock="America/New_York").fetch(ROUND_THE_CLOCK, "1h")
        assert stamps(bars) == [f"11-03 {hour}" for hour in ("04:00", "05:00", "06:00", "07:00")]
    write(tmp_path, HEADER, lines[0], lines[1], lines[3])
    message = refusal(csv(tmp_path, clock="America/New_York"), ROUND_THE_CLOCK)
    assert "line 3: timestamp 2024-11-03 01:00:00 exists twice on the clock" in message


def test_offsets_in_the_file_against_the_declared_clock(tmp_path: Path):
    path = write(tmp_path, HEADER, f"2024-01-02 10:00:00+00:00,{ROW}")
    assert stamps(csv(tmp_path).fetch(SHARE, "1h")) == ["01-02 10:00"]
    assert stamps(csv(tmp_path, clock="UTC").fetch(SHARE, "1h")) == ["01-02 10:00"]
    assert refusal(csv(tmp_path, clock="Europe/Athens")) == (
        f"{path}: line 2: timestamp is 2024-01-02 10:00:00+00:00, which the clock Europe/Athens "
        "shows as 2024-01-02 12:00:00 (1 row); leave out clock where the file's offsets are right, "
        "or declare offsets: ignored where they are wrong"
    )
    ignored = csv(tmp_path, clock="Europe/Athens", offsets="ignored").fetch(SHARE, "1h")
    assert stamps(ignored) == ["01-02 08:00"]


def test_iso_stamps_of_unequal_length(tmp_path: Path):
    """As programs write them that leave out what is zero."""
    times = ("2024-01-02", "2024-01-02 01:00", "2024-01-02T02:00:00", "2024-01-02 03:00:00.000")
    for first in range(len(times)):
        ordered = times[first:]
        write(tmp_path, HEADER, *(f"{time},{ROW}" for time in ordered))
        bars = csv(tmp_path, clock="UTC").fetch(SHARE, "1h")
        assert stamps(bars) == [f"01-02 {hour:02}:00" for hour in range(first, len(times))]


def test_some_stamps_with_an_offset(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-02 10:00Z,{ROW}", f"2024-01-02 11:00,{ROW}")
    assert refusal(csv(tmp_path)).endswith(
        "line 3: timestamp is '2024-01-02 11:00', without an offset from UTC, unlike "
        "'2024-01-02 10:00Z' in the first row; all must have one or none"
    )


@pytest.mark.parametrize(
    ("stamp", "params", "expected"),
    [
        ("2024-01-02", {}, "01-02 00:00"),
        ("2024-01-02", {"label": "close"}, "01-02 00:00"),
        ("2024-01-02", {"clock": "America/New_York"}, "01-02 00:00"),
        ("2024-01-02 00:00:00+09:00", {}, "01-02 00:00"),
        ("2024-01-02 00:00:00-05:00", {}, "01-02 00:00"),
        ("2024-01-02T14:30Z", {"session_zone": "America/New_York"}, "01-02 00:00"),
        (
            "2024-01-02T21:00Z",
            {"session_zone": "America/New_York", "label": "close"},
            "01-02 00:00",
        ),
        ("2024-01-02T15:00Z", {"session_zone": "Asia/Tokyo"}, "01-03 00:00"),
        ("2024-01-03 00:00", {"clock": "new_york+7", "label": "close"}, "01-02 00:00"),
    ],
)
def test_a_daily_bar_is_labelled_by_its_date(
    tmp_path: Path, stamp: str, params: dict[str, object], expected: str
):
    write(tmp_path, HEADER, f"{stamp},{ROW}", name="AAPL_1d.csv")
    assert stamps(csv(tmp_path, **params).fetch(SHARE, "1d")) == [expected]


def test_a_daily_stamp_that_is_no_date(tmp_path: Path):
    write(tmp_path, HEADER, f"2024-01-02T14:30Z,{ROW}", name="AAPL_1d.csv")
    assert "is not midnight; a daily bar is labelled by its date" in (
        refusal(csv(tmp_path), timeframe="1d")
    )


@pytest.mark.parametrize(
    ("stamp", "params", "problem"),
    [
        ("2024-01-02", {"clock": "America/New_York"}, "ends 5 hours after that of UTC"),
        ("2024-07-02 00:00-04:00", {}, "ends 4 hours after that of UTC"),
        ("2024-01-02", {}, "declare the clock"),
    ],
)
def test_no_daily_bar_is_known_before_it_ends(
    tmp_path: Path, stamp: str, params: dict[str, object], problem: str
):
    """A bar labelled 00:00 UTC counts as known 24 hours later; its day must be over by then."""
    write(tmp_path, HEADER, f"{stamp},{ROW}", name="XAUUSD_1d.csv")
    assert problem in refusal(csv(tmp_path, **params), GOLD, "1d")
    server = csv(tmp_path, clock="new_york+7", offsets="ignored").fetch(GOLD, "1d")
    assert stamps(server) == [f"{stamp[5:10]} 00:00"]


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([""], "the file is empty; at least one row is required"),
        ([HEADER], "the file has no bars; at least one is required"),
        (
            [HEADER.replace("close", "colse"), f"2024-01-02T10:00Z,{ROW}"],
            f"unknown column 'colse'; allowed: {', '.join(NAMES)}. Did you mean 'close'?",
        ),
        (
            [f"{HEADER},close", f"2024-01-02T10:00Z,{ROW},1"],
            "column 'close' is there 2 times",
        ),
        (
            [HEADER, f"2024-01-02T10:00Z,{ROW}", "", "2024-01-02T11:00Z,1,2,0.5"],
            "line 4 has 4 fields; every line must have 6, as the first one",
        ),
        (
            [HEADER, f"2024-01-02T10:00Z,{ROW},7"],
            "line 2 has 7 fields; every line must have 6, as the first one",
        ),
        (
            [HEADER, f"2024-01-02T10:00Z,{ROW}", "", "2024-01-02T11:00Z,1,2,O.5,1,1"],
            "line 4: low is 'O.5', which is not a number with the decimal mark '.' (1 row)",
        ),
        (
            [HEADER, '2024-01-02T10:00Z,1,2,"1,5",1.5,9'],
            "line 2: low is '1,5', which is not a number with the decimal mark '.' (1 row)",
        ),
        ([HEADER, f",{ROW}"], "line 2: timestamp is empty; every row needs one"),
        (
            [HEADER, f"2024-01-02T10:00Z,{ROW}", f"2024-01-32T10:00Z,{ROW}"],
            (
                "line 3: timestamp is '2024-01-32T10:00Z', which is not ISO 8601; declare its "
                "format as time, such as '%d/%m/%Y %H:%M' (1 row)"
            ),
        ),
        (
            [HEADER, f"01/02/2024,{ROW}"],
            (
                "line 2: timestamp is '01/02/2024', which is not ISO 8601; declare its format as "
                "time, such as '%d/%m/%Y %H:%M' (1 row)"
            ),
        ),
    ],
)
def test_each_fault_of_a_file_is_one_sentence(tmp_path: Path, lines: list[str], expected: str):
    path = write(tmp_path, *lines)
    assert refusal(csv(tmp_path)) == f"{path}: {expected}"


def test_text_that_is_not_utf8_names_its_line(tmp_path: Path):
    path = tmp_path / "AAPL_1h.csv"
    path.write_bytes(f"{HEADER}\n2024-01-02T10:00Z,{ROW}\nM\xfcnchen\n".encode("latin-1"))
    assert refusal(csv(tmp_path)) == f"{path}: line 3: the text is not UTF-8"


def test_a_mapped_column_that_is_not_there(tmp_path: Path):
    write(tmp_path, "Date,Open,High,Low,Close,Volume", f"2024-01-02T10:00Z,{ROW}")
    columns = {"timestamp": "Date", "open": "Opne", "high": "High", "low": "Low"}
    assert refusal(csv(tmp_path, columns=columns)).endswith(
        "column 'Opne' (for open) is missing; the file has: Date, Open, High, Low, Close, Volume. "
        "Did you mean 'Open'?"
    )


def test_missing_files_and_folders(tmp_path: Path):
    with pytest.raises(
        ConfigurationError, match=r"source 'csv': folder is '.*nowhere', which does not exist"
    ):
        csv(tmp_path / "nowhere").fetch(SHARE, "1h")
    write(tmp_path, HEADER, name="AAPL_1H.csv")
    assert refusal(csv(tmp_path)) == (
        f"{tmp_path / 'AAPL_1h.csv'}: the file does not exist; the folder has 1 file named "
        "{symbol}_{timeframe}.csv. Did you mean 'AAPL_1H.csv'?"
    )


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"columns": {"clos": "C"}}, "unknown column 'clos'; allowed: .* Did you mean 'close'"),
        ({"pattern": "../{symbol}_{timeframe}.csv"}, "allowed: a path below the folder"),
        ({"pattern": "/data/{symbol}_{timeframe}.csv"}, "allowed: a path below the folder"),
        ({"pattern": "{symbl}_{timeframe}.csv"}, "unknown placeholder 'symbl'.*mean 'symbol'"),
        ({"pattern": "{symbol}.csv"}, r"without \{timeframe\}; then name the files' one timeframe"),
        ({"pattern": "{timeframe}.csv"}, r"without \{symbol\}; then name the files' one symbol"),
        ({"timeframes": {"1hour": "H1"}}, "unknown timeframe '1hour'; allowed"),
        ({"clock": "new-york+7"}, "clock is 'new-york.7'; allowed: UTC, .*mean 'new_york.7'"),
        ({"session_zone": "Tokyo"}, "clock is 'Tokyo'; allowed: UTC, "),
        ({"dialect": "mt5"}, "unknown dialect 'mt5'; allowed: dukascopy, "),
        ({"separator": ";;"}, "parameter 'separator' is ';;'"),
        ({"columns": {"close": ["a", "b"]}}, "names 2 columns for close; allowed: one"),
        ({"columns": {"close": None}}, "there is no close; every bar needs one"),
        ({"columns": {"adjustment": "a", "adjusted_close": "b"}}, "so name one"),
    ],
)
def test_declarations_are_checked_before_any_file_is_read(
    tmp_path: Path, params: dict[str, object], expected: str
):
    with pytest.raises(ConfigurationError, match=f"source 'csv': .*{expected}"):
        csv(tmp_path, **params)
