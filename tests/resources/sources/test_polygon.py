"""Polygon / Massive over real HTTP, against a replay of the vendor with real rows."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError, HfError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.base import window
from hf_resources.sources.http import SourceUnavailableError
from tests.replay import Answer, PolygonReplay, ReplayServer, Request, server
from tests.replay.polygon import NEW_YORK

KEY = "k3y-that-nobody-may-see"
AAPL = Instrument("AAPL", "equity", "XNYS", 2, 0)
AGGREGATES, SPLITS, DIVIDENDS = "/v2/aggs", "/v3/reference/splits", "/v3/reference/dividends"
COLUMNS = ["open", "high", "low", "close", "volume", "vwap", "trades"]
PRICES = ["open", "high", "low", "close", "volume"]
ALL = [*COLUMNS, "split_factor", "dividend", "is_final"]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)


@pytest.fixture(scope="module")
def daily(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "us_equities" / "daily_tiingo_44_2024_2026.parquet")


@pytest.fixture(scope="module")
def five_minutes(shared_data: Path) -> pd.DataFrame:
    rows = pd.read_parquet(shared_data / "us_equities" / "intraday_5m_12_2025_12_2026_03.parquet")
    return rows[rows["symbol"] == "AAPL"].set_index("time").drop(columns="symbol")


def of(daily: pd.DataFrame, symbol: str) -> pd.DataFrame:
    return daily[daily["symbol"] == symbol].set_index("time").sort_index()


def vendor_of(daily: pd.DataFrame, *symbols: str) -> PolygonReplay:
    replay = PolygonReplay(KEY)
    for symbol in symbols:
        rows = of(daily, symbol)
        replay.add_bars(symbol, 1, "day", rows.loc[:, PRICES], NEW_YORK)
        for at, factor, cash in zip(rows.index, rows["splitfactor"], rows["divcash"], strict=True):
            if factor != 1:
                replay.add_split(symbol, str(at)[:10], 1, factor)
            if cash != 0:
                replay.add_dividend(symbol, str(at)[:10], cash, currency="USD")
    return replay


def intraday(five_minutes: pd.DataFrame) -> PolygonReplay:
    replay = PolygonReplay(KEY)
    replay.add_bars("AAPL", 5, "minute", five_minutes)
    return replay


def source(server: ReplayServer, **params: Any) -> Any:
    quick = {"base_url": server.url, "backoff": 0.01, "attempts": 3, "read_timeout": 20}
    return create_source("polygon", {**quick, **params})


def keep(pages: Iterator[pd.DataFrame], stored: list[pd.DataFrame]) -> None:
    """Store pages as they come, as an ingestion that may be cut does."""
    for page in pages:
        stored.append(page)


def plain(frame: pd.DataFrame, names: list[str] = PRICES) -> pd.DataFrame:
    return frame.loc[:, names]


def same(frame: pd.DataFrame, real: pd.DataFrame) -> None:
    wanted = real.loc[:, PRICES].astype("float64")
    wanted.index = pd.DatetimeIndex(wanted.index, name="timestamp").as_unit("us")
    pd.testing.assert_frame_equal(plain(frame), wanted, check_freq=False)


NOW = datetime(2026, 4, 2, tzinfo=UTC)


@pytest.fixture
def exchange(daily: pd.DataFrame) -> Iterator[ReplayServer]:
    with ReplayServer(vendor_of(daily, "AAPL", "NVDA", "IBKR", "UVXY"), now=NOW) as running:
        yield running


@pytest.fixture
def minutes(five_minutes: pd.DataFrame) -> Iterator[ReplayServer]:
    with ReplayServer(intraday(five_minutes), now=datetime(2026, 3, 21, tzinfo=UTC)) as running:
        yield running


# ------------------------------------------------------------------------------------- the bars


def test_the_vendors_own_fixture_is_read(shared_data: Path):
    path = shared_data / "api_fixtures/polygon/v2/aggs/ticker/AAPL/range/1/day/2005-04-02"
    body = json.loads((path / "2005-04-04.json").read_text())

    def vendor(request: Request) -> Answer | None:
        assert request.path == "/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04"
        assert request.query == {"adjusted": "true", "sort": "asc", "limit": "50000"}
        assert request.headers["authorization"] == f"Bearer {KEY}"
        return Answer(body)

    with ReplayServer(vendor) as running:
        frame = source(running, adjusted=True).fetch(
            AAPL, "1d", datetime(2005, 4, 1, tzinfo=UTC), datetime(2005, 4, 5, tzinfo=UTC)
        )
    assert list(frame.columns) == [*COLUMNS, "is_final"]
    # Midnight in New York is 05:00 UTC before the change of clocks on 3 April, and 04:00 after it.
    assert [str(each) for each in frame.index] == [
        "2005-04-01 00:00:00+00:00",
        "2005-04-04 00:00:00+00:00",
    ]
    assert frame.iloc[0].to_list() == [
        *(1.5032, 1.5064, 1.4489, 1.4604, 642646396.0, 1.469, 82132.0),
        True,
    ]


@pytest.mark.parametrize("symbol", ["AAPL", "NVDA", "IBKR", "UVXY"])
def test_real_daily_bars_splits_and_dividends_arrive_exactly(
    exchange: ReplayServer, daily: pd.DataFrame, symbol: str
):
    real = of(daily, symbol)
    frame = source(exchange).fetch(replace(AAPL, symbol=symbol), "1d")
    assert list(frame.columns) == ALL
    same(frame, real)
    np.testing.assert_array_equal(frame["split_factor"], real["splitfactor"])
    np.testing.assert_array_equal(frame["dividend"], real["divcash"])
    assert frame["is_final"].to_numpy().all()
    assert np.sum(real["splitfactor"] != 1) + np.sum(real["divcash"] != 0) >= 2
    # What the vendor does not have is null and not zero.
    assert frame[["vwap", "trades"]].isna().all(axis=None)
    # The first bar there is, the bars, the splits, the dividends.
    assert len(exchange.asked()) == 4


def test_five_minutes_in_windows_are_exact(minutes: ReplayServer, five_minutes: pd.DataFrame):
    start = datetime(2025, 12, 22, tzinfo=UTC)
    reader = source(minutes, limit=5000)
    pages = list(reader.pages(AAPL, "5m", start))
    assert len(pages) > 10
    same(pd.concat(pages), five_minutes)
    ends = [page.index[-1] for page in pages]
    assert all(first < page.index[0] for first, page in zip(ends, pages[1:], strict=False))
    # A week of extended hours has 4,800 minutes, so that a limit of 5,000 needs no second page.
    asked = [request for request in minutes.asked(AGGREGATES) if "cursor" in request.query]
    assert not asked


def test_a_full_limit_is_one_request_for_ten_weeks(
    minutes: ReplayServer, five_minutes: pd.DataFrame
):
    frame = source(minutes).fetch(AAPL, "5m", datetime(2025, 12, 22, tzinfo=UTC))
    same(frame, five_minutes)
    assert len(minutes.asked(AGGREGATES)) == 2


def test_next_url_is_followed_to_base_url_and_with_the_key(
    minutes: ReplayServer, five_minutes: pd.DataFrame
):
    start = datetime(2026, 1, 5, tzinfo=UTC)
    end = datetime(2026, 1, 8, tzinfo=UTC)
    reader = source(minutes, limit=100)  # twenty bars of five minutes on a page
    pages = list(reader.pages(AAPL, "5m", start, end))
    real = window(five_minutes, start, end)
    same(pd.concat(pages), real)
    assert len(pages) == 3  # a window of a day is one page, whatever the vendor makes of it
    followed = [request for request in minutes.asked(AGGREGATES) if "cursor" in request.query]
    assert len(followed) == 3 * 3
    assert {request.headers["authorization"] for request in followed} == {f"Bearer {KEY}"}


def test_the_last_bar_is_final_when_extended_trading_is_over(
    exchange: ReplayServer, daily: pd.DataFrame
):
    day = of(daily, "AAPL").index[-1].to_pydatetime()
    replay: Any = exchange.vendors[0]
    for status, minute, final in [
        ("OK", -1, False),
        ("OK", 0, True),
        ("DELAYED", 14, False),
        ("DELAYED", 15, True),
    ]:
        over = day.replace(tzinfo=NEW_YORK) + timedelta(hours=20, minutes=minute)
        exchange.now, replay.status = over.astimezone(UTC), status
        frame = source(exchange).fetch(AAPL, "1d", day - timedelta(days=7))
        assert frame["is_final"].to_list() == [True] * (len(frame) - 1) + [final], (status, minute)


def test_a_delayed_plan_sees_an_hour_fifteen_minutes_late():
    hours = pd.date_range("2026-03-02 14:00", periods=3, freq="h", tz="UTC")
    replay = PolygonReplay(KEY, status="DELAYED")
    replay.add_bars("X:BTCUSD", 1, "hour", pd.DataFrame(1.0, index=hours, columns=PRICES))
    coin = Instrument("BTC/USD", "crypto", "24/7", 2, 8)
    with ReplayServer(replay, now=datetime(2026, 3, 2, 17, 10, tzinfo=UTC)) as running:
        frame = source(running).fetch(coin, "1h", datetime(2026, 3, 2, tzinfo=UTC))
    assert frame["is_final"].to_list() == [True, True, False]
    assert list(frame.columns) == [*COLUMNS, "is_final"]


@pytest.mark.parametrize(
    ("instrument", "ticker"),
    [
        (Instrument("BTC/USD", "crypto", "24/7", 2, 8), "X:BTCUSD"),
        (Instrument("EUR/USD", "fx", "24/5", 5, 0), "C:EURUSD"),
        (Instrument("XAU-USD", "metal", "24/5", 2, 0), "C:XAUUSD"),
        (Instrument("SPX", "index", "XNYS", 2, 0), "I:SPX"),
        (Instrument("BRK.B", "equity", "XNYS", 2, 0), "BRK.B"),
    ],
)
def test_tickers_have_the_vendors_names(instrument: Instrument, ticker: str):
    days = pd.date_range("2026-03-02", periods=3, tz="UTC")
    bars = pd.DataFrame(2.0, index=days, columns=["open", "high", "low", "close"])
    zone = NEW_YORK if instrument.asset_class in ("equity", "index") else UTC
    replay = PolygonReplay(KEY)
    replay.add_bars(ticker, 1, "day", bars, zone)
    with ReplayServer(replay, now=NOW) as running:
        frame = source(running).fetch(instrument, "1d", days[0].to_pydatetime())
    assert list(frame.index) == list(days)
    assert frame["close"].eq(2.0).all()
    assert frame["volume"].isna().all()  # an index has none, and none is made up


def test_a_daily_bar_of_another_clock_is_refused(exchange: ReplayServer):
    coin = Instrument("AAPL", "equity", "XNYS", 2, 0)
    days = pd.date_range("2026-03-02", periods=3, tz="UTC")
    replay: Any = exchange.vendors[0]
    replay.add_bars("AAPL", 1, "day", pd.DataFrame(2.0, index=days, columns=PRICES), UTC)
    with pytest.raises(DataError, match=r"begins at 2026-03-0.*, which is no midnight in New York"):
        source(exchange).fetch(coin, "1d", days[0].to_pydatetime())


def test_the_marker_is_the_last_finished_bar_for_one_request(daily: pd.DataFrame):
    rows = of(daily, "AAPL").iloc[-5:]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows.index = pd.DatetimeIndex([today - timedelta(days=back) for back in (4, 3, 2, 1, 0)])
    replay = PolygonReplay(KEY)
    replay.add_bars("AAPL", 1, "day", rows[PRICES], NEW_YORK)
    with ReplayServer(replay, now=today + timedelta(hours=17)) as running:
        reader = source(running)
        assert reader.marker(AAPL, "1d") == (today - timedelta(days=1)).isoformat()
        assert len(running.asked()) == 1
        running.now = today + timedelta(days=1, hours=2)
        assert reader.marker(AAPL, "1d") == today.isoformat()
        assert reader.marker(replace(AAPL, symbol="NONE"), "1d") is None


def test_nothing_new_is_an_empty_frame_of_the_same_shape(exchange: ReplayServer):
    frame = source(exchange).fetch(AAPL, "1d", datetime(2026, 4, 1, tzinfo=UTC))
    assert frame.empty
    assert list(frame.columns) == ALL
    assert len(exchange.asked()) == 1


# -------------------------------------------------------------------------- splits and dividends


def stock(*days: str) -> PolygonReplay:
    replay = PolygonReplay(KEY)
    index = pd.DatetimeIndex(list(days), tz="UTC")
    replay.add_bars("AAPL", 1, "day", pd.DataFrame(10.0, index=index, columns=PRICES), NEW_YORK)
    return replay


def actions(replay: PolygonReplay, start: str | None = None, **params: Any) -> pd.DataFrame:
    begin = None if start is None else datetime.fromisoformat(start).replace(tzinfo=UTC)
    with ReplayServer(replay, now=NOW) as running:
        return source(running, **params).fetch(AAPL, "1d", begin)[["split_factor", "dividend"]]


def test_an_event_on_a_day_without_bars_is_the_next_bars():
    replay = stock("2026-03-02", "2026-03-03", "2026-03-06", "2026-03-09")
    replay.add_split("AAPL", "2026-03-04", 2, 1)
    replay.add_dividend("AAPL", "2026-03-05", 0.25)
    whole = actions(replay)
    assert whole["split_factor"].to_list() == [1, 1, 0.5, 1]
    assert whole["dividend"].to_list() == [0, 0, 0.25, 0]
    # Resumed after the bar of the 3rd, the halt lies before the first new bar, and is its own.
    pd.testing.assert_frame_equal(actions(replay, "2026-03-04"), whole.iloc[2:], check_freq=False)
    # Nor does it get lost when known bars are asked for again, from within the halt on.
    pd.testing.assert_frame_equal(actions(replay, "2026-03-05"), whole.iloc[2:], check_freq=False)
    pd.testing.assert_frame_equal(actions(replay, "2026-03-06"), whole.iloc[2:], check_freq=False)
    pd.testing.assert_frame_equal(actions(replay, "2026-03-07"), whole.iloc[3:], check_freq=False)
    # Whatever the pages are.
    pd.testing.assert_frame_equal(actions(replay, "2026-03-02", limit=2), whole, check_freq=False)


def test_events_before_the_history_are_nobodys():
    replay = stock("2026-03-02", "2026-03-03")
    replay.add_split("AAPL", "2026-02-20", 1, 7)
    for start in (None, "2026-01-01"):
        assert actions(replay, start)["split_factor"].to_list() == [1, 1]


def test_an_event_on_the_first_bar_is_told():
    replay = stock("2026-03-02", "2026-03-03")
    replay.add_dividend("AAPL", "2026-03-02", 0.5)
    for start in (None, "2026-03-02"):
        assert actions(replay, start)["dividend"].to_list() == [0.5, 0]
    assert actions(replay, "2026-03-03")["dividend"].to_list() == [0]


def test_several_events_of_a_day_are_combined_and_none_counts_twice():
    replay = stock("2026-03-02", "2026-03-03", "2026-03-04")
    replay.page = 1  # each event on a page of its own
    replay.add_dividend("AAPL", "2026-03-03", 0.25, id="a", dividend_type="CD")
    replay.add_dividend("AAPL", "2026-03-03", 1.0, id="b", dividend_type="SC")
    replay.add_dividend("AAPL", "2026-03-03", 1.0, id="b", dividend_type="SC")
    replay.add_split("AAPL", "2026-03-03", 1, 2)
    replay.add_split("AAPL", "2026-03-03", 1, 3)
    frame = actions(replay)
    assert frame["dividend"].to_list() == [0, 1.25, 0]
    assert frame["split_factor"].to_list() == [1, 6, 1]


def test_an_event_of_an_intraday_history_is_the_first_bars_of_its_day_in_new_york():
    opens = pd.DatetimeIndex(
        ["2026-01-05 20:55", "2026-01-06 00:55", "2026-01-06 09:00", "2026-01-06 14:30"], tz="UTC"
    )
    replay = PolygonReplay(KEY)
    replay.add_bars("AAPL", 5, "minute", pd.DataFrame(1.0, index=opens, columns=PRICES))
    replay.add_dividend("AAPL", "2026-01-06", 0.5)
    with ReplayServer(replay, now=NOW) as running:
        for start, wanted in [
            (datetime(2026, 1, 5, tzinfo=UTC), [0, 0, 0.5, 0]),
            (datetime(2026, 1, 6, 1, 0, tzinfo=UTC), [0.5, 0]),
            (datetime(2026, 1, 6, 9, 5, tzinfo=UTC), [0]),
        ]:
            frame = source(running).fetch(AAPL, "5m", start)
            assert frame["dividend"].to_list() == wanted


def test_a_dividend_in_another_currency_is_refused():
    replay = stock("2026-03-02", "2026-03-03")
    replay.add_dividend("AAPL", "2026-03-03", 0.5, currency="CAD")
    with pytest.raises(DataError, match="the dividend of 2026-03-03 is in CAD and the prices are"):
        actions(replay)


@pytest.mark.parametrize("params", [{"corporate_actions": False}, {"adjusted": True}])
def test_without_corporate_actions_there_are_no_columns_and_no_requests(
    exchange: ReplayServer, params: dict[str, Any]
):
    reader = source(exchange, **params)
    frame = reader.fetch(AAPL, "1d", datetime(2026, 3, 2, tzinfo=UTC))
    assert list(frame.columns) == [*COLUMNS, "is_final"]
    assert not exchange.asked("/v3")
    adjusted = exchange.asked()[0].query["adjusted"]
    assert adjusted == str(params.get("adjusted", False)).lower()
    assert "Splits and dividends are not fetched" in reader.notes(AAPL, "1d")[1]


# ----------------------------------------------------------------------------------- the faults


def earlier(request: Request) -> Request:
    """The same length of time, half a window before."""
    *head, first, last = request.path.split("/")
    back = (int(last) - int(first)) * 6 // 5
    path = "/".join([*head, str(int(first) - back), str(int(last) - back)])
    return replace(request, path=path)


def edited(**fields: Any) -> Any:
    return server.changed(lambda body: {**body, **fields})


FAULTS = {
    "500": server.status(500),
    "503": server.status(503, b"<html>", Retry_After="0"),
    "429": server.status(429, {"status": "ERROR", "error": "slow down"}, Retry_After="0"),
    "body cut off": server.truncated,
    "reset in the body": server.reset,
    "hung up": server.hung_up,
    "malformed": server.malformed,
    "html": server.html,
    "a list": server.changed(lambda body: body["results"]),
    "status ERROR": edited(status="ERROR", error="internal"),
    "rows missing": server.changed(lambda body: {**body, "results": body["results"][1:]}),
    "another ticker": edited(ticker="MSFT"),
    "adjusted": edited(adjusted=True),
    "no close": server.changed(
        lambda body: {**body, "results": [{**row, "c": None} for row in body["results"]]}
    ),
    "seconds": server.changed(
        lambda body: {**body, "results": [{**row, "t": row["t"] / 1000} for row in body["results"]]}
    ),
    "an earlier page": server.asked_instead(earlier),
    "wrongly empty": server.changed(lambda body: {**body, "results": [], "resultsCount": 0}),
    "backwards": server.changed(lambda body: {**body, "results": body["results"][::-1]}),
    # Seen at the vendor: all bars of a day listed twice, the copy after the original.
    "listed twice": server.changed(
        lambda body: {
            **body,
            "results": body["results"] * 2,
            "resultsCount": 2 * body["resultsCount"],
        }
    ),
}
START, END = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 2, 16, tzinfo=UTC)


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_data_is_exact(
    minutes: ReplayServer, five_minutes: pd.DataFrame, fault: str
):
    minutes.fail(FAULTS[fault], path=AGGREGATES, skip=2)
    reader = source(minutes, limit=5000, corporate_actions=False)
    frame = reader.fetch(AAPL, "5m", START, END)
    same(frame, window(five_minutes, START, END))
    extra = 0 if fault in ("backwards", "listed twice") else 2 if fault == "wrongly empty" else 1
    assert len(minutes.asked()) == 6 + extra


def test_chained_pages_out_of_order_and_repeated_make_the_same_window(
    minutes: ReplayServer, five_minutes: pd.DataFrame
):
    """Within a window the vendor's pages may come in any order: they are taken together."""
    end = START + timedelta(days=1)
    real = window(five_minutes, START, end)
    replay: Any = minutes.vendors[0]
    rows = replay.results["AAPL", 5, "minute"]
    day = [row for row in rows if START <= datetime.fromtimestamp(row["t"] / 1000, UTC) < end]
    orders = [day[:30], day[50:], day[25:55]]

    def vendor(request: Request) -> Answer | None:
        page = int(request.query.get("cursor", 0))
        following = {"next_url": f"https://api.massive.com/v2/aggs/x?cursor={page + 1}"}
        body = {"results": orders[page], "resultsCount": len(orders[page]), "status": "OK"}
        return Answer({**body, **(following if page < 2 else {})})

    minutes.vendors = [vendor]
    reader = source(minutes, limit=100, corporate_actions=False)
    same(reader.fetch(AAPL, "5m", START, end), real)
    minutes.fail(server.asked_instead(lambda request: replace(request, query={})), skip=1)
    same(reader.fetch(AAPL, "5m", START, end), real)
    # The bars of the first page under the address of the second, which leads on to the third.
    again = edited(results=orders[0], resultsCount=len(orders[0]))
    minutes.fail(again, skip=1)
    before = len(minutes.asked())
    same(reader.fetch(AAPL, "5m", START, end), real)
    assert len(minutes.asked()) == before + 4
    minutes.fail(again, skip=1, times=9)
    with pytest.raises(DataError, match="has the bars of a page before it once more, after 3"):
        reader.fetch(AAPL, "5m", START, end)


