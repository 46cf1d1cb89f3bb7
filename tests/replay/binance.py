"""Binance, replayed: klines, funding, open interest and the long/short ratio, as REST serves them.

After the vendor's documentation: limits of rows, which rows a window without enough room yields,
the 30 days of the statistics, error bodies with a code, and weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from tests.replay.server import Answer, Request

KLINES = {"/api/v3/klines": ("spot", 1000), "/fapi/v1/klines": ("usd_m", 1500)}
STATISTICS = {
    "/futures/data/openInterestHist": "open_interest",
    "/futures/data/globalLongShortAccountRatio": "long_short_ratio",
}


class BinanceReplay:
    """What the venue has; call it with a request.

    Args:
        weight_per_minute: answers 429 beyond that many weights within a minute of real time.
    """

    def __init__(self, weight_per_minute: float = float("inf")) -> None:
        self.klines: dict[tuple[str, str, str], list[list[Any]]] = {}
        self.funding: dict[str, list[dict[str, Any]]] = {}
        self.statistics: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        self.weight_per_minute = weight_per_minute
        self.spent: list[tuple[datetime, float]] = []

    def add_klines(self, market: str, symbol: str, interval: str, bars: pd.DataFrame) -> None:
        """Bars indexed by open time, with quote_volume, trades and taker columns if there are.

        A column that is not there is null, as mirrors send what they do not have.
        """
        opens = _milliseconds(bars.index)
        step = _step(interval)
        unknown = [None] * len(bars)
        columns = [
            [_decimal(value) for value in bars[name]] if name in bars else unknown
            for name in (
                *("open", "high", "low", "close", "volume", "quote_volume"),
                *("taker_buy_base", "taker_buy_quote"),
            )
        ]
        trades = [int(count) for count in bars["trades"]] if "trades" in bars else unknown
        self.klines[market, symbol, interval] = [
            [int(at), *row[:5], int(at) + step - 1, row[5], count, *row[6:], "0"]
            for at, count, *row in zip(opens, trades, *columns, strict=True)
        ]

    def add_funding(self, symbol: str, rates: pd.Series) -> None:
        """Rates indexed by the time of their settlement."""
        self.funding[symbol] = [
            {
                "symbol": symbol,
                "fundingTime": int(at),
                "fundingRate": _decimal(rate),
                "markPrice": "",
            }
            for at, rate in zip(_milliseconds(rates.index), rates, strict=True)
        ]

    def add_open_interest(self, symbol: str, period: str, values: pd.Series) -> None:
        """Samples indexed by their stamps."""
        self.statistics["open_interest", symbol, period] = [
            {
                "symbol": symbol,
                "sumOpenInterest": _decimal(value),
                "sumOpenInterestValue": _decimal(value),
                "timestamp": int(at),
            }
            for at, value in zip(_milliseconds(values.index), values, strict=True)
        ]

    def add_long_short_ratio(self, symbol: str, period: str, values: pd.Series) -> None:
        """Samples indexed by their stamps."""
        self.statistics["long_short_ratio", symbol, period] = [
            {
                "symbol": symbol,
                "longAccount": _decimal(value / (1 + value)),
                "longShortRatio": f"{value:.4f}",
                "shortAccount": _decimal(1 / (1 + value)),
                "timestamp": int(at),
            }
            for at, value in zip(_milliseconds(values.index), values, strict=True)
        ]

    def __call__(self, request: Request) -> Answer | None:
        known = request.path in KLINES or request.path in STATISTICS
        if not known and request.path != "/fapi/v1/fundingRate":
            return None
        if request.path in KLINES and not self._affordable(request):
            return _error(-1003, "Too many requests.", 429, {"Retry-After": "1"})
        symbol = request.query.get("symbol", "")
        if request.path == "/fapi/v1/fundingRate":
            rows = self.funding.get(symbol, [])
            return self._window(request, rows, lambda row: row["fundingTime"], 100, 1000)
        if request.path in KLINES:
            market, most = KLINES[request.path]
            interval = request.query.get("interval", "")
            rows = self.klines.get((market, symbol, interval))
            if not any(key[:2] == (market, symbol) for key in self.klines):
                return _error(-1121, "Invalid symbol.")
            if rows is None:
                return _error(-1120, "Invalid interval.")
            return self._window(request, rows, lambda row: row[0], 500, most)
        key = (STATISTICS[request.path], symbol, request.query.get("period", ""))
        kept = int((request.now - timedelta(days=30)).timestamp() * 1000)
        if int(request.query.get("startTime", kept)) < kept:
            return _error(-1130, "parameter 'startTime' is invalid.")
        rows = [row for row in self.statistics.get(key, []) if row["timestamp"] >= kept]
        return self._window(request, rows, lambda row: row["timestamp"], 30, 500, newest=True)

    def _affordable(self, request: Request) -> bool:
        limit = int(request.query.get("limit", 500))
        spot = KLINES[request.path][0] == "spot"
        weight = 2 if spot else 1 if limit < 100 else 2 if limit < 500 else 5
        real = datetime.now()
        self.spent = [each for each in self.spent if each[0] > real - timedelta(minutes=1)]
        if sum(each[1] for each in self.spent) + weight > self.weight_per_minute:
            return False
        self.spent.append((real, weight))
        return True

    def _window(
        self,
        request: Request,
        rows: list[Any],
        stamp: Any,
        usual: int,
        most: int,
        *,
        newest: bool = False,
    ) -> Answer:
        limit = int(request.query.get("limit", usual))
        if not 1 <= limit <= most:
            return _error(-1130, "parameter 'limit' is invalid.")
        now = int(request.now.timestamp() * 1000)
        start, end = request.query.get("startTime"), request.query.get("endTime")
        last = min(now, int(end)) if end else now
        rows = [row for row in rows if int(start or 0) <= stamp(row) <= last]
        return Answer(rows[-limit:] if newest or not start else rows[:limit])


def _error(
    code: int, message: str, status: int = 400, headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer({"code": code, "msg": message}, status, headers or {})


def _milliseconds(index: pd.Index) -> np.ndarray:
    return pd.DatetimeIndex(index).as_unit("ms").asi8


def _step(interval: str) -> int:
    units = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
    return int(interval[:-1]) * units[interval[-1]]


def _decimal(value: float) -> str:
    return f"{value:.8f}"
