"""The vendors of the examples, replayed with the real rows of the shared data.

Nothing is made up: what the data does not have is null or absent in the replies. Each vendor's
clock stands at the moment up to which its rows were collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hf_resources.instruments import load_universe
from tests.replay import BinanceReplay, PolygonReplay, ReplayServer
from tests.replay.polygon import NEW_YORK

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = "key-of-the-replay"
CLOCKS = {
    # After the end of extended trading of the last day that was collected.
    "us_equities": datetime(2026, 4, 1, 0, 30, tzinfo=UTC),
    # The collector crossed the full hour: half of its series end in an hour that had just begun.
    "crypto_perps": datetime(2026, 3, 19, 20, 0, 30, tzinfo=UTC),
}


@dataclass(frozen=True)
class Replay:
    """A vendor on this machine, and the environment that leads an example to it."""

    server: ReplayServer
    environment: Mapping[str, str]


@contextmanager
def replay(example: str, shared_data: Path) -> Iterator[Replay]:
    """The vendor of an example, as long as the context lasts."""
    vendor = {"us_equities": polygon, "crypto_perps": binance}[example](shared_data)
    with ReplayServer(vendor, now=CLOCKS[example]) as server:
        names = {
            "us_equities": ("POLYGON_BASE_URL",),
            "crypto_perps": ("BINANCE_USD_M_BASE_URL", "BINANCE_SPOT_BASE_URL"),
        }[example]
        environment = dict.fromkeys(names, server.url)
        if example == "us_equities":
            environment["POLYGON_API_KEY"] = KEY
        yield Replay(server, environment)


def symbols(example: str) -> tuple[str, ...]:
    """The symbols of an example."""
    return load_universe(EXAMPLES / example / "universe.yaml").symbols


def polygon(shared_data: Path) -> PolygonReplay:
    """Days with their splits and dividends, and five minutes, of the US shares."""
    vendor = PolygonReplay(KEY)
    for symbol in symbols("us_equities"):
        add_days(vendor, shared_data, symbol)
        vendor.add_bars(symbol, 5, "minute", five_minutes(shared_data, symbol))
    return vendor


def add_days(vendor: PolygonReplay, shared_data: Path, symbol: str) -> None:
    """Days of a US share with its splits and dividends."""
    days = daily_shares(shared_data, symbol)
    vendor.add_bars(symbol, 1, "day", days.loc[:, PRICES_AND_VOLUME], zone=NEW_YORK)
    for at, row in days.iterrows():
        day = f"{at:%Y-%m-%d}"
        if row["splitfactor"] != 1:
            vendor.add_split(symbol, day, 1, row["splitfactor"])
        if row["divcash"]:
            vendor.add_dividend(symbol, day, row["divcash"], currency="USD")


def binance(shared_data: Path) -> BinanceReplay:
    """Hours with funding and open interest of the perpetuals, and hours of the spot pairs.

    The open interest was collected every four hours. A sample of four hours is the one that the
    venue has for one hour at that stamp, so the hours between have none.
    """
    vendor = BinanceReplay()
    for symbol in symbols("crypto_perps"):
        if "/" in symbol:
            pair = symbol.replace("/", "")
            vendor.add_klines("spot", pair, "1h", spot_hours(shared_data, symbol))
            continue
        vendor.add_klines("usd_m", symbol, "1h", perpetual_hours(shared_data, symbol))
        vendor.add_funding(symbol, funding(shared_data, symbol))
        vendor.add_open_interest(symbol, "1h", open_interest(shared_data, symbol))
    return vendor


# ------------------------------------------------------------------------------- the real rows

PRICES_AND_VOLUME = ["open", "high", "low", "close", "volume"]


def daily_shares(shared_data: Path, symbol: str) -> Any:
    return _rows(shared_data / "us_equities" / "daily_tiingo_44_2024_2026.parquet", symbol)


def five_minutes(shared_data: Path, symbol: str) -> Any:
    file = shared_data / "us_equities" / "intraday_5m_12_2025_12_2026_03.parquet"
    return _rows(file, symbol).loc[:, PRICES_AND_VOLUME]


def perpetual_hours(shared_data: Path, symbol: str) -> Any:
    return _rows(shared_data / "crypto" / "binance_perps_20" / "klines_1h.parquet", symbol)


def spot_hours(shared_data: Path, symbol: str) -> Any:
    pair = symbol.replace("/", "")
    frame = pd.read_parquet(shared_data / "crypto" / "binance_spot_klines" / f"{pair}_1h.parquet")
    return frame.set_index("time").sort_index()


def funding(shared_data: Path, symbol: str) -> Any:
    file = shared_data / "crypto" / "binance_perps_all" / "funding.parquet"
    return _rows(file, symbol)["funding_rate"]


def open_interest(shared_data: Path, symbol: str) -> Any:
    file = shared_data / "crypto" / "binance_perps_all" / "oi_4h.parquet"
    return _rows(file, symbol)["sum_open_interest"]


def _rows(file: Path, symbol: str) -> Any:
    frame = pd.read_parquet(file, filters=[("symbol", "==", symbol)])
    return frame.set_index("time").sort_index()
