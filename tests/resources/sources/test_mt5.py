"""MetaTrader 5: the conversion of what a terminal returns, and what is said where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.mt5 import bars_from_rates, server_clock
from hf_resources.sources.rounding import rounded_bars

GOLD = Instrument("XAUUSD", "metal", "24/5", 2, 0)
# What the library's arrays are.
RATES = np.dtype(
    [("time", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"),
     ("tick_volume", "<u8"), ("spread", "<i4"), ("real_volume", "<u8")]
)  # fmt: skip
MINUTE = timedelta(minutes=1)
NEW_YORK = {"clock": "America/New_York", "clock_shift_hours": 7}


def rates(rows: pd.DataFrame, server: str = "time_server") -> np.ndarray:
    array = np.zeros(len(rows), dtype=RATES)
    array["time"] = pd.DatetimeIndex(rows[server]).as_unit("s").asi8
    for name in ("open", "high", "low", "close", "tick_volume", "spread"):
        array[name] = rows[name]
    return array


def at(*stamps: str) -> np.ndarray:
    rows = pd.DataFrame(1.0, index=range(len(stamps)), columns=["open", "high", "low", "close"])
    return rates(rows.assign(tick_volume=7, spread=1, time_server=pd.to_datetime(list(stamps))))


def convert(array: np.ndarray, clock: str = "America/New_York", shift: int = 7) -> pd.DataFrame:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    return bars_from_rates(array, MINUTE, server_clock(clock), shift, "tick", now, "here: X 1m")


@pytest.mark.parametrize("name", ["xauusd_m1_ftmo", "us100_m1_ftmo"])
def test_a_recorded_history_arrives_in_utc(shared_data: Path, name: str):
    path = shared_data / "gold_m1" / "2025_2026_mt5" / f"{name}.parquet"
    rows = pd.read_parquet(path)
    if "time_server" not in rows:
        pytest.skip(f"{path} has no clock of the server")
    frame = convert(rates(rows))
    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "is_final"]
    np.testing.assert_array_equal(frame.index, pd.DatetimeIndex(rows["time"]))
    for column in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(frame[column], rows[column])
    np.testing.assert_array_equal(frame["volume"], rows["tick_volume"])
    assert frame["is_final"].to_numpy().all()
    # The change of clocks in New York, in March, lies in this history.
    shifts = pd.DatetimeIndex(rows["time_server"]) - pd.DatetimeIndex(rows["time"]).tz_localize(
        None
    )
    assert set(shifts) == {timedelta(hours=2), timedelta(hours=3)}
    pd.testing.assert_frame_equal(
        rounded_bars(frame.iloc[:, :5], GOLD, "here"), frame.iloc[:, :5], check_freq=False
    )


@pytest.mark.parametrize(
    ("clock", "shift", "stamp", "utc"),
    [
        ("America/New_York", 7, "2026-01-15 12:00", "2026-01-15 10:00"),
        ("America/New_York", 7, "2026-07-15 12:00", "2026-07-15 09:00"),
        # Between the changes in America and in Europe the two clocks differ.
        ("America/New_York", 7, "2026-03-16 12:00", "2026-03-16 09:00"),
        ("Europe/Athens", 0, "2026-03-16 12:00", "2026-03-16 10:00"),
        ("UTC", 0, "2026-03-16 12:00", "2026-03-16 12:00"),
        ("UTC", -3, "2026-03-16 12:00", "2026-03-16 15:00"),
    ],
)
def test_the_declared_clock_is_the_clock(clock: str, shift: int, stamp: str, utc: str):
    assert convert(at(stamp), clock, shift).index[0] == pd.Timestamp(utc, tz="UTC")


def test_the_bar_being_formed_is_told():
    now = datetime(2026, 3, 16, 12, 1, 30, tzinfo=UTC)
    array = at("2026-03-16 12:00", "2026-03-16 12:01")
    frame = bars_from_rates(array, MINUTE, server_clock("UTC"), 0, "real", now, "here: X 1m")
    assert frame["is_final"].to_list() == [True, False]
    assert frame["volume"].to_list() == [0, 0]


def test_no_bars_are_no_bars():
    frame = convert(at())
    assert frame.empty
    assert frame.index.name == "timestamp"


def test_times_that_the_clock_does_not_have_are_refused():
    # 02:30 on the day of the change in New York is 09:30 of the server.
    with pytest.raises(DataError, match=r"here: X 1m: the times do not fit the clock America/New_"):
        convert(at("2026-03-08 09:30"))


def test_an_array_of_something_else_is_refused():
    array = np.zeros(1, dtype=[("time", "<i8"), ("bid", "<f8")])
    with pytest.raises(DataError, match="no field open, high, low, close, tick_volume, real_vol"):
        convert(array)


def test_elsewhere_than_on_windows_it_says_so():
    reader = create_source("mt5", NEW_YORK)
    assert reader.timeframes(GOLD) == ("1m", "5m", "15m", "30m", "1h")
    with pytest.raises(ConfigurationError, match="runs on Windows only, and this is linux; export"):
        reader.fetch(GOLD, "1m")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "parameter 'clock' is required"),
        ({"clock": "Mars/Olympus"}, "clock is 'Mars/Olympus', which is no time zone; allowed"),
        ({**NEW_YORK, "volume": "ticks"}, "parameter 'volume' is 'ticks'"),
        ({**NEW_YORK, "clock_shift_hours": 25}, "parameter 'clock_shift_hours' is 25"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], says: str):
    with pytest.raises(ConfigurationError, match=says):
        create_source("mt5", params).fetch(GOLD, "1m")


class Terminal:
    """The part of the library that is used, with bars of one symbol."""

    TIMEFRAME_M1 = 1

    def __init__(self, bars: np.ndarray) -> None:
        self.bars = bars
        self.calls: list[str] = []

    def initialize(self, path: str | None = None) -> bool:
        self.calls.append(f"initialize {path}")
        return path != "nowhere"

    def last_error(self) -> tuple[int, str]:
        return (-10003, "IPC initialize failed")

    def symbol_select(self, name: str, enable: bool) -> bool:
        return enable and name == "GOLD.m"

    def copy_rates_range(
        self, name: str, timeframe: int, first: datetime, last: datetime
    ) -> np.ndarray:
        assert (name, timeframe) == ("GOLD.m", 1)
        # The terminal reads its arguments as the clock of the server.
        times = self.bars["time"]
        return self.bars[(times >= first.timestamp()) & (times <= last.timestamp())]

    def shutdown(self) -> None:
        self.calls.append("shutdown")


def test_a_terminal_is_asked_and_left(monkeypatch: pytest.MonkeyPatch):
    stamps = pd.date_range("2026-03-16 00:00", periods=600, freq="min")
    terminal = Terminal(at(*(str(each) for each in stamps)))
    monkeypatch.setattr("hf_resources.sources.mt5._library", lambda: terminal)
    params = {**NEW_YORK, "symbols": {"XAUUSD": "GOLD.m"}}
    start = datetime(2026, 3, 15, 23, 0, tzinfo=UTC)
    frame = create_source("mt5", params).fetch(GOLD, "1m", start, start + timedelta(hours=1))
    assert len(frame) == 60
    assert frame.index[0] == pd.Timestamp(start)
    assert terminal.calls == ["initialize None", "shutdown"]
    with pytest.raises(ConfigurationError, match="has no symbol 'XAUUSD'; set it under symbols"):
        create_source("mt5", NEW_YORK).fetch(GOLD, "1m")
    assert terminal.calls[-1] == "shutdown"
    with pytest.raises(ConfigurationError, match=r"the terminal does not start .*IPC initialize"):
        create_source("mt5", {**params, "terminal": "nowhere"}).fetch(GOLD, "1m")