def test_pages_that_lead_in_a_circle_end(minutes: ReplayServer):
    def vendor(request: Request) -> Answer | None:
        del request
        url = "https://api.polygon.io/v2/aggs/x?cursor=1"
        return Answer({"results": [], "resultsCount": 0, "status": "OK", "next_url": url})

    minutes.vendors = [vendor]
    with pytest.raises(DataError, match="pages lead in a circle at /v2/aggs/x; try later"):
        source(minutes).fetch(AAPL, "5m", START, END)


def test_two_contents_of_one_bar_are_refused(minutes: ReplayServer):
    def restated(body: dict[str, Any]) -> dict[str, Any]:
        first = {**body["results"][0], "c": 1.5}
        return {**body, "results": [*body["results"], first], "resultsCount": 0, "count": 0}

    minutes.fail(server.changed(lambda body: {**restated(body), "resultsCount": None}), skip=1)
    with pytest.raises(DataError, match=r"AAPL 5m: the bar at 2026-01-12 14:30 UTC came twice"):
        source(minutes, limit=5000, corporate_actions=False).fetch(AAPL, "5m", START, END)


def test_a_run_cut_between_pages_is_resumed_without_asking_again(
    minutes: ReplayServer, five_minutes: pd.DataFrame
):
    minutes.fail(server.reset, path=AGGREGATES, skip=3, times=3)
    stored: list[pd.DataFrame] = []
    with pytest.raises(SourceUnavailableError):
        keep(source(minutes, limit=5000).pages(AAPL, "5m", START, END), stored)
    assert len(stored) == 3
    before = len(minutes.asked(AGGREGATES))
    start = stored[-1].index[-1].to_pydatetime() + timedelta(minutes=5)
    keep(source(minutes, limit=5000).pages(AAPL, "5m", start, END), stored)
    same(pd.concat(stored), window(five_minutes, START, END))
    resumed = [request.path.split("/")[-2] for request in minutes.asked(AGGREGATES)[before:]]
    assert min(int(each) for each in resumed) == start.timestamp() * 1000
    # Three windows of a week, the weekend that is left, and whether there is anything after it.
    assert len(resumed) == 5


