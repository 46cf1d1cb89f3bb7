"""Bars written as the export files of each dialect, for tests.

Written from the formats' descriptions, with the standard library only; nothing of the reader is
used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

Rows = Iterator[tuple[datetime, list[str], str]]

# The clocks of the exports, as zone and hours added: what the source is told is the key.
CLOCKS: dict[str, tuple[str, int]] = {
    "UTC": ("UTC", 0),
    "new_york+7": ("America/New_York", 7),
    "histdata": ("Europe/London", -5),
    "EST_no_dst": ("Etc/GMT+5", 0),
    "Europe/Athens": ("Europe/Athens", 0),
}


def _rows(bars: pd.DataFrame) -> Rows:
    for time, row in zip(bars.index, bars.itertuples(index=False), strict=True):
        yield time.to_pydatetime(), [repr(float(each)) for each in row[:4]], f"{int(row[4])}"


def _wall(instant: datetime, clock: str) -> datetime:
    zone, hours = CLOCKS[clock]
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(hours=hours)


def metatrader5(bars: pd.DataFrame, clock: str) -> str:
    names = ("DATE", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD")
    lines = ["\t".join(f"<{name}>" for name in names)]
    for time, prices, volume in _rows(bars):
        stamp = f"{_wall(time, clock):%Y.%m.%d\t%H:%M:%S}"
        lines.append("\t".join((stamp, *prices, volume, "0", "17")))
    return "\r\n".join(lines) + "\r\n"


def metatrader5_daily(bars: pd.DataFrame, clock: str) -> str:
    del clock
    names = ("DATE", "OPEN", "HIGH", "LOW", "CLOSE", "TICKVOL", "VOL", "SPREAD")
    lines = ["\t".join(f"<{name}>" for name in names)]
    for time, prices, volume in _rows(bars):
        lines.append("\t".join((f"{time:%Y.%m.%d}", *prices, volume, "0", "17")))
    return "\n".join(lines) + "\n"


def metatrader4(bars: pd.DataFrame, clock: str) -> str:
    return "".join(
        f"{_wall(time, clock):%Y.%m.%d,%H:%M},{','.join(prices)},{volume}\n"
        for time, prices, volume in _rows(bars)
    )


def histdata_metatrader(bars: pd.DataFrame, clock: str) -> str:
    return "".join(
        f"{_wall(time, clock):%Y.%m.%d,%H:%M},{','.join(prices)},0\n"
        for time, prices, _ in _rows(bars)
    )


def histdata_ascii(bars: pd.DataFrame, clock: str) -> str:
    return "".join(
        f"{_wall(time, clock):%Y%m%d %H%M%S};{';'.join(prices)};0\n"
        for time, prices, _ in _rows(bars)
    )


def dukascopy(bars: pd.DataFrame, clock: str) -> str:
    del clock
    lines = ["Gmt time,Open,High,Low,Close,Volume"]
    for time, prices, volume in _rows(bars):
        lines.append(f"{time.astimezone(UTC):%d.%m.%Y %H:%M:%S}.000,{','.join(prices)},{volume}")
    return "\n".join(lines) + "\n"


def dukascopy_local(bars: pd.DataFrame, clock: str) -> str:
    del clock
    lines = ["Local time,Open,High,Low,Close,Volume"]
    for time, prices, volume in _rows(bars):
        local = time.astimezone(ZoneInfo("Europe/Zurich"))
        lines.append(f"{local:%d.%m.%Y %H:%M:%S}.000 GMT{local:%z},{','.join(prices)},{volume}")
    return "\n".join(lines) + "\n"


def tradingview(bars: pd.DataFrame, clock: str) -> str:
    del clock
    lines = ["time,open,high,low,close,Volume,VWAP"]
    for time, prices, volume in _rows(bars):
        local = time.astimezone(ZoneInfo("America/New_York"))
        lines.append(f"{local.isoformat()},{','.join(prices)},{volume},1.5")
    return "\n".join(lines)


def tradingview_epoch(bars: pd.DataFrame, clock: str) -> str:
    lines = ["time,open,high,low,close,Volume"]
    for time, prices, volume in _rows(bars):
        epoch = int(_wall(time, clock).replace(tzinfo=UTC).timestamp())
        lines.append(f"{epoch},{','.join(prices)},{volume}")
    return "\n".join(lines)


def yfinance(bars: pd.DataFrame, clock: str) -> str:
    del clock
    lines = ["Datetime,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits"]
    for time, prices, volume in _rows(bars):
        local = time.astimezone(ZoneInfo("America/New_York"))
        lines.append(f"{local},{','.join(prices)},{prices[3]},{volume},0.0,0.0")
    return "\n".join(lines)


def yfinance_stacked(bars: pd.DataFrame, clock: str) -> str:
    """Two tickers side by side, the other one's prices being ten times these."""
    del clock
    lines = [
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume",
        "Ticker,OTHER,XAUUSD,OTHER,XAUUSD,OTHER,XAUUSD,OTHER,XAUUSD,OTHER,XAUUSD",
        "Date,,,,,,,,,,",
    ]
    for time, (open_, high, low, close), volume in _rows(bars):
        pairs = [f"{float(each) * 10},{each}" for each in (close, high, low, open_)]
        lines.append(f"{time:%Y-%m-%d},{','.join(pairs)},7,{volume}")
    return "\n".join(lines)


def tiingo(bars: pd.DataFrame, clock: str) -> str:
    del clock
    adjusted = "adjClose,adjHigh,adjLow,adjOpen,adjVolume"
    lines = [f"date,close,high,low,open,volume,{adjusted},divCash,splitFactor"]
    for time, (open_, high, low, close), volume in _rows(bars):
        raw = f"{close},{high},{low},{open_},{volume}"
        lines.append(f"{time:%Y-%m-%dT%H:%M:%S}.000Z,{raw},{raw},0.0,1.0")
    return "\n".join(lines)


INTRADAY: dict[str, Callable[[pd.DataFrame, str], str]] = {
    "metatrader5": metatrader5,
    "metatrader4": metatrader4,
    "histdata_metatrader": histdata_metatrader,
    "histdata_ascii": histdata_ascii,
    "dukascopy": dukascopy,
    "dukascopy_local": dukascopy_local,
    "tradingview": tradingview,
    "tradingview_epoch": tradingview_epoch,
    "yfinance": yfinance,
}
DAILY: dict[str, Callable[[pd.DataFrame, str], str]] = {
    "metatrader5_daily": metatrader5_daily,
    "yfinance": yfinance_stacked,
    "tiingo": tiingo,
}
# Each stamp says its own offset, so no clock is declared.
STAMPED = ("dukascopy", "dukascopy_local", "tradingview", "yfinance", "tiingo")
NO_VOLUME = ("histdata_metatrader", "histdata_ascii")
