"""Liquidations: what the recorder writes is what the bars get, and what nobody saw is null."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.instruments import Instrument
from hf_resources.sources import create_source
from hf_resources.sources.binance_liquidations import listen, read_liquidations, record
from tests.replay import BinanceReplay, ReplayServer

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 3, 1, 22, tzinfo=UTC)
COLUMNS = ["liquidations_long", "liquidations_short"]


def order(symbol: str, side: str, price: float, filled: float, at: datetime) -> dict[str, Any]:
    moment = int(at.timestamp() * 1000)
    return {
        "e": "forceOrder",
        "E": moment + 3,
        "o": {
            "s": symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": "9", "p": "1",
            "ap": f"{price:.8f}", "X": "FILLED", "l": "0.1", "z": f"{filled:.3f}", "T": moment,
        },
    }  # fmt: skip


class Script:
    """A stream as a list of (when, message); its clock is that of the last message."""

    def __init__(self, *events: dict[str, Any], begin: datetime, end: datetime) -> None:
        quiet = int((end - begin) / timedelta(seconds=20))
        ticks: list[tuple[float, str | None]] = [
            ((begin + each * timedelta(seconds=20)).timestamp(), None) for each in range(quiet + 1)
        ]
        told = [(event["E"] / 1000, json.dumps(event)) for event in events]
        self.messages = sorted([*ticks, *told], key=lambda each: each[0])
        self.now = 0.0

    def __iter__(self) -> Iterator[str | None]:
        for moment, message in self.messages:
            self.now = moment
            yield message

    def clock(self) -> float:
        return self.now


def write(folder: Path, *events: dict[str, Any], begin: datetime, end: datetime) -> None:
    script = Script(*events, begin=begin, end=end)
    record(script, ["BTCUSDT", "ETHUSDT"], folder, clock=script.clock)


def read(folder: Path, hours: int, symbol: str = "BTCUSDT") -> list[list[float]]:
    opens = pd.date_range(BEGIN, periods=hours, freq="h", unit="us")
    frame = read_liquidations(folder, symbol, opens, HOUR)
    assert list(frame.columns) == COLUMNS
    assert frame.index.equals(opens)
    return frame.to_numpy().tolist()


def test_orders_are_summed_in_the_bar_they_traded_in(tmp_path: Path):
    at = BEGIN + timedelta(minutes=30)
    write(
        tmp_path,
        order("BTCUSDT", "SELL", 60_000, 0.5, at),
        order("BTCUSDT", "SELL", 50_000, 0.1, BEGIN + HOUR - timedelta(milliseconds=1)),
        order("BTCUSDT", "BUY", 61_000, 0.2, BEGIN + HOUR),
        # Over midnight, in another file.
        order("BTCUSDT", "BUY", 62_000, 1.0, BEGIN + 2 * HOUR + timedelta(seconds=1)),
        order("ETHUSDT", "SELL", 3_000, 1.0, at),
        begin=BEGIN - timedelta(minutes=1),
        end=BEGIN + 4 * HOUR + timedelta(minutes=2),
    )
    assert read(tmp_path, 4) == [[35_000, 0], [0, 12_200], [0, 62_000], [0, 0]]
    assert read(tmp_path, 4, "ETHUSDT") == [[3_000, 0], [0, 0], [0, 0], [0, 0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{symbol}_2026-03-0{day}.jsonl" for symbol in ("BTCUSDT", "ETHUSDT") for day in (1, 2)
    ]


def test_the_vendors_own_fixture_is_a_long_position_closed(shared_data: Path, tmp_path: Path):
    path = shared_data / "api_fixtures/binance/futures/market_data_json/liquidation_stream.json"
    event = json.loads(path.read_text())
    at = datetime.fromtimestamp(event["o"]["T"] / 1000, UTC)
    begin = at.replace(minute=0, second=0, microsecond=0)
    write(tmp_path, event, begin=begin, end=begin + 2 * HOUR)
    frame = read_liquidations(tmp_path, "BTCUSDT", pd.DatetimeIndex([begin]), HOUR)
    assert frame.to_numpy().tolist() == [[9910.12345678 * 0.014, 0]]


def test_bars_that_nobody_watched_from_end_to_end_are_null(tmp_path: Path):
    whole, half = BEGIN + HOUR, BEGIN + timedelta(minutes=30)
    # Started in the first bar, stopped in the fourth.
    write(
        tmp_path,
        order("BTCUSDT", "SELL", 100, 1, half + timedelta(minutes=1)),
        order("BTCUSDT", "SELL", 100, 2, whole + timedelta(minutes=1)),
        order("BTCUSDT", "SELL", 100, 3, whole + 2 * HOUR + timedelta(minutes=1)),
        begin=half,
        end=whole + 2 * HOUR + timedelta(minutes=30),
    )
    values = np.array(read(tmp_path, 5))
    np.testing.assert_array_equal(values[:, 0], [np.nan, 200, 0, np.nan, np.nan])
    np.testing.assert_array_equal(values[:, 1], [np.nan, 0, 0, np.nan, np.nan])


@pytest.mark.parametrize("pause", [timedelta(seconds=5), timedelta(seconds=90), 2 * HOUR])
def test_a_restart_is_a_hole_however_short(tmp_path: Path, pause: timedelta):
    stop = BEGIN + HOUR + timedelta(minutes=20)
    end = BEGIN + 5 * HOUR + timedelta(minutes=5)
    write(tmp_path, begin=BEGIN, end=stop)
    write(tmp_path, begin=stop + pause, end=end)
    known = ~np.isnan(np.array(read(tmp_path, 5)))[:, 0]
    restarted = stop + pause - BEGIN
    assert known.tolist() == [True, *(hour * HOUR >= restarted for hour in range(1, 5))]


def test_the_last_minute_is_not_known_yet(tmp_path: Path):
    for seconds, known in [(0, False), (40, False), (80, True)]:
        folder = tmp_path / str(seconds)
        write(folder, begin=BEGIN, end=BEGIN + HOUR + timedelta(seconds=seconds))
        assert (read(folder, 1) == [[0, 0]]) == known


def test_an_order_written_by_two_recorders_is_one(tmp_path: Path):
    event = order("BTCUSDT", "BUY", 100, 2, BEGIN + timedelta(minutes=3))
    for offset, late in [(7, 0), (3, 50), (0, 0)]:
        begin = BEGIN - timedelta(seconds=offset)
        write(tmp_path, {**event, "E": event["E"] + late}, begin=begin, end=begin + 2 * HOUR)
    assert read(tmp_path, 1) == [[0, 200]]


def test_a_torn_line_is_cut_by_the_next_recorder(tmp_path: Path):
    path = tmp_path / "BTCUSDT_2026-03-01.jsonl"
    path.write_text('{"e": "started", "E": 1}\n{"e": "forceOrd')
    assert np.isnan(np.array(read(tmp_path, 1))).all()
    write(tmp_path, begin=BEGIN, end=BEGIN + timedelta(minutes=70))
    assert read(tmp_path, 1) == [[0, 0]]


@pytest.mark.parametrize(
    "line",
    ["x", "{}", "[]", '{"e": "forceOrder"}', '{"e": "forceOrder", "o": {"s": "BTCUSDT", "S": "?"}}',
     json.dumps(order("BTCUSDT", "BUY", float("nan"), 1, BEGIN))],
)  # fmt: skip
def test_a_line_that_is_no_event_is_told(tmp_path: Path, line: str):
    path = tmp_path / "BTCUSDT_2026-03-01.jsonl"
    path.write_text('{"e": "started", "E": 1}\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path, 1)
    assert str(caught.value) == f"{path}: line 2 is no event of the recorder"


def test_a_file_of_another_symbol_is_told(tmp_path: Path):
    event = json.dumps(order("ETHUSDT", "BUY", 1, 1, BEGIN))
    (tmp_path / "BTCUSDT_2026-03-01.jsonl").write_text(event + "\n")
    with pytest.raises(DataError, match="line 1 is of ETHUSDT, not of BTCUSDT"):
        read(tmp_path, 1)


def test_a_folder_that_is_not_there_is_told_with_the_nearest(tmp_path: Path):
    (tmp_path / "liquidations").mkdir()
    with pytest.raises(ConfigurationError, match=r"is no folder\. Did you mean 'liquidations'"):
        read(tmp_path / "liquidation", 1)


def test_the_source_lays_them_beside_its_bars(tmp_path: Path):
    opens = pd.date_range(BEGIN, periods=5, freq="h")
    bars = pd.DataFrame(100.0, index=opens, columns=["open", "high", "low", "close", "volume"])
    replay = BinanceReplay()
    replay.add_klines("usd_m", "BTCUSDT", "1h", bars)
    write(
        tmp_path,
        order("BTCUSDT", "BUY", 100, 2, BEGIN + timedelta(minutes=130)),
        begin=BEGIN + HOUR,
        end=BEGIN + 3 * HOUR + timedelta(minutes=10),
    )
    with ReplayServer(replay, now=BEGIN + 5 * HOUR) as running:
        reader = create_source(
            "binance",
            {"base_url": running.url, "market": "usd_m", "series": [], "page_size": 2,
             "liquidations": str(tmp_path)},
        )  # fmt: skip
        frame = reader.fetch(Instrument("BTC/USDT", "crypto", "24/7", 2, 3), "1h", BEGIN)
    np.testing.assert_array_equal(frame["liquidations_short"], [np.nan, 0, 200, np.nan, np.nan])
    np.testing.assert_array_equal(frame["liquidations_long"], [np.nan, 0, 0, np.nan, np.nan])


def test_a_real_stream_is_recorded(tmp_path: Path):
    websockets = pytest.importorskip("websockets.sync.server")
    event = order("BTCUSDT", "SELL", 100, 2, datetime.now(UTC))
    asked: list[str] = []

    def serve(connection: Any) -> None:
        asked.append(connection.request.path)
        connection.send(json.dumps({"stream": "btcusdt@forceOrder", "data": event}))
        connection.send(json.dumps({"stream": "x", "data": {"e": "other"}}))
        connection.close()

    with websockets.serve(serve, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        port = running.socket.getsockname()[1]
        symbols = ["ETHUSDT", "BTCUSDT"]
        stream = f"ws://127.0.0.1:{port}/stream?streams="
        record(listen(symbols, stream=stream), symbols, tmp_path)
        running.shutdown()
        thread.join()
    assert asked == ["/stream?streams=btcusdt@forceOrder/ethusdt@forceOrder"]
    [path] = tmp_path.glob("BTCUSDT_*.jsonl")
    started, told = [json.loads(line) for line in path.read_text().splitlines()]
    assert started["e"] == "started"
    assert told == event