# -------------------------------------------------------------------------------------- the key


def everything(error: BaseException) -> str:
    """All that a log or a crash report could show of an error, values of variables included."""
    told = traceback.TracebackException.from_exception(error)
    chain = [error, error.__cause__, error.__context__]
    return "".join(told.format()) + "".join(
        repr(each) + str(vars(each or object)) for each in chain
    )


REFUSALS = {
    "401": server.status(401, {"status": "ERROR", "error": f"Unknown API Key {KEY}"}),
    "403": server.status(403, {"status": "NOT_AUTHORIZED", "message": f"{KEY} is not entitled"}),
    "404": server.status(404, {"message": f"no {KEY}"}),
    "429": server.status(429, {"error": f"{KEY} is too fast"}),
    "500": server.status(500, {"error": "x" * 190 + KEY}),
    "a status": edited(status="NOT_AUTHORIZED", message=f"{KEY} is not entitled"),
    "hung up": server.hung_up,
    "moved": server.status(301, {}, Location=f"http://127.0.0.1:9/{KEY}"),
    "reset": server.reset,
    "html": server.html,
    "a list": server.changed(lambda body: [KEY]),
    "another ticker": edited(ticker=KEY),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_key_is_in_no_error_and_no_log(
    exchange: ReplayServer, refusal: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    exchange.fail(REFUSALS[refusal], times=99)
    reader = source(exchange)
    with pytest.raises(HfError) as caught:
        reader.fetch(AAPL, "1d")
    assert caught.value.__context__ is None
    texts = [everything(caught.value), caplog.text, repr(reader), str(reader.parameters())]
    texts += [str(record.__dict__) for record in caplog.records]
    assert not [text for text in texts if KEY in text or KEY[:10] in text]
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in exchange.asked())
    assert not any(KEY in str(request.query) for request in exchange.asked())


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ("401", "status 401: Unknown API Key ***; set POLYGON_API_KEY to a valid API key"),
        ("403", "status 403: *** is not entitled; check that the plan of the API key includes"),
        ("404", "status 404: no ***; check the symbol and base_url"),
        ("moved", "refused with status 301; it redirects to 127.0.0.1:9; set base_url to where"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(exchange: ReplayServer, refusal: str, says: str):
    exchange.fail(REFUSALS[refusal], times=99)
    with pytest.raises(ConfigurationError) as caught:
        source(exchange).fetch(AAPL, "1d")
    assert f"source 'polygon': AAPL 1d: GET {AGGREGATES}/ticker/AAPL/range/1/day/" in str(
        caught.value
    )
    assert says in str(caught.value)
    assert len(exchange.asked()) == 1


def test_where_the_key_is_looked_up(exchange: ReplayServer, monkeypatch: pytest.MonkeyPatch):
    def asked_with(**params: Any) -> str:
        source(exchange, **params).fetch(AAPL, "1d", datetime(2026, 3, 30, tzinfo=UTC))
        return exchange.asked()[-1].headers["authorization"]

    monkeypatch.setenv("MASSIVE_API_KEY", "other")
    assert asked_with() == f"Bearer {KEY}"
    monkeypatch.delenv("POLYGON_API_KEY")
    monkeypatch.setenv("MASSIVE_API_KEY", KEY)
    assert asked_with() == f"Bearer {KEY}"
    monkeypatch.setenv("TEAM_KEY", KEY)
    monkeypatch.setenv("MASSIVE_API_KEY", "other")
    assert asked_with(api_key_env="TEAM_KEY") == f"Bearer {KEY}"


@pytest.mark.parametrize("value", ["", "  "])
def test_no_key_is_told_before_anything_is_asked(
    exchange: ReplayServer, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("POLYGON_API_KEY", value)
    with pytest.raises(ConfigurationError) as caught:
        source(exchange).fetch(AAPL, "1d")
    assert str(caught.value) == (
        "source 'polygon': the environment variable POLYGON_API_KEY (or MASSIVE_API_KEY) is not "
        "set; set it to an API key of Polygon or Massive"
    )
    assert not exchange.asked()


@pytest.mark.parametrize("value", ["secr3t\nX-Header: 1", "secr3t two", "secr3t-ü"])
def test_a_key_that_is_none_is_told_without_showing_it(
    exchange: ReplayServer, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("POLYGON_API_KEY", value)
    with pytest.raises(ConfigurationError, match="has characters that no key has") as caught:
        source(exchange).fetch(AAPL, "1d")
    assert "secr3t" not in everything(caught.value)


def test_a_source_is_made_and_shown_without_a_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("POLYGON_API_KEY")
    reader = create_source("polygon")
    assert reader.timeframes(AAPL) == ("1m", "5m", "15m", "30m", "1d")
    bitcoin = Instrument("BTC/USD", "crypto", "24/7", 2, 8)
    assert reader.timeframes(bitcoin) == ("1m", "5m", "15m", "30m", "1h", "1d")
    assert reader.timeframes(Instrument("ES", "future", "CMES", 2, 0)) == ()
    tuned = {"base_url": "https://api.massive.com", "api_key_env": "K", "limit": 9, "attempts": 9}
    assert create_source("polygon", tuned).parameters() == reader.parameters()
    assert create_source("polygon", {"adjusted": True}).parameters() != reader.parameters()
    with pytest.raises(ConfigurationError, match="unknown timeframe '4h'"):
        reader.fetch(AAPL, "4h")
    # The vendor's hours straddle the open of the session.
    with pytest.raises(ConfigurationError, match=r"'1h'; .* made of 30m: resample: {1h: 30m}"):
        reader.fetch(AAPL, "1h")
