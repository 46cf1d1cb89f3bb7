"""Bars from Binance, spot and USD-M perpetual futures, with what the venue knows beside them.

Facts of the interface that shape this module (vendor's documentation of the spot and the USD-M
futures market data endpoints):

* A kline is an array of 12: open time, open, high, low, close, volume, close time, quote volume,
  trades, taker buy base volume, taker buy quote volume, unused. Prices are text. The last kline is
  the one being formed.
* Requests have weights; an address may use 6,000 a minute (spot) or 2,400 (futures), settlements
  and statistics have limits of their own. 429 asks to wait, 418 is a ban after ignoring it; both
  say how long in ``Retry-After``.
* Funding settles every 8, 4 or 1 hours; the stamps are some milliseconds late.
* Open interest and the long/short ratio are samples at their stamps, kept for 30 days only. Asked
  for more than a reply holds, these endpoints give the newest: they are asked in windows.
* There is no history of liquidations; see :mod:`hf_resources.sources.binance_liquidations`.

No key is needed, and none is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError
from hf_plugins.timeframes import DURATIONS, duration
from hf_resources.instruments import Instrument
from hf_resources.sources.base import register_source
from hf_resources.sources.binance_liquidations import read_liquidations
from hf_resources.sources.http import BadReplyError, HttpClient, TokenBucket
from hf_resources.sources.paging import (
    EPOCH,
    Page,
    earliest,
    in_window,
    instant,
    instants,
    milliseconds,
    number,
    walk,
)
from hf_resources.sources.side_series import Ask, SideSeries, Stamped
from hf_resources.sources.vendor import VendorParams, VendorSource, last_final, ordered

Market = Literal["spot", "usd_m"]
Side = Literal["funding_rate", "open_interest", "long_short_account_ratio"]

BASE_URLS: Final[dict[Market, str]] = {
    "spot": "https://api.binance.com",
    "usd_m": "https://fapi.binance.com",
}
_KLINES: Final[dict[Market, str]] = {"spot": "/api/v3/klines", "usd_m": "/fapi/v1/klines"}
_WEIGHT_PER_MINUTE: Final[dict[Market, int]] = {"spot": 6000, "usd_m": 2400}
_FUNDING_PER_MINUTE: Final = 100
_STATISTICS_PER_MINUTE: Final = 200
# Position in a kline and column.
_FIELDS: Final = {
    1: "open",
    2: "high",
    3: "low",
    4: "close",
    5: "volume",
    8: "trades",
    9: "taker_buy_volume",
}
_KLINE_LENGTH: Final = 12
# What a mirror of the venue may not have, and sends as null; the venue itself always has it.
_OPTIONAL: Final = ("trades", "taker_buy_volume")
_FUNDING_ROWS: Final = 1000
_STATISTICS_ROWS: Final = 500
# An hour less than the venue keeps, because a start outside is refused and not cut.
_STATISTICS_KEPT: Final = timedelta(days=30) - timedelta(hours=1)
# The longest interval between settlements, and more than their stamps were ever late.
_FUNDING_OLDEST: Final = timedelta(hours=8, minutes=1)
_LIQUIDATIONS: Final = ("liquidations_long", "liquidations_short")
# Parameters that say how the venue is asked and not what the bars are.
_REACH: Final = ("page_size", "budget")


class BinanceParams(VendorParams):
    """Parameters of the source ``binance``."""

    market: Annotated[Market, Field(description="Spot, or USD-M perpetual futures.")] = "spot"
    series: Annotated[
        tuple[Side, ...],
        Field(description="Series to lay beside the bars of futures; spot has none."),
    ] = ("funding_rate", "open_interest", "long_short_account_ratio")
    liquidations: Annotated[
        str | None,
        Field(min_length=1, description="Folder that the recorder of liquidations writes to."),
    ] = None
    page_size: Annotated[int, Field(ge=1, le=1000, description="Bars per request.")] = 1000
    budget: Annotated[
        float,
        Field(gt=0, le=1, description="Part of the venue's limits that this source may use."),
    ] = 0.8


@register_source("binance")
class BinanceSource(VendorSource):
    """Spot or USD-M futures klines from Binance.

    Symbols of the universe are the venue's; slashes and dashes are dropped (``BTC/USDT`` is
    ``BTCUSDT``). A bar is final when it is over by the venue's clock.

    Beside the bars of futures, each value as of the bar's close and never from after it:

    * ``funding_rate``: the last rate settled at or before the close, by the venue's stamp. A stamp
      is often some milliseconds late; such a rate is the next bar's. Null if the last settlement is
      more than 8 hours back.
    * ``open_interest`` (base currency) and ``long_short_account_ratio``: the last sample at or
      before the close, one per bar (5 minutes for ``1m``). Null if that sample is older than one
      sampling period, and before the 30 days that the venue keeps.
    * ``liquidations_long``, ``liquidations_short``: from the recorder's files, null for bars during
      which it was not recording.
    """

    Params: ClassVar[type[Params]] = BinanceParams

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        given = self.params.model_fields_set & {"series", "liquidations"}
        if self.settings.market == "spot" and given:
            raise ConfigurationError(
                f"source 'binance': parameter '{min(given)}' is set and market is 'spot', which "
                "has neither funding nor open interest nor liquidations; set market: usd_m or "
                "leave it out"
            )

    @property
    def settings(self) -> BinanceParams:
        """The parameters."""
        return cast(BinanceParams, self.params)

    def parameters(self) -> dict[str, Any]:
        """Without what only says how much is asked for at once."""
        values = super().parameters()
        return {name: value for name, value in values.items() if name not in _REACH}

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """All of the platform's, for crypto."""
        return tuple(DURATIONS) if instrument.asset_class == "crypto" else ()

    def columns(self, instrument: Instrument) -> tuple[str, ...]:
        """Klines' columns and those of the series and liquidations that are wanted."""
        del instrument
        columns = {*_FIELDS.values(), "is_final", *self._series}
        if self.settings.liquidations is not None:
            columns |= set(_LIQUIDATIONS)
        return ordered(columns)

    def read(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pd.DataFrame]:
        """One page per ``page_size`` bars."""
        klines = self._history(instrument, timeframe)
        step = duration(timeframe)
        sides: dict[str, SideSeries] | None = None
        for bars in klines.pages(start, end):
            closes = pd.DatetimeIndex(bars.index) + step
            if sides is None:
                sides = self._sides(instrument, timeframe, instant(closes[0]), klines.moment)
            horizon = klines.moment if end is None else min(end, klines.moment)
            columns = {name: side.at(closes, horizon) for name, side in sides.items()}
            if self.settings.liquidations is not None:
                folder = Path(self.settings.liquidations)
                symbol = self._symbol(instrument)
                recorded = read_liquidations(folder, symbol, closes - step, step)
                columns |= {name: recorded[name].to_numpy() for name in _LIQUIDATIONS}
            yield bars.assign(**columns)

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """Open time of the last finished bar, from the last two; None if there is none."""
        self.require(instrument, timeframe)
        return last_final(self._history(instrument, timeframe).latest())

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """What the venue does not keep."""
        del instrument, timeframe
        short = [name for name in self._series if name != "funding_rate"]
        notes = [
            f"Binance keeps {name} for 30 days; it is null before, and must be fetched at least "
            "monthly to have no hole."
            for name in short
        ]
        if self.settings.market == "spot":
            return ()
        if self.settings.liquidations is None:
            notes.append("Binance has no history of liquidations; record them from its stream.")
        else:
            notes.append(
                "Liquidations are those of the stream, which shows at most one a second per "
                "symbol: a lower bound."
            )
        return tuple(notes)

    @property
    def _series(self) -> tuple[Side, ...]:
        return self.settings.series if self.settings.market == "usd_m" else ()

    def _symbol(self, instrument: Instrument) -> str:
        usual = instrument.symbol.replace("/", "").replace("-", "")
        return self.vendor_symbol(instrument, usual)

    def _history(self, instrument: Instrument, timeframe: str) -> _Klines:
        symbol = self._symbol(instrument)
        return _Klines(self._clients["klines"], self.settings, instrument, symbol, timeframe)

    @cached_property
    def _clients(self) -> dict[str, HttpClient]:
        """One for each limit that the venue counts by itself."""
        settings = self.settings
        limits = {
            "klines": _WEIGHT_PER_MINUTE[settings.market],
            "funding": _FUNDING_PER_MINUTE,
            "statistics": _STATISTICS_PER_MINUTE,
        }
        base_url = settings.base_url or BASE_URLS[settings.market]
        return {
            name: HttpClient(
                self.key, base_url, settings, bucket=TokenBucket(limit * settings.budget)
            )
            for name, limit in limits.items()
        }

    def _sides(
        self,
        instrument: Instrument,
        timeframe: str,
        first_close: datetime,
        moment: datetime,
    ) -> dict[str, SideSeries]:
        symbol, owner = self._symbol(instrument), self.owner(instrument, timeframe)
        subject = f"{instrument.symbol} {timeframe}"
        period = "5m" if timeframe == "1m" else timeframe
        length = duration(period)
        kept = moment - _STATISTICS_KEPT

        def funding(start: datetime, stop: datetime) -> Stamped:
            return _stamped(
                self._clients["funding"], "/fapi/v1/fundingRate", {"symbol": symbol},
                *("fundingTime", "fundingRate", subject, start, stop, _FUNDING_ROWS),
            )  # fmt: skip

        def statistic(path: str, name: str) -> Ask:
            def ask(start: datetime, stop: datetime) -> Stamped:
                return _stamped(
                    self._clients["statistics"], path, {"symbol": symbol, "period": period},
                    *("timestamp", name, subject, start, stop, _STATISTICS_ROWS),
                )  # fmt: skip

            return ask

        asks: dict[Side, Ask] = {
            "funding_rate": funding,
            "open_interest": statistic("/futures/data/openInterestHist", "sumOpenInterest"),
            "long_short_account_ratio": statistic(
                "/futures/data/globalLongShortAccountRatio", "longShortRatio"
            ),
        }
        made: dict[str, SideSeries] = {}
        for name in self._series:
            if name == "funding_rate":
                start, oldest = first_close - _FUNDING_OLDEST, _FUNDING_OLDEST
                # At most one settlement an hour, so that a reply holds them all.
                width = timedelta(hours=_FUNDING_ROWS - 1)
            else:
                start, oldest = max(first_close - length, kept), length
                width = length * (_STATISTICS_ROWS - 1)
            made[name] = SideSeries(asks[name], start, width, oldest, f"{owner} {name}")
        return made


