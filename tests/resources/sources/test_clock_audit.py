"""The clock audit: right on real files whose clocks were measured, silent on noise."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.errors import DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.clock import Clock
from hf_resources.sources.clock_audit import CHANCE, TABLE_COLUMNS, ClockAudit, audit

GOLD = Instrument("XAUUSD", "metal", "24/5", 3, 0)
NASDAQ = Instrument("US100", "index", "24/5", 2, 0)
DOLLAR = Instrument("DXY", "index", "24/5", 4, 0)
SHARE = Instrument("SPY", "equity", "XNYS", 2, 0)
COIN = Instrument("BTC/USDT", "crypto", "24/7", 2, 4)


def offsets(result: ClockAudit) -> dict[str, set[float]]:
    """Implied offsets by season."""
    found: dict[str, set[float]] = {}
    for finding in result.findings:
        found.setdefault(finding.season, set()).add(finding.offset_hours)
    return found


def evidence(result: ClockAudit, season: str) -> set[str]:
    return {each.evidence for each in result.findings if each.season == season}


# -------------------------------------------------------------------------------- real files


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "gold_m1"


@cache
def histdata(folder: Path, clock: str) -> pd.DataFrame:
    params = {
        "folder": str(folder / "2023_histdata"),
        "pattern": "HISTDATA_COM_ASCII_{symbol}_M1*.zip",
        "timeframes": {"1m": "M1"},
        "clock": clock,
        "repeats": "merged",
    }
    return create_source("csv", params).fetch(GOLD, "1m")


@cache
def closes(path: Path, column: str = "close") -> pd.Series:
    frame = pd.read_parquet(path)
    series = frame.set_index(pd.DatetimeIndex(frame["time"])).loc[:, column].dropna()
    assert isinstance(series, pd.Series)
    return series


def on_clock(path: Path, column: str, clock: str) -> pd.DataFrame:
    """Bars of a file whose stamps are read on a declared clock."""
    frame = pd.read_parquet(path)
    stamps = frame[column]
    if column == "epoch_server":
        stamps = pd.to_datetime(stamps, unit="s")
    local = pd.DatetimeIndex(stamps)
    local = local if local.tz is None else local.tz_localize(None)
    return frame.set_index(Clock.parse(clock).utc(local))


def test_histdata_is_london_less_five_hours(folder: Path):
    euro = closes(folder / "2023_histdata" / "fx_majors_close_m1_2023.parquet", "EURUSD")
    bars = histdata(folder, "histdata")
    result = audit(bars, GOLD, "1m", clock="histdata", reference=euro, reference_name="EURUSD")
    assert result.confirmed
    assert offsets(result) == {"winter": {0.0}, "summer": {0.0}, "between": {0.0}}
    assert {"release", "break", "week end", "lag"} <= evidence(result, "winter")
    assert {"release", "break", "week end", "lag"} <= evidence(result, "summer")
    assert result.text().startswith("XAUUSD 1m on the clock histdata: all ")
    assert result.fitting == ()


def test_histdata_is_not_eastern_standard_time(folder: Path):
    """What the vendor says; it is an hour off all summer, which needs no other series to see."""
    result = audit(histdata(folder, "EST_no_dst"), GOLD, "1m", clock="EST_no_dst")
    assert not result.confirmed
    assert offsets(result)["winter"] == {0.0}
    assert offsets(result)["summer"] == {1.0}
    assert {"release", "break", "week end"} <= evidence(result, "summer")
    assert result.fitting[0] == "histdata"
    release = next(each for each in result.contradictions if each.evidence == "release")
    assert (release.expected, release.observed) == ("08:30 New York", "09:30 New York")
    assert release.sentence.endswith("; the stamps are 1 hour too late")
    assert "findings contradict the clock; a clock that fits all: histdata" in result.text()


def test_histdata_is_not_new_york(folder: Path):
    """Wrong in three weeks of the year only; found by another series."""
    euro = closes(folder / "2023_histdata" / "fx_majors_close_m1_2023.parquet", "EURUSD")
    bars = histdata(folder, "America/New_York")
    result = audit(
        bars, GOLD, "1m", clock="America/New_York", reference=euro, reference_name="EURUSD"
    )
    assert offsets(result) == {"winter": {0.0}, "summer": {0.0}, "between": {-1.0}}
    assert result.fitting == ("histdata",)


@pytest.mark.parametrize(
    ("file", "instrument"), [("xauusd_m1_ftmo", GOLD), ("us100_m1_ftmo", NASDAQ)]
)
def test_metatrader_server_clock(folder: Path, file: str, instrument: Instrument):
    path = folder / "2025_2026_mt5" / f"{file}.parquet"
    qqq = closes(folder / "2025_2026_mt5" / "qqq_1m_ibkr_2025_11_12.parquet")
    right = audit(
        on_clock(path, "time_server", "new_york+7"), instrument, "1m",
        clock="new_york+7", reference=qqq, reference_name="QQQ",
    )  # fmt: skip
    assert right.confirmed
    assert {"break", "lag"} <= evidence(right, "winter")
    wrong = audit(
        on_clock(path, "time_server", "UTC"), instrument, "1m",
        clock="UTC", reference=qqq, reference_name="QQQ",
    )  # fmt: skip
    assert offsets(wrong) == {"winter": {2.0}}
    assert "new_york+7" in wrong.fitting


def test_a_file_labelled_utc_that_is_two_hours_off(folder: Path):
    path = folder / "2025_2026_mt5" / "xauusd_m1_second_broker.parquet"
    first = closes(folder / "2025_2026_mt5" / "xauusd_m1_ftmo.parquet")
    for reference in (None, first):
        labelled = audit(
            on_clock(path, "time_labelled_utc", "UTC"), GOLD, "1m", reference=reference
        )
        assert offsets(labelled) == {"winter": {2.0}, "between": {2.0}}
        assert "Europe/Athens" in labelled.fitting
        # New York is on summer time in the last weeks, Athens is not.
        assert "new_york+7" not in labelled.fitting
        athens = audit(
            on_clock(path, "time_labelled_utc", "Europe/Athens"), GOLD, "1m",
            clock="Europe/Athens", reference=reference,
        )  # fmt: skip
        assert athens.confirmed


@pytest.mark.parametrize(("file", "timeframe"), [("m30", "30m"), ("h1", "1h")])
def test_epoch_that_is_a_server_clock(folder: Path, file: str, timeframe: str):
    path = folder / f"dxy_{file}_2019_2026.parquet"
    legs = closes(folder / "2023_histdata" / "dxy_from_constituents_m1_2023.parquet")
    wrong = audit(
        on_clock(path, "epoch_server", "UTC"), DOLLAR, timeframe, reference=legs,
        reference_name="the five legs",
    )  # fmt: skip
    assert offsets(wrong)["winter"] == {2.0}
    assert offsets(wrong)["summer"] == {3.0}
    assert wrong.fitting == ("new_york+7",)
    lag = next(each for each in wrong.findings if (each.evidence, each.season) == ("lag", "summer"))
    assert lag.strength > 0.8
    right = audit(
        on_clock(path, "epoch_server", "new_york+7"), DOLLAR, timeframe, clock="new_york+7",
        reference=legs,
    )  # fmt: skip
    assert right.confirmed


def test_regular_sessions(folder: Path):
    path = folder / "2025_2026_mt5" / "spy_1m_ibkr_2025_11_12.parquet"
    bars = pd.read_parquet(path).set_index("time")
    assert audit(bars, SHARE, "1m").confirmed
    early = audit(bars.set_index(bars.index - pd.Timedelta(hours=1)), SHARE, "1m")
    assert offsets(early) == {"winter": {-1.0}}


# --------------------------------------------------------------------------- made-up markets


def market(
    seed: int,
    *,
    days: int = 90,
    start: str = "2023-11-06",
    holes: float = 0.0,
    pause: bool = False,
    releases: bool = False,
) -> pd.DataFrame:
    """Minute bars round the clock from Monday to Friday, calm and lively by the hour.

    Args:
        seed: of the generator.
        days: calendar days.
        start: first day.
        holes: share of hours that are missing.
        pause: whether 17:00 to 18:00 New York has no bars, nor the weekend around it.
        releases: whether the minute of 08:30 New York jumps on three days of ten.
    """
    random = np.random.default_rng(seed)
    index = pd.date_range(start, periods=days * 24 * 60, freq="1min", tz="UTC")
    local = index.tz_convert("America/New_York")
    minute = np.asarray(local.hour) * 60 + np.asarray(local.minute)
    # Lively for some hours in UTC, as every market is, with fat tails.
    lively = 1 + 3 * np.exp(-(((np.asarray(index.hour) - 14) / 3.0) ** 2))
    move = 1e-4 * lively * random.standard_t(4, len(index))
    spread = 2e-4 * lively * (0.2 + random.random(len(index)))
    if releases:
        day = np.asarray(local.tz_localize(None).as_unit("s").asi8) // 86_400
        # Three of any ten days: a share drawn by chance would at times be that of an opening.
        spread[(minute == 510) & np.isin(day % 10, random.choice(10, 3, replace=False))] *= 30
    close = 1000 * np.exp(np.cumsum(move))
    bars = pd.DataFrame(
        {"close": close, "high": close * np.exp(spread / 2), "low": close * np.exp(-spread / 2)},
        index=index,
    )
    keep = random.random(len(index) // 60 + 1)[np.arange(len(index)) // 60] >= holes
    if pause:
        weekday, hour = np.asarray(local.day_of_week), np.asarray(local.hour)
        closed = (hour == 17) | ((weekday == 4) & (hour >= 17)) | (weekday == 5)
        keep &= ~closed & ~((weekday == 6) & (hour < 18))
    return bars.loc[keep]


def prices(bars: pd.DataFrame) -> pd.Series:
    return pd.Series(bars["close"])


def shifted(bars: pd.DataFrame, hours: float) -> pd.DataFrame:
    return bars.set_index(bars.index + pd.Timedelta(hours=hours))


@settings(max_examples=8)
@given(hours=st.integers(-11, 12), seed=st.integers(0, 100))
def test_any_shift_is_found_by_every_evidence(hours: int, seed: int):
    bars = market(seed, days=120, pause=True, releases=True, holes=0.1)
    result = audit(shifted(bars, hours), GOLD, "1m", reference=prices(bars))
    assert {"release", "break", "week end", "week start", "lag"} == evidence(result, "winter")
    for finding in result.findings:
        assert (finding.offset_hours - hours) % 24 == 0, finding.sentence
        assert finding.chance <= CHANCE
        assert 0 < finding.strength <= 1
    if not hours:
        assert result.confirmed


@pytest.mark.parametrize("hours", [-3.5, 0.5, 5.5])
def test_half_hours_are_found_too(hours: float):
    bars = market(1, pause=True, holes=0.1)
    result = audit(shifted(bars, hours), GOLD, "1m", reference=prices(bars))
    assert {"break", "lag"} <= evidence(result, "winter")
    assert offsets(result) == {"winter": {hours}, "between": {hours}} or offsets(result) == {
        "winter": {hours}
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("holes", [0.0, 0.25])
def test_noise_says_nothing(seed: int, holes: float):
    """No pause, no weekend, no release, and a reference that is lively at the same hours."""
    bars = market(seed, holes=holes, days=60, start="2023-07-03")
    other = market(seed + 1000, days=60, start="2023-07-03")
    for instrument in (GOLD, NASDAQ, COIN):
        result = audit(bars, instrument, "1m", reference=prices(other))
        assert result.findings == (), result.text()
        assert not result.confirmed
        assert result.text().endswith("the bars say nothing clear about their clock")


def test_two_days_are_not_enough():
    bars = market(0, days=2, pause=True, releases=True)
    assert audit(bars, GOLD, "1m").findings == ()


def test_opposite_markets_are_correlated_too():
    bars = market(3)
    result = audit(shifted(bars, 2), COIN, "1m", reference=1 / prices(bars))
    assert {each.offset_hours for each in result.findings} == {2.0}


def test_coarse_bars_say_nothing():
    days = market(0, pause=True).resample("1D").last().dropna()
    assert audit(days, GOLD, "1d", reference=prices(days)).findings == ()


def test_table_is_ready_to_plot():
    result = audit(shifted(market(2, pause=True, releases=True), 3), GOLD, "1m")
    table = result.table()
    assert tuple(table.columns) == TABLE_COLUMNS
    groups = table.groupby(["evidence", "season"])
    assert len(groups) == len(result.findings)
    for _, rows in groups:
        expected = rows.loc[rows["expected"], "hours"].item()
        observed = rows.loc[rows["observed"], "hours"].item()
        assert (observed - expected) % 24 == 3
        assert rows.loc[rows["observed"], "value"].item() == rows["value"].max()
    assert tuple(audit(market(0, days=2), COIN, "1m").table().columns) == TABLE_COLUMNS


def test_bars_without_utc_are_refused():
    bars = market(0, days=2)
    with pytest.raises(DataError, match="the bars must be indexed by UTC times, not datetime64"):
        audit(bars.tz_localize(None), COIN, "1m")
    with pytest.raises(DataError, match="the reference must be in time order"):
        audit(bars, COIN, "1m", reference=prices(bars).iloc[::-1])
