"""Polygon, replayed: aggregates, splits, dividends and news, as REST serves them.

After the vendor's documentation: the key as a bearer token, ``limit`` in base aggregates (minutes
or days), ``next_url`` with a cursor on the vendor's own host, and statuses in the body.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from tests.replay.server import Answer, Request

HOST = "https://api.polygon.io"
NEW_YORK = ZoneInfo("America/New_York")
RANGE = re.compile(r"/v2/aggs/ticker/([^/]+)/range/(\d+)/(minute|hour|day)/([^/]+)/([^/]+)")
REFERENCE = {"/v3/reference/splits": "splits", "/v3/reference/dividends": "dividends"}
NEWS = "/v2/reference/news"
DATES = {"splits": "execution_date", "dividends": "ex_dividend_date"}
BASE_AGGREGATES = {"minute": 1, "hour": 60, "day": 1}
FIELDS = {
    "volume": "v",
    "vwap": "vw",
    "open": "o",
    "close": "c",
    "high": "h",
    "low": "l",
    "trades": "n",
}


class PolygonReplay:
    """What the vendor has; call it with a request.

    Args:
        key: the one key that it takes.
        status: of good replies, ``OK`` or ``DELAYED``.
    """

    def __init__(self, key: str = "", status: str = "OK") -> None:
        self.key = key
        self.status = status
        self.results: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
        self.reference: dict[str, list[dict[str, Any]]] = {"splits": [], "dividends": []}
        self.news: list[dict[str, Any]] = []
        self.page = 1000

    def add_bars(
        self, ticker: str, count: int, unit: str, bars: pd.DataFrame, zone: Any = UTC
    ) -> None:
        """Bars indexed by open time; days by their date, which begins at midnight in ``zone``."""
        index = pd.DatetimeIndex(bars.index)
        if unit == "day":
            index = index.tz_localize(None).tz_localize(zone).tz_convert("UTC")
        stamps = index.as_unit("ms").asi8
        names = {name: field for name, field in FIELDS.items() if name in bars}
        columns = {field: bars[name].to_numpy() for name, field in names.items()}
        self.results[ticker, count, unit] = [
            {
                **{
                    field: values[row].item()
                    for field, values in columns.items()
                    if not np.isnan(values[row])
                },
                "t": int(at),
            }
            for row, at in enumerate(stamps)
        ]

    def add_split(self, ticker: str, date: str, old: float, new: float) -> None:
        self.reference["splits"].append(
            {"execution_date": date, "split_from": old, "split_to": new, "ticker": ticker}
        )

    def add_dividend(self, ticker: str, date: str, cash: float, **more: Any) -> None:
        self.reference["dividends"].append(
            {"cash_amount": cash, "ex_dividend_date": date, "ticker": ticker, **more}
        )

    def __call__(self, request: Request) -> Answer | None:
        found = RANGE.fullmatch(request.path)
        if not found and request.path not in (*REFERENCE, NEWS):
            return None
        sent = request.headers.get("authorization", "")
        if sent != f"Bearer {self.key}":
            return Answer(
                {"status": "ERROR", "request_id": "1", "error": f"Unknown API Key {sent[7:]}"}, 401
            )
        if found:
            ticker, count, unit, first, last = found.groups()
            return self._aggregates(request, ticker, int(count), unit, first, last)
        if request.path == NEWS:
            return self._news(request)
        return self._reference(request, REFERENCE[request.path])

    def _news(self, request: Request) -> Answer:
        query = _uncursored(request.query)
        if int(query.get("limit", 10)) > 1000:
            return Answer({"status": "ERROR", "error": "limit must be at most 1000"}, 400)
        rows = [
            row
            for row in self.news
            if query.get("ticker", row["tickers"][0]) in row["tickers"]
            and query.get("published_utc.gte", "") <= row["published_utc"]
            and row["published_utc"] <= query.get("published_utc.lte", "9")
        ]
        rows.sort(key=lambda row: row["published_utc"], reverse=query.get("order") != "asc")
        skip, size = int(query.get("skip", 0)), min(int(query.get("limit", 10)), self.page)
        page = rows[skip : skip + size]
        body = {"results": page, "status": "OK", "request_id": "4", "count": len(page)}
        if skip + size < len(rows):
            body["next_url"] = _cursored(request.path, {**query, "skip": str(skip + size)})
        return Answer(body)

    def _aggregates(
        self, request: Request, ticker: str, count: int, unit: str, first: str, last: str
    ) -> Answer:
        query = _uncursored(request.query)
        limit = int(query.get("limit", 5000))
        if not 1 <= limit <= 50_000:
            return Answer({"status": "ERROR", "error": "limit must be at most 50000"}, 400)
        zone = NEW_YORK if ":" not in ticker or ticker.startswith("I:") else UTC
        start = _bound(first, zone)
        stop = _bound(last, zone, end=True)
        now = int(request.now.timestamp() * 1000)
        rows = [
            row
            for row in self.results.get((ticker, count, unit), [])
            if start <= row["t"] <= min(stop, now)
        ]
        if query.get("sort") == "desc":
            rows = rows[::-1]
        skip = int(query.get("skip", 0))
        size = max(1, limit // (count * BASE_AGGREGATES[unit]))
        page = rows[skip : skip + size]
        body: dict[str, Any] = {
            "ticker": ticker,
            "queryCount": len(page) * count,
            "resultsCount": len(page),
            "adjusted": query.get("adjusted", "true") == "true",
            "results": page,
            "status": self.status,
            "request_id": "2",
            "count": len(page),
        }
        if not page:
            del body["results"]
        if skip + size < len(rows):
            body["next_url"] = _cursored(request.path, {**query, "skip": str(skip + size)})
        return Answer(body)

    def _reference(self, request: Request, kind: str) -> Answer:
        query = _uncursored(request.query)
        date = DATES[kind]
        rows = [
            row
            for row in self.reference[kind]
            if row["ticker"] == query.get("ticker") and row[date] >= query.get(f"{date}.gte", "")
        ]
        rows.sort(key=lambda row: row[date], reverse=query.get("order") == "desc")
        skip = int(query.get("skip", 0))
        size = min(int(query.get("limit", 10)), self.page)
        body: dict[str, Any] = {
            "results": rows[skip : skip + size],
            "status": "OK",
            "request_id": "3",
        }
        if skip + size < len(rows):
            body["next_url"] = _cursored(request.path, {**query, "skip": str(skip + size)})
        return Answer(body)


def _bound(text: str, zone: Any, *, end: bool = False) -> int:
    if text.isdigit():
        return int(text)
    day = datetime.fromisoformat(text).replace(tzinfo=zone)
    if end:
        day = day.replace(hour=23, minute=59, second=59, microsecond=999_000)
    return int(day.timestamp() * 1000)


def _cursored(path: str, query: Mapping[str, str]) -> str:
    cursor = base64.urlsafe_b64encode(json.dumps(dict(query)).encode()).decode()
    return f"{HOST}{path}?cursor={cursor}"


def _uncursored(query: Mapping[str, str]) -> dict[str, str]:
    if "cursor" not in query:
        return dict(query)
    return json.loads(base64.urlsafe_b64decode(query["cursor"]))