class _Klines:
    """The klines of one symbol and timeframe; ``moment`` is the venue's clock at the last reply."""

    def __init__(
        self,
        client: HttpClient,
        settings: BinanceParams,
        instrument: Instrument,
        symbol: str,
        timeframe: str,
    ) -> None:
        self._client = client
        self._settings = settings
        self._symbol = symbol
        self._timeframe = timeframe
        self._subject = f"{instrument.symbol} {timeframe}"
        self._owner = f"source 'binance': {self._subject}"
        self._step = duration(timeframe)
        self.moment = EPOCH

    def pages(self, start: datetime | None, end: datetime | None) -> Iterator[pd.DataFrame]:
        width = self._step * self._settings.page_size
        yield from walk(self._window, self._first, start, end, width, self._owner)

    def latest(self) -> pd.DataFrame:
        """The last two klines, the one being formed included."""
        return self._request({"limit": 2})

    def _first(self, at: datetime | None) -> datetime | None:
        since = 0 if at is None else milliseconds(at)
        opens = self._request({"startTime": since, "limit": 1}).index
        return earliest(pd.DatetimeIndex(opens), at)

    def _window(self, start: datetime, stop: datetime) -> Page:
        query = {
            "startTime": milliseconds(start),
            "endTime": milliseconds(stop) - 1,
            "limit": self._settings.page_size,
        }
        bars = self._request(query, lambda opens: in_window(opens, start, stop))
        # A window that is not full ends in a gap, or the reply in its middle: read on from there.
        reached = instant(bars.index.max()) + self._step if len(bars) else start
        return Page(bars, min(reached, stop), self.moment)

    def _request(
        self,
        query: Mapping[str, int],
        check: Callable[[pd.DatetimeIndex], None] | None = None,
    ) -> pd.DataFrame:
        def checked(body: Any) -> None:
            opens = _check_klines(body)
            if check:
                check(opens)

        reply = self._client.get(
            _KLINES[self._settings.market],
            {"symbol": self._symbol, "interval": self._timeframe, **query},
            subject=self._subject,
            cost=self._weight(query["limit"]),
            check=checked,
        )
        self.moment = reply.moment
        bars = pd.DataFrame(
            {
                name: np.array(
                    [
                        np.nan if row[position] is None else float(row[position])
                        for row in reply.body
                    ],
                    dtype="float64",
                )
                for position, name in _FIELDS.items()
            },
            index=instants([row[0] for row in reply.body]),
        )
        over = pd.DatetimeIndex(bars.index) + self._step <= reply.moment
        return bars.assign(is_final=np.asarray(over, dtype=bool))

    def _weight(self, limit: int) -> float:
        if self._settings.market == "spot":
            return 2
        return 1 if limit < 100 else 2 if limit < 500 else 5


