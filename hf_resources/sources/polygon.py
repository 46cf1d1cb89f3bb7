"""Bars from Polygon, which is named Massive since 2025: aggregates, splits and dividends over REST.

Facts of the interface that shape this module (vendor's documentation of "Aggregates", "Stock
Splits v3" and "Dividends v3"):

* ``limit`` counts the base aggregates behind the bars (minutes, or days), 50,000 at most; what is
  left follows under ``next_url``.
* Times are milliseconds since 1970 UTC; a day of stocks and indices begins at midnight in New York,
  one of currencies and crypto at midnight UTC. Daily bars are labelled here with midnight UTC of
  their date, as everywhere in the platform.
* Bars cover the extended hours, 4:00 to 20:00 New York.
* Bars of an hour open on the full hour. The one at 9:00 in New York holds half an hour before the
  session and half an hour of it.
* The status ``DELAYED`` means that the plan sees trades 15 minutes late.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, cast
from urllib.parse import quote
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import DataError
from hf_plugins.timeframes import duration
from hf_resources.instruments import Instrument
from hf_resources.sources.base import register_source
from hf_resources.sources.corporate_actions import Event, per_bar
from hf_resources.sources.http import BadReplyError, HttpClient, Reply
from hf_resources.sources.paging import (
    EPOCH,
    Page,
    earliest,
    in_window,
    instant,
    instants,
    milliseconds,
    number,
    tidy,
    walk,
)
from hf_resources.sources.polygon_rest import PolygonReach, chain, client_of, results
from hf_resources.sources.vendor import VendorParams, VendorSource, last_final, ordered

# Bars of four hours are left out: the vendor lays them from midnight in New York, so that they do
# not open on multiples of four hours UTC and move with daylight saving. They can be resampled.
# So can bars of an hour of a market whose session begins at half past.
_RANGES: Final[dict[str, tuple[int, str]]] = {
    "1m": (1, "minute"),
    "5m": (5, "minute"),
    "15m": (15, "minute"),
    "30m": (30, "minute"),
    "1h": (1, "hour"),
    "1d": (1, "day"),
}
_PREFIXES: Final = {"equity": "", "crypto": "X:", "fx": "C:", "metal": "C:", "index": "I:"}
_NEW_YORK: Final = "America/New_York"
# Minutes with bars in a week, at most: extended hours of an exchange, or all hours.
_MINUTES_PER_WEEK: Final = {"24/7": 7 * 1440, "24/5": 5 * 1440 + 120}
_EXCHANGE_MINUTES_PER_WEEK: Final = 5 * 960
_DELAY: Final = timedelta(minutes=15)
_END_OF_TRADING: Final = timedelta(hours=20)
_FIRST_DAY: Final = "1970-01-01"
# A ticker without a bar for longer than this is told as a new one.
_LONGEST_HALT: Final = timedelta(days=90)
_FIELDS: Final = {
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "vw": "vwap",
    "n": "trades",
}
_NEEDED: Final = ("o", "h", "l", "c")
# Parameters that say how the vendor is reached and not what the bars are.
_REACH: Final = ("limit", *PolygonReach.model_fields)


class PolygonParams(PolygonReach, VendorParams):
    """Parameters of the source ``polygon``."""

    adjusted: Annotated[
        bool,
        Field(
            description="Take prices that the vendor adjusted for splits. Their history changes "
            "with every split, and splits and dividends are not given beside them."
        ),
    ] = False
    corporate_actions: Annotated[
        bool, Field(description="Fetch splits and dividends of equities beside raw prices.")
    ] = True
    limit: Annotated[int, Field(ge=1, le=50_000, description="Base aggregates per request.")] = (
        50_000
    )


@register_source("polygon")
class PolygonSource(VendorSource):
    """Stocks, currencies, crypto and indices from Polygon / Massive.

    Symbols of the universe are the vendor's tickers; slashes and dashes of currency pairs are
    dropped and the vendor's prefix put before (``BTC/USD`` is ``X:BTCUSD``).

    A bar is final when it is over by the vendor's clock, a daily bar of an exchange at 20:00 in New
    York of its day, when extended trading ends; 15 minutes later if the plan is delayed.
    """

    Params: ClassVar[type[Params]] = PolygonParams

    @property
    def settings(self) -> PolygonParams:
        """The parameters."""
        return cast(PolygonParams, self.params)

    def parameters(self) -> dict[str, Any]:
        """Without what only says how the vendor is reached, and with which key."""
        values = super().parameters()
        return {name: value for name, value in values.items() if name not in _REACH}

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """All but ``4h``, and ``1h`` where the market trades around the clock; none for futures."""
        if instrument.asset_class not in _PREFIXES:
            return ()
        hourly = instrument.calendar in _MINUTES_PER_WEEK
        return tuple(name for name in _RANGES if hourly or name != "1h")

    def columns(self, instrument: Instrument) -> tuple[str, ...]:
        """Splits and dividends for equities only; an index has no volume, which is null then."""
        columns = {*_FIELDS.values(), "is_final"}
        if self._has_actions(instrument):
            columns |= {"split_factor", "dividend"}
        return ordered(columns)

    def read(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pd.DataFrame]:
        """One page per window that ``limit`` covers."""
        history = self._history(instrument, timeframe)
        if not self._has_actions(instrument):
            yield from history.pages(start, end)
            return
        events: Events | None = None
        after: datetime | None = None
        for bars in history.pages(start, end):
            opens = pd.DatetimeIndex(bars.index)
            if events is None:
                events = history.events(start)
                after = history.told_until(start, instant(opens[0]), events)
            yield bars.assign(
                split_factor=per_bar(opens, events.splits, after, 1.0, operator.mul),
                dividend=per_bar(opens, events.dividends, after, 0.0, operator.add),
            )
            after = instant(opens[-1])

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """Open time of the last finished bar of the last ten days; None if there is none."""
        self.require(instrument, timeframe)
        bars = self._history(instrument, timeframe).latest(timedelta(days=10))
        return last_final(bars)

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """What the vendor has not."""
        del timeframe
        notes = ["Bars cover extended hours as well."] if instrument.asset_class == "equity" else []
        if instrument.asset_class == "index":
            notes.append("An index has no volume; volume is null.")
        if instrument.asset_class == "equity" and not self._has_actions(instrument):
            notes.append("Splits and dividends are not fetched, as the parameters say.")
        return tuple(notes)

    def _has_actions(self, instrument: Instrument) -> bool:
        wanted = self.settings.corporate_actions and not self.settings.adjusted
        return wanted and instrument.asset_class == "equity"

    @cached_property
    def _client(self) -> HttpClient:
        return client_of(self.key, self.settings)

    def _history(self, instrument: Instrument, timeframe: str) -> _History:
        ticker = self._ticker(instrument)
        return _History(self._client, self.settings, instrument, timeframe, ticker)

    def _ticker(self, instrument: Instrument) -> str:
        prefix = _PREFIXES[instrument.asset_class]
        plain = instrument.symbol.replace("/", "").replace("-", "") if prefix else instrument.symbol
        usual = plain if plain.startswith(prefix) else prefix + plain
        return self.vendor_symbol(instrument, usual)


class Events(NamedTuple):
    """What happened to the shares of one ticker."""

    splits: list[Event]
    dividends: list[Event]


class _History:
    """The bars and corporate actions of one ticker in one timeframe."""

    def __init__(
        self,
        client: HttpClient,
        settings: PolygonParams,
        instrument: Instrument,
        timeframe: str,
        ticker: str,
    ) -> None:
        self._client = client
        self._settings = settings
        self._ticker = ticker
        self._timeframe = timeframe
        self._subject = f"{instrument.symbol} {timeframe}"
        self._owner = f"source 'polygon': {self._subject}"
        self._step = duration(timeframe)
        # Currencies and crypto have UTC days, all else the days of New York.
        self._has_local_days = timeframe == "1d" and instrument.asset_class in ("equity", "index")
        minutes = _MINUTES_PER_WEEK.get(instrument.calendar, _EXCHANGE_MINUTES_PER_WEEK)
        self._width = (
            timedelta(days=settings.limit)
            if timeframe == "1d"
            else timedelta(weeks=settings.limit // minutes) or timedelta(days=1)
        )

    def pages(self, start: datetime | None, end: datetime | None) -> Iterator[pd.DataFrame]:
        def first(at: datetime | None) -> datetime | None:
            return self._first(at, end)

        yield from walk(self._window, first, start, end, self._width, self._owner)

    def latest(self, span: timedelta) -> pd.DataFrame:
        """The last bars of the span up to now, in no order."""
        stop = _tomorrow()
        # Enough minutes for an unfinished bar and the one before, at the longest.
        limit = min(120, self._settings.limit)
        return self._request(stop - span, stop, "desc", limit, follow=False).bars

    def events(self, start: datetime | None) -> Events:
        """Splits and dividends that may belong to bars from ``start`` on."""
        since = "" if start is None else str((start - _LONGEST_HALT).date())
        return Events(
            self._reference("splits", "execution_date", since, _split),
            self._reference("dividends", "ex_dividend_date", since, _dividend),
        )

    def told_until(
        self, start: datetime | None, first: datetime, events: Events
    ) -> datetime | None:
        """Open time of the last bar before ``start``, whose events are not the first bar's.

        An event on days without trading is the next bar's, also when that one begins a window. None
        where the history begins here, so that earlier events are nobody's.
        """
        if start is None:
            return None
        since = start - _LONGEST_HALT
        if not any(since < event.at < first for kind in events for event in kind):
            return since
        bars = self._request(since, start, "desc", 1, follow=False).bars
        return instant(bars.index.max()) if len(bars) else None

    def _window(self, start: datetime, stop: datetime) -> Page:
        page = self._request(start, stop, "asc", self._settings.limit, follow=True)
        return Page(tidy(page.bars, self._owner), stop, page.moment)

    def _first(self, at: datetime | None, end: datetime | None) -> datetime | None:
        page = self._request(at, end or _tomorrow(), "asc", 1, follow=False)
        return earliest(pd.DatetimeIndex(page.bars.index), at)

    def _request(
        self,
        start: datetime | None,
        stop: datetime,
        sort: Literal["asc", "desc"],
        limit: int,
        *,
        follow: bool,
    ) -> Page:
        count, unit = _RANGES[self._timeframe]
        path = f"/v2/aggs/ticker/{quote(self._ticker, safe=':')}/range/{count}/{unit}"
        last = min(stop, max(_tomorrow(), start or stop)) - timedelta(milliseconds=1)
        path += f"/{self._bound(start)}/{self._bound(last)}"
        query: Mapping[str, str | int] = {
            "adjusted": str(self._settings.adjusted).lower(),
            "sort": sort,
            "limit": limit,
        }
        frames: list[pd.DataFrame] = []

        def check(body: Any) -> None:
            opens = self._checked(body)
            if follow and start is not None:
                in_window(opens, start, stop)
            if len(opens) and frames and opens.isin(pd.concat(frames).index).all():
                raise BadReplyError("has the bars of a page before it once more")

        moment = EPOCH
        for reply in self._replies(path, query, check, follow=follow):
            frames.append(self._bars(reply))
            moment = reply.moment
        return Page(pd.concat(frames), stop, moment)

    def _bound(self, instant: datetime | None) -> str | int:
        if instant is None:
            return _FIRST_DAY
        return str(instant.date()) if self._timeframe == "1d" else milliseconds(instant)

    def _replies(
        self,
        path: str,
        query: Mapping[str, str | int],
        check: Callable[[Any], None],
        *,
        follow: bool,
    ) -> Iterator[Reply]:
        return chain(
            self._client,
            path,
            query,
            check,
            subject=self._subject,
            owner=self._owner,
            attempts=self._settings.attempts,
            follow=follow,
        )

    def _checked(self, body: Any) -> pd.DatetimeIndex:
        rows = results(body)
        if body.get("ticker") not in (None, self._ticker):
            raise BadReplyError(f"is of ticker {body['ticker']!r}, not '{self._ticker}'")
        count = body.get("resultsCount")
        if count is not None and count != len(rows):
            raise BadReplyError(f"says it has {count} bars and has {len(rows)}")
        if body.get("adjusted") not in (None, self._settings.adjusted):
            raise BadReplyError(
                f"has adjusted={body['adjusted']}, and adjusted={self._settings.adjusted} was asked"
            )
        for row in rows:
            if type(row.get("t")) is not int:
                raise BadReplyError(f"has t {row.get('t')!r}, which is no time in milliseconds")
            for name in _FIELDS:
                if name in _NEEDED or row.get(name) is not None:
                    number(row.get(name), name)
        return self._labels(rows)

    def _bars(self, reply: Reply) -> pd.DataFrame:
        rows = results(reply.body)
        bars = pd.DataFrame(
            {
                column: np.array(
                    [np.nan if row.get(name) is None else float(row[name]) for row in rows],
                    dtype="float64",
                )
                for name, column in _FIELDS.items()
            },
            index=self._labels(rows),
        )
        late = _DELAY if reply.body.get("status") == "DELAYED" else timedelta(0)
        opens = pd.DatetimeIndex(bars.index)
        if self._has_local_days:
            over = (opens.tz_localize(None) + _END_OF_TRADING).tz_localize(_NEW_YORK)
        else:
            over = opens + self._step
        bars["is_final"] = np.asarray(over + late <= reply.moment, dtype=bool)
        return bars

    def _labels(self, rows: list[dict[str, Any]]) -> pd.DatetimeIndex:
        """The open times, as the platform labels them."""
        opens = instants([row["t"] for row in rows])
        if not self._has_local_days:
            return opens
        local = opens.tz_convert(_NEW_YORK)
        wrong = local != local.normalize()
        if wrong.any():
            raise DataError(
                f"{self._owner}: a daily bar begins at {local[wrong][0]}, which is no midnight in "
                "New York; the asset class of the instrument is not that of its ticker"
            )
        return local.tz_localize(None).tz_localize("UTC")

    def _reference(
        self, kind: str, date: str, since: str, parse: Callable[[Mapping[str, Any]], float]
    ) -> list[Event]:
        path = f"/v3/reference/{kind}"
        query: dict[str, str | int] = {"ticker": self._ticker, "limit": 1000, "order": "asc"}
        query["sort"] = date
        if since:
            query[f"{date}.gte"] = since

        def check(body: Any) -> None:
            for row in results(body):
                if row.get("ticker") not in (None, self._ticker):
                    raise BadReplyError(f"is of ticker {row['ticker']!r}, not '{self._ticker}'")
                _date(row, date)
                parse(row)

        rows: dict[object, Event] = {}
        for reply in self._replies(path, query, check, follow=True):
            for row in results(reply.body):
                self._in_dollars(row)
                event = Event(self._instant(_date(row, date)), parse(row))
                # The vendor numbers its events; one that comes on two pages is one.
                rows[row.get("id") or tuple(sorted(row.items()))] = event
        return sorted(rows.values(), key=lambda event: event.at)

    def _instant(self, day: datetime) -> datetime:
        zone = UTC if self._timeframe == "1d" else ZoneInfo(_NEW_YORK)
        return day.replace(tzinfo=zone).astimezone(UTC)

    def _in_dollars(self, row: Mapping[str, Any]) -> None:
        currency = row.get("currency")
        if currency not in (None, "USD"):
            raise DataError(
                f"{self._owner}: the dividend of {row.get('ex_dividend_date')} is in {currency} "
                "and the prices are in USD; set corporate_actions: false, or take the factors from "
                "another source"
            )


def _tomorrow() -> datetime:
    """A bound that no bar lies behind. What is finished is told by the vendor's clock, not here."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)


def _date(row: Mapping[str, Any], name: str) -> datetime:
    try:
        return datetime.strptime(str(row.get(name)), "%Y-%m-%d")
    except ValueError:
        raise BadReplyError(f"has {name} {row.get(name)!r}, which is no date") from None


def _split(row: Mapping[str, Any]) -> float:
    old, new = number(row.get("split_from"), "split_from"), number(row.get("split_to"), "split_to")
    if old <= 0 or new <= 0:
        raise BadReplyError(f"has a split of {old:g} to {new:g}")
    return new / old


def _dividend(row: Mapping[str, Any]) -> float:
    return number(row.get("cash_amount"), "cash_amount")
