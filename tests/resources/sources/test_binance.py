"""Binance over real HTTP, against a replay of the venue with real rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.http import SourceUnavailableError, TokenBucket
from hf_resources.sources.paging import instant
from hf_resources.sources.rounding import rounded_bars
from tests.replay import BinanceReplay, ReplayServer, Request, server

BTC = Instrument("BTCUSDT", "crypto", "24/7", 2, 5)
PERP = Instrument("BTCUSDT", "crypto", "24/7", 2, 3)
SPOT_PATH, PERP_PATH = "/api/v3/klines", "/fapi/v1/klines"
OPEN_INTEREST = "/futures/data/openInterestHist"
RATIO = "/futures/data/globalLongShortAccountRatio"
FUNDING = "/fapi/v1/fundingRate"
NAMES = {"taker_buy_base": "taker_buy_volume"}
SPOT_COLUMNS = ["open", "high", "low", "close", "volume", "trades", "taker_buy_volume", "is_final"]


@pytest.fixture(scope="module")
def spot(shared_data: Path) -> pd.DataFrame:
    return read_bars(shared_data / "crypto" / "binance_spot_klines" / "BTCUSDT_1h.parquet")


@pytest.fixture(scope="module")
def perp(shared_data: Path) -> pd.DataFrame:
    rows = pd.read_parquet(shared_data / "crypto" / "binance_perps_20" / "klines_1h.parquet")
    return of_btc(rows)


@pytest.fixture(scope="module")
def funding(shared_data: Path) -> pd.Series:
    rows = pd.read_parquet(shared_data / "crypto" / "binance_perps_all" / "funding.parquet")
    return of_btc(rows)["funding_rate"].sort_index()


@pytest.fixture(scope="module")
def open_interest(shared_data: Path) -> pd.Series:
    rows = pd.read_parquet(shared_data / "crypto" / "binance_perps_all" / "oi_4h.parquet")
    return of_btc(rows)["sum_open_interest"].sort_index()


def of_btc(rows: pd.DataFrame) -> Any:
    return rows[rows["symbol"] == "BTCUSDT"].set_index("time").drop(columns="symbol")


def read_bars(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).set_index("time").drop(columns=["open_time", "close_time"])


def expected(bars: pd.DataFrame) -> pd.DataFrame:
    names = [*SPOT_COLUMNS[:-1]]
    frame = bars.rename(columns=NAMES).loc[:, names].astype("float64")
    frame.index = pd.DatetimeIndex(frame.index, name="timestamp").as_unit("us")
    return frame


def source(server: ReplayServer, **params: Any) -> Any:
    quick = {"base_url": server.url, "backoff": 0.01, "attempts": 3, "read_timeout": 20}
    return create_source("binance", {**quick, **params})


def after(bars: pd.DataFrame | pd.Series, hours: float = 1) -> datetime:
    """The second before the bar after the last one begins, or another."""
    return instant(bars.index[-1]) + timedelta(hours=hours, seconds=-1)


@pytest.fixture
def venue(spot: pd.DataFrame) -> Iterator[ReplayServer]:
    replay = BinanceReplay()
    replay.add_klines("spot", "BTCUSDT", "1h", spot)
    with ReplayServer(replay, now=after(spot)) as running:
        yield running


# ------------------------------------------------------------------------------------- the bars


@pytest.mark.parametrize(("symbol", "timeframe"), [("BTCUSDT", "1d"), ("ETHUSDT", "1h")])
def test_real_klines_arrive_exactly(shared_data: Path, symbol: str, timeframe: str):
    folder = shared_data / "crypto" / "binance_spot_klines"
    real = read_bars(folder / f"{symbol}_{timeframe}.parquet")
    replay = BinanceReplay()
    replay.add_klines("spot", symbol, timeframe, real)
    with ReplayServer(replay, now=after(real, 48)) as running:
        frame = source(running).fetch(replace(BTC, symbol=symbol), timeframe)
    assert list(frame.columns) == SPOT_COLUMNS
    assert frame["is_final"].all()
    pd.testing.assert_frame_equal(frame.drop(columns="is_final"), expected(real), check_freq=False)


def test_the_rebuilt_reply_of_the_vendor_is_read(shared_data: Path):
    path = shared_data / "api_fixtures" / "rebuilt" / "binance_klines_BTCUSDT_1h_limit1000.json"
    rows = json.loads(path.read_text())
    replay = BinanceReplay()
    replay.klines["spot", "BTCUSDT", "1h"] = rows
    now = datetime.fromtimestamp(rows[-1][6] / 1000 + 1, UTC)
    with ReplayServer(replay, now=now) as running:
        frame = source(running).fetch(BTC, "1h")
    assert len(frame) == 1000
    assert [str(value) for value in frame.iloc[0].to_list()] == [
        *("65525.01", "65775.15", "65415.02", "65472.01", "587.73145", "96638.0", "281.99495"),
        "True",
    ]
    plain = rounded_bars(frame.iloc[:, :5], BTC, "here")
    pd.testing.assert_frame_equal(plain, frame.iloc[:, :5], check_freq=False)


def test_a_history_of_4320_bars_takes_six_requests(venue: ReplayServer, spot: pd.DataFrame):
    pages = list(source(venue).pages(BTC, "1h"))
    assert [len(page) for page in pages] == [1000, 1000, 1000, 1000, 320]
    assert len(venue.asked()) == 6  # the first bar there is, and five pages
    assert {request.query["limit"] for request in venue.asked()} == {"1", "1000"}
    pd.testing.assert_frame_equal(
        pd.concat(pages).drop(columns="is_final"), expected(spot), check_freq=False
    )
    assert not any("authorization" in request.headers for request in venue.asked())


@pytest.mark.parametrize(
    ("first", "last"), [(0, 1), (5, 6), (100, 1100), (100, 1101), (4319, 4320), (0, 4320)]
)
def test_a_window_has_exactly_the_bars_that_open_in_it(
    venue: ReplayServer, spot: pd.DataFrame, first: int, last: int
):
    start = spot.index[first].to_pydatetime()
    end = spot.index[last - 1].to_pydatetime() + timedelta(minutes=1)
    frame = source(venue).fetch(BTC, "1h", start, end)
    wanted = expected(spot).iloc[first:last]
    pd.testing.assert_frame_equal(frame.drop(columns="is_final"), wanted, check_freq=False)
    assert len(venue.asked()) == -(-(last - first) // 1000)


def test_bounds_off_the_grid_mean_the_next_open_time(venue: ReplayServer, spot: pd.DataFrame):
    start = spot.index[10].to_pydatetime() + timedelta(seconds=1)
    frame = source(venue).fetch(BTC, "1h", start, start + timedelta(hours=2))
    assert list(frame.index) == list(spot.index[11:13])


def test_a_start_before_the_listing_begins_at_the_first_bar(
    venue: ReplayServer, spot: pd.DataFrame
):
    frame = source(venue).fetch(BTC, "1h", datetime(2020, 1, 1, tzinfo=UTC))
    assert frame.index[0] == spot.index[0]
    assert len(frame) == len(spot)
    assert len(venue.asked()) == 7  # an empty page, the first bar there is, and five pages


def test_a_gap_of_the_venue_is_crossed(spot: pd.DataFrame):
    holey = spot.drop(spot.index[50:350]).drop(spot.index[600:603])
    replay = BinanceReplay()
    replay.add_klines("spot", "BTCUSDT", "1h", holey)
    with ReplayServer(replay, now=after(spot)) as running:
        frame = source(running, page_size=100).fetch(BTC, "1h")
    pd.testing.assert_frame_equal(frame.drop(columns="is_final"), expected(holey), check_freq=False)


def test_the_bar_being_formed_is_told(spot: pd.DataFrame):
    replay = BinanceReplay()
    replay.add_klines("spot", "BTCUSDT", "1h", spot)
    opened = spot.index[-1].to_pydatetime()
    for now, final in [
        (opened + timedelta(minutes=59, seconds=59), False),
        (opened + timedelta(hours=1), True),
    ]:
        with ReplayServer(replay, now=now) as running:
            frame = source(running).fetch(BTC, "1h", opened - timedelta(hours=3))
        assert frame["is_final"].to_list() == [True, True, True, final]
        assert frame["is_final"].dtype == np.dtype("bool")


def test_nothing_new_is_an_empty_frame_of_the_same_shape(venue: ReplayServer, spot: pd.DataFrame):
    frame = source(venue).fetch(BTC, "1h", after(spot))
    assert frame.empty
    assert list(frame.columns) == SPOT_COLUMNS
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame.index.name == "timestamp"
    assert len(venue.asked()) == 1


def test_the_marker_is_the_last_finished_bar_for_one_request(spot: pd.DataFrame):
    replay = BinanceReplay()
    replay.add_klines("spot", "BTCUSDT", "1h", spot)
    now = spot.index[-1].to_pydatetime() + timedelta(minutes=30)
    with ReplayServer(replay, now=now) as running:
        assert source(running).marker(BTC, "1h") == spot.index[-2].isoformat()
        assert len(running.asked()) == 1
        running.now = now + timedelta(hours=1)
        assert source(running).marker(BTC, "1h") == spot.index[-1].isoformat()


def test_slashes_and_dashes_are_dropped_and_names_can_be_given(venue: ReplayServer):
    end = datetime(2026, 1, 28, tzinfo=UTC)
    for symbol, params in [
        ("BTC/USDT", {}),
        ("BTC-USDT", {}),
        ("BITCOIN", {"symbols": {"BITCOIN": "BTCUSDT"}}),
    ]:
        assert len(source(venue, **params).fetch(replace(BTC, symbol=symbol), "1h", None, end)) == 6


# ----------------------------------------------------------------------------------- the faults

FAULTS = {
    "500": server.status(500, {"code": -1000, "msg": "An unknown error occurred."}),
    "503 of a proxy": server.status(503, b"<html>busy</html>"),
    "429": server.status(429, {"code": -1003, "msg": "Too many requests."}, Retry_After="0"),
    "418": server.status(418, {"code": -1003, "msg": "banned"}, Retry_After="0"),
    "body cut off": server.truncated,
    "reset in the body": server.reset,
    "hung up": server.hung_up,
    "malformed": server.malformed,
    "html": server.html,
    "an object": server.changed(lambda rows: {"rows": rows}),
    "short rows": server.changed(lambda rows: [row[:6] for row in rows]),
    "no number": server.changed(lambda rows: [[*rows[0][:4], "x", *rows[0][5:]]]),
    "nan": server.changed(lambda rows: [[*rows[0][:4], "NaN", *rows[0][5:]]]),
    "the page before": server.shifted(-500 * 3_600_000),
    "the page after": server.shifted(500 * 3_600_000),
    "undated": server.undated,
    "silence": server.silent(1.6),
    # An answer, but not all of it: read on from where it ends.
    "half a page": server.changed(lambda rows: rows[: len(rows) // 2]),
    # An answer that is sorted and freed of repetitions.
    "backwards": server.changed(lambda rows: rows[::-1]),
    "rows twice": server.changed(lambda rows: rows + rows[5:50]),
    "wrongly empty": server.changed(lambda rows: []),
}


def patience(fault: str) -> float:
    return 1 if fault == "silence" else 20


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_the_data_is_exact(venue: ReplayServer, spot: pd.DataFrame, fault: str):
    venue.fail(FAULTS[fault], path=SPOT_PATH, skip=2)
    reader = source(venue, page_size=500, read_timeout=patience(fault), longest_wait=2)
    pages = list(reader.pages(BTC, "1h"))
    frame = pd.concat(pages).drop(columns="is_final")
    pd.testing.assert_frame_equal(frame, expected(spot), check_freq=False)
    undisturbed = 1 + -(-len(spot) // 500)
    sorted_here = {"backwards", "rows twice"}
    # One request more for the fault, and for an empty page one to learn that it was wrong.
    extra = 0 if fault in sorted_here else 2 if fault == "wrongly empty" else 1
    assert len(venue.asked()) == undisturbed + extra


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("500", SourceUnavailableError, "status 500: -1000 An unknown error occurred.), after 3"),
        ("body cut off", SourceUnavailableError, "cut off in its body, after 3 attempts"),
        ("reset in the body", SourceUnavailableError, "cut off in its body, after 3 attempts"),
        ("hung up", SourceUnavailableError, "the connection to 127.0.0.1"),
        ("silence", SourceUnavailableError, "was silent for 1 seconds, after 3 attempts"),
        ("429", SourceUnavailableError, "too many requests (status 429: -1003 Too many requests.)"),
        ("malformed", DataError, "is no JSON"),
        ("html", DataError, "bytes of text/html), after 3 attempts; check base_url"),
        ("an object", DataError, "is a dict, not a list of klines"),
        ("short rows", DataError, "which is no list of 12"),
        ("no number", DataError, "has close 'x', which is no number"),
        ("the page after", DataError, "which is not the page asked for"),
        ("undated", DataError, "no header Date"),
        ("wrongly empty", DataError, "returns no bars from 2026-02-17 14:00 to 2026-03-10 10:00"),
    ],
)
def test_a_lasting_fault_is_one_clear_sentence(
    venue: ReplayServer, fault: str, kind: type[Exception], says: str
):
    # The other requests ask for one bar, where the search for the next one must go on working.
    lasting = FAULTS[fault]

    def pages_only(handler: Any, request: Request, answer: Any) -> None:
        (server.asked_instead(lambda same: same) if request.query["limit"] == "1" else lasting)(
            handler, request, answer
        )

    venue.fail(pages_only, path=SPOT_PATH, skip=2, times=99)
    reader = source(venue, page_size=500, read_timeout=patience(fault), longest_wait=2)
    pages = reader.pages(BTC, "1h")
    first = next(pages)
    with pytest.raises(kind) as caught:
        next(pages)
    assert len(first) == 500
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("source 'binance': BTCUSDT 1h: ")
    assert says in sentence


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (
            400,
            {"code": -1121, "msg": "Invalid symbol."},
            "status 400: -1121 Invalid symbol.; check",
        ),
        (401, {}, "status 401; the vendor asks for a key, which this source does not send"),
        (403, b"<html>", "status 403; the vendor refuses this address"),
        (404, {}, "status 404; check the symbol and base_url"),
        (
            451,
            {"msg": "restricted location"},
            "451: restricted location; the vendor does not serve",
        ),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(
    venue: ReplayServer, code: int, body: Any, says: str
):
    venue.fail(server.status(code, body), times=9)
    with pytest.raises(ConfigurationError) as caught:
        source(venue).fetch(BTC, "1h")
    assert f"source 'binance': BTCUSDT 1h: GET {SPOT_PATH}: refused with " in str(caught.value)
    assert says in str(caught.value)
    assert len(venue.asked()) == 1


def test_a_ban_longer_than_allowed_is_not_waited_for(venue: ReplayServer):
    venue.fail(server.status(418, {"code": -1003, "msg": "banned"}, Retry_After="7200"))
    with pytest.raises(
        SourceUnavailableError, match="asks to wait 7200 seconds, more than longest"
    ):
        source(venue).fetch(BTC, "1h")
    assert len(venue.asked()) == 1


def test_a_bar_that_changes_between_two_pages_is_refused(venue: ReplayServer):
    def restated(rows: list[Any]) -> list[Any]:
        # The last bar of the page before once more, with another close.
        at = rows[0][0] - 3_600_000
        return [
            [at, "1.0", "9.0", "1.0", "5.0", "1.0", at + 3_599_999, "1", 1, "1", "1", "0"],
            *rows,
        ]

    venue.fail(server.changed(restated), skip=2)
    with pytest.raises(
        DataError, match=r"2026-02-17 13:00 UTC came twice, with open .* then 1.0; "
    ):
        source(venue, page_size=500).fetch(BTC, "1h")


def test_an_overlapping_last_bar_is_dropped(venue: ReplayServer, spot: pd.DataFrame):
    right = venue.vendors[0].klines["spot", "BTCUSDT", "1h"]  # pyright: ignore[reportFunctionMemberAccess]

    def overlapping(rows: list[Any]) -> list[Any]:
        row = next(number for number, each in enumerate(right) if each[0] == rows[0][0])
        return [*right[row - 3 : row], *rows]

    venue.fail(server.changed(overlapping), skip=2, times=3)
    frame = source(venue, page_size=500).fetch(BTC, "1h")
    pd.testing.assert_frame_equal(frame.drop(columns="is_final"), expected(spot), check_freq=False)


def test_a_run_cut_between_pages_is_resumed_without_asking_again(
    venue: ReplayServer, spot: pd.DataFrame
):
    stored: list[pd.DataFrame] = []
    venue.fail(server.hung_up, path=SPOT_PATH, skip=4, times=3)
    with pytest.raises(SourceUnavailableError):
        stored.extend(keep(source(venue, page_size=500).pages(BTC, "1h"), stored))
    assert [len(page) for page in stored] == [500, 500, 500]
    before = len(venue.asked())
    start = stored[-1].index[-1].to_pydatetime() + timedelta(hours=1)
    for page in source(venue, page_size=500).pages(BTC, "1h", start):
        stored.append(page)
    whole = pd.concat(stored).drop(columns="is_final")
    pd.testing.assert_frame_equal(whole, expected(spot), check_freq=False)
    resumed = venue.asked()[before:]
    assert len(resumed) == -(-(len(spot) - 1500) // 500)
    assert min(int(each.query["startTime"]) for each in resumed) == start.timestamp() * 1000


def keep(pages: Iterator[pd.DataFrame], stored: list[pd.DataFrame]) -> list[pd.DataFrame]:
    for page in pages:
        stored.append(page)
    return []


@pytest.mark.parametrize("size", [50, 499, 1000])
@pytest.mark.parametrize("market", ["spot", "usd_m"])
def test_each_request_is_charged_what_the_venue_charges(
    spot: pd.DataFrame, market: str, size: int, monkeypatch: pytest.MonkeyPatch
):
    replay = BinanceReplay()
    replay.add_klines(market, "BTCUSDT", "1h", spot.iloc[:1200])
    charged: list[float] = []

    def take(bucket: TokenBucket, cost: float = 1.0) -> float:
        del bucket
        charged.append(cost)
        return 0.0

    monkeypatch.setattr(TokenBucket, "take", take)
    with ReplayServer(replay, now=after(spot.iloc[:1200])) as running:
        beside = {"series": []} if market == "usd_m" else {}
        reader = source(running, market=market, page_size=size, **beside)
        assert len(reader.fetch(PERP, "1h")) == 1200
    assert charged == [weight for _, weight in replay.spent]
    assert len(charged) == 1 + -(-1200 // size)


def test_a_venue_that_counts_weights_is_waited_for(spot: pd.DataFrame):
    replay = BinanceReplay(weight_per_minute=4)
    replay.add_klines("spot", "BTCUSDT", "1h", spot.iloc[:300])
    with ReplayServer(replay, now=after(spot.iloc[:300])) as running:
        reader = source(running, page_size=100, attempts=2)
        with pytest.raises(SourceUnavailableError, match="429: -1003 Too many requests"):
            reader.fetch(BTC, "1h")
        assert [len(each.query) for each in running.asked()] == [4, 5, 5, 5]


# ------------------------------------------------------------------------------ beside the bars


@pytest.fixture
def futures(
    perp: pd.DataFrame, funding: pd.Series, open_interest: pd.Series
) -> Iterator[ReplayServer]:
    replay = BinanceReplay()
    replay.add_klines("usd_m", "BTCUSDT", "1h", perp)
    four = perp.resample("4h", closed="left", label="left").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    replay.add_klines("usd_m", "BTCUSDT", "4h", four.assign(trades=1))
    replay.add_funding("BTCUSDT", funding)
    replay.add_open_interest("BTCUSDT", "4h", open_interest)
    replay.add_open_interest("BTCUSDT", "1h", open_interest)
    ratio = open_interest / open_interest.iloc[0]
    replay.add_long_short_ratio("BTCUSDT", "4h", ratio.round(4))
    with ReplayServer(replay, now=after(perp, 0.6)) as running:
        yield running


def as_of(series: pd.Series, closes: pd.DatetimeIndex, oldest: timedelta) -> np.ndarray:
    """Last value stamped at or before each close and younger than ``oldest``; row by row."""
    values = []
    for close in closes:
        known = series.loc[(series.index <= close) & (series.index > close - oldest)]
        values.append(known.iloc[-1] if len(known) else np.nan)
    return np.array(values)


def test_perpetuals_have_funding_as_of_each_close(
    futures: ReplayServer, perp: pd.DataFrame, funding: pd.Series
):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    reader = source(futures, market="usd_m", series=["funding_rate"])
    frame = reader.fetch(PERP, "1h", start)
    wanted = perp[perp.index >= start]
    assert list(frame.index) == list(wanted.index)
    for name in ("open", "high", "low", "close", "volume", "trades"):
        np.testing.assert_array_equal(frame[name], wanted[name].astype("float64"))
    closes = pd.DatetimeIndex(frame.index) + timedelta(hours=1)
    oracle = as_of(funding, closes, timedelta(hours=8, minutes=1))
    np.testing.assert_array_equal(frame["funding_rate"], oracle)
    # Null until the first settlement that is known.
    assert frame["funding_rate"].isna().sum() == np.sum(closes < funding.index[0]) > 0
    assert frame["is_final"].to_list() == [True] * (len(frame) - 1) + [False]


def test_a_settlement_some_milliseconds_after_the_close_is_the_next_bars(
    futures: ReplayServer, funding: pd.Series
):
    stamps = pd.DatetimeIndex(funding.index)
    late = stamps[stamps.microsecond > 0][0]
    hour = instant(late.floor("h"))
    assert timedelta(0) < instant(late) - hour < timedelta(seconds=1)
    rate = funding[late]
    before = hour - timedelta(hours=1)
    reader = source(futures, market="usd_m", series=["funding_rate"])
    frame = reader.fetch(PERP, "1h", before, before + timedelta(hours=2))
    assert frame["funding_rate"].iloc[0] != rate
    assert frame["funding_rate"].iloc[1] == rate


def test_values_do_not_depend_on_how_the_history_is_cut(futures: ReplayServer):
    start, end = datetime(2026, 2, 10, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC)
    whole = source(futures, market="usd_m").fetch(PERP, "4h", start, end)
    pieces = source(futures, market="usd_m", page_size=7).fetch(PERP, "4h", start, end)
    pd.testing.assert_frame_equal(pieces, whole, check_freq=False)
    middle = datetime(2026, 3, 3, 8, tzinfo=UTC)
    reader = source(futures, market="usd_m")
    halves = [reader.fetch(PERP, "4h", start, middle), reader.fetch(PERP, "4h", middle, end)]
    pd.testing.assert_frame_equal(pd.concat(halves), whole, check_freq=False)


def test_the_future_changes_nothing(futures: ReplayServer):
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)
    known = source(futures, market="usd_m").fetch(PERP, "4h", start, end)
    replay: Any = futures.vendors[0]
    limit = end.timestamp() * 1000
    for row in replay.funding["BTCUSDT"]:
        if row["fundingTime"] > limit:
            row["fundingRate"] = "9.9"
    for rows in replay.statistics.values():
        for row in rows:
            if row["timestamp"] > limit:
                row.update(sumOpenInterest="9.9", longShortRatio="9.9")
    again = source(futures, market="usd_m").fetch(PERP, "4h", start, end)
    pd.testing.assert_frame_equal(again, known)


def test_open_interest_and_ratio_are_samples_at_the_close_and_null_before_30_days(
    futures: ReplayServer, open_interest: pd.Series, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    frame = source(futures, market="usd_m").fetch(PERP, "4h", datetime(2026, 2, 1, tzinfo=UTC))
    closes = pd.DatetimeIndex(frame.index) + timedelta(hours=4)
    kept = futures.now - timedelta(days=30) + timedelta(hours=1)  # pyright: ignore[reportOptionalOperand]
    served = open_interest.loc[kept : futures.now]
    oracle = as_of(served, closes, timedelta(hours=4))
    np.testing.assert_array_equal(frame["open_interest"], oracle)
    ratio = (open_interest / open_interest.iloc[0]).round(4).loc[served.index]
    np.testing.assert_array_equal(
        frame["long_short_account_ratio"], as_of(ratio, closes, timedelta(hours=4))
    )
    assert frame["open_interest"].notna().sum() == len(served) > 100
    assert frame["open_interest"].isna().sum() > 50
    # The bar that closes with a sample's stamp has that sample.
    bar = frame.loc[pd.Timestamp("2026-03-01 04:00", tz="UTC")]
    assert bar["open_interest"] == open_interest[pd.Timestamp("2026-03-01 08:00", tz="UTC")]
    notes = source(futures, market="usd_m").notes(PERP, "4h")
    assert any("open_interest for 30 days" in note for note in notes)
    assert all(request.query["symbol"] == "BTCUSDT" for request in futures.asked())


def test_a_hole_in_the_samples_is_null_and_not_carried_on(
    futures: ReplayServer, open_interest: pd.Series
):
    # Samples every four hours beside bars of one hour: three of four bars have none.
    reader = source(futures, market="usd_m", series=["open_interest"])
    frame = reader.fetch(PERP, "1h", datetime(2026, 3, 1, tzinfo=UTC))
    known = frame["open_interest"].dropna()
    assert {stamp.hour for stamp in known.index} == {3, 7, 11, 15, 19, 23}
    stamps = known.index + timedelta(hours=1)
    np.testing.assert_array_equal(known, open_interest[stamps])


def test_statistics_are_asked_in_windows_that_a_reply_holds(perp: pd.DataFrame):
    start = datetime(2026, 2, 20, tzinfo=UTC)
    stamps = pd.date_range(start, datetime(2026, 3, 15, tzinfo=UTC), freq="5min")
    samples = pd.Series(np.arange(len(stamps)) + 0.5, index=stamps)
    minutes = pd.date_range(start, stamps[-1], freq="5min", inclusive="left")
    bars = pd.DataFrame(1.0, index=minutes, columns=["open", "high", "low", "close", "volume"])
    replay = BinanceReplay()
    replay.add_klines("usd_m", "BTCUSDT", "5m", bars)
    replay.add_open_interest("BTCUSDT", "5m", samples)
    with ReplayServer(replay, now=instant(stamps[-1])) as running:
        reader = source(running, market="usd_m", series=["open_interest"])
        frame = reader.fetch(PERP, "5m", start)
        assert len(running.asked(OPEN_INTEREST)) <= -(-len(samples) // 499) + 7
    np.testing.assert_array_equal(frame["open_interest"], samples.iloc[1:])


@pytest.mark.parametrize("path", [FUNDING, OPEN_INTEREST, RATIO])
@pytest.mark.parametrize(
    "fault",
    [
        server.reset,
        server.malformed,
        server.status(503),
        server.changed(lambda rows: {"rows": rows}),
        server.changed(lambda rows: [{**row, "symbol": "ETHUSDT"} for row in rows]),
        server.shifted(3 * 86_400_000),
    ],
)
def test_a_fault_beside_the_bars_is_asked_again(futures: ReplayServer, path: str, fault: Any):
    start, end = datetime(2026, 2, 25, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)
    undisturbed = source(futures, market="usd_m").fetch(PERP, "4h", start, end)
    futures.fail(fault, path=path)
    again = source(futures, market="usd_m").fetch(PERP, "4h", start, end)
    pd.testing.assert_frame_equal(again, undisturbed)


def test_two_rates_for_one_settlement_are_refused(futures: ReplayServer):
    def twice(rows: list[Any]) -> list[Any]:
        return [*rows, {**rows[0], "fundingRate": "0.5"}]

    futures.fail(server.changed(twice), path=FUNDING)
    with pytest.raises(DataError, match=r"4h funding_rate: the value stamped .* came twice, with"):
        source(futures, market="usd_m").fetch(PERP, "4h", datetime(2026, 3, 1, tzinfo=UTC))


# -------------------------------------------------------------------------------- declarations


def test_how_the_venue_is_reached_does_not_change_what_the_bars_are():
    plain = create_source("binance")
    tuned = create_source(
        "binance", {"base_url": "https://a.b", "attempts": 9, "page_size": 7, "budget": 0.1}
    )
    assert plain.parameters() == tuned.parameters()
    assert plain.parameters() != create_source("binance", {"market": "usd_m"}).parameters()


def test_only_crypto_and_only_known_timeframes():
    reader = create_source("binance")
    with pytest.raises(ConfigurationError, match="AAPL is of asset class 'equity', which"):
        reader.fetch(Instrument("AAPL", "equity", "XNYS", 2, 0), "1d")
    with pytest.raises(ConfigurationError, match=r"unknown timeframe '2h'; .* Did you mean"):
        reader.fetch(BTC, "2h")


@pytest.mark.parametrize(
    "params",
    [{"market": "spot", "series": []}, {"liquidations": "folder"}, {"market": "coin_m"},
     {"base_url": "api.binance.com"}, {"base_url": "https://u:p@host"},
     {"page_size": 1001}, {"budget": 2}, {"series": ["volume"]}, {"atempts": 3}],
)  # fmt: skip
def test_wrong_parameters_are_refused(params: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="source 'binance'"):
        create_source("binance", params)