def _check_klines(body: Any) -> pd.DatetimeIndex:
    if not isinstance(body, list):
        raise BadReplyError(f"is a {type(body).__name__}, not a list of klines")
    for row in body:
        if not isinstance(row, list) or len(row) != _KLINE_LENGTH:
            raise BadReplyError(f"has a kline {str(row)[:80]}, which is no list of {_KLINE_LENGTH}")
        if type(row[0]) is not int:
            raise BadReplyError(f"has an open time {row[0]!r}, which is no time in milliseconds")
        for position, name in _FIELDS.items():
            if row[position] is not None or name not in _OPTIONAL:
                number(row[position], name)
    return instants([row[0] for row in body])


def _stamped(
    client: HttpClient,
    path: str,
    query: Mapping[str, str],
    stamp: str,
    name: str,
    subject: str,
    start: datetime,
    stop: datetime,
    rows: int,
) -> Stamped:
    """One window of a side series; stamps in UTC, both ends included."""
    first, last = milliseconds(start), milliseconds(stop)

    def check(body: Any) -> None:
        if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
            raise BadReplyError("is no list of objects")
        for row in body:
            number(row.get(name), name)
            number(row.get(stamp), stamp)
            if row.get("symbol", query["symbol"]) != query["symbol"]:
                raise BadReplyError(f"is of symbol {row['symbol']!r}, not '{query['symbol']}'")
        stamps = [int(row[stamp]) for row in body]
        if stamps and not (first <= min(stamps) and max(stamps) <= last):
            raise BadReplyError(
                f"has values stamped {min(stamps)} to {max(stamps)}, which is not the window asked "
                f"for ({first} to {last})"
            )

    reply = client.get(
        path,
        {**query, "startTime": first, "endTime": last, "limit": rows},
        subject=subject,
        check=check,
    )  # fmt: skip
    values = np.array([float(row[name]) for row in reply.body], dtype="float64")
    return Stamped(np.array([int(row[stamp]) for row in reply.body], dtype="int64"), values)
