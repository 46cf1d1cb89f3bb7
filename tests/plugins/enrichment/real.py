"""Real crypto bars with what belongs to them, joined as a source would join it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
CLOSE = pd.Timedelta(hours=1)


def perpetual(folder: Path, venue: str = "binance", coin: str = "BTC") -> Any:
    """Hourly perpetual: funding and open interest as of the close, liquidations at the day's end.

    The recorded liquidations are daily; they stand on the last bar of their day and are null on the
    others.
    """
    folder = folder / "crypto" / "perps_multi_venue"

    def one(name: str, venue: str | None) -> Any:
        rows: Any = pd.read_parquet(folder / f"{name}.parquet")
        rows = rows[rows["coin"] == coin]
        rows = rows if venue is None else rows[rows["venue"] == venue]
        return rows.sort_values("timestamp")

    bars: Any = one("candles", venue).rename(columns=NAMES)
    bars["close_time"] = bars["timestamp"] + CLOSE
    for name, place, column in (
        ("funding_rates", venue, "funding_rate"),
        ("open_interest", "hyperliquid", "oi_usd"),
    ):
        side = one(name, place)[["timestamp", column]].rename(columns={"timestamp": "known_at"})
        bars = pd.merge_asof(bars, side, left_on="close_time", right_on="known_at")
        bars = bars.drop(columns="known_at")
    bars = bars.rename(columns={"oi_usd": "open_interest"}).set_index("timestamp")
    for kind, column in (("long_usd", "liquidations_long"), ("short_usd", "liquidations_short")):
        daily = one("liquidation_volume", None).set_index("timestamp")[kind]
        bars[column] = daily.set_axis(daily.index + pd.Timedelta(hours=23)).reindex(bars.index)
    return bars.drop(columns=["venue", "coin", "close_time"])


def spot(folder: Path, coin: str = "BTC", timeframe: str = "1h") -> Any:
    """Binance spot bars with taker volume, average price and number of trades."""
    path = folder / "crypto" / "binance_spot_klines" / f"{coin}USDT_{timeframe}.parquet"
    rows: Any = pd.read_parquet(path).set_index("time").rename_axis("timestamp")
    bars: Any = rows[["open", "high", "low", "close", "volume"]].copy()
    bars["vwap"] = rows["quote_volume"] / rows["volume"]
    bars["trades"] = rows["trades"].astype("float64")
    bars["taker_buy_volume"] = rows["taker_buy_base"]
    return bars


def shares(folder: Path, name: str, symbol: str) -> Any:
    """Bars of a US share out of one of the tables of shares."""
    rows: Any = pd.read_parquet(folder / "us_equities" / f"{name}.parquet")
    rows = rows[rows["symbol"] == symbol]
    columns = ["open", "high", "low", "close", "volume"]
    return rows.set_index("time").rename_axis("timestamp").sort_index()[columns].astype("float64")


HOURLY = "hourly_10_plus_spx_vix_2020_2025"
FIVE_MINUTES = "intraday_5m_12_2025_12_2026_03"
DAILY = "daily_tiingo_44_2024_2026"
