"""The recorder against a real websocket server: lost connections, interruption, what is read."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from websockets.sync.server import ServerConnection, serve

from hf_plugins.errors import ConfigurationError
from hf_resources.sources.binance_liquidations import keep_recording, read_liquidations

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)
STEP = 20.0
"""Seconds that pass from one message to the next."""


def order(at: datetime, side: str = "SELL", *, symbol: str = "BTCUSDT") -> str:
    moment = int(at.timestamp() * 1000)
    details = {"s": symbol, "S": side, "ap": "100.0", "z": "2.0", "T": moment}
    event = {"e": "forceOrder", "E": moment, "o": details}
    return json.dumps({"stream": f"{symbol.lower()}@forceOrder", "data": event})


@contextmanager
def venue(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    """A websocket server; its address."""
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/stream?streams="
        finally:
            server.shutdown()
            thread.join()


def ticks(begin: datetime) -> Callable[[], float]:
    """A clock that goes on by a little with each look."""
    times = itertools.count(begin.timestamp(), STEP / 2)  # looked at twice for each message
    return lambda: next(times)


def read(folder: Path, hours: int) -> pd.DataFrame:
    opens = pd.DatetimeIndex([BEGIN + hour * HOUR for hour in range(hours)])
    return read_liquidations(folder, "BTCUSDT", opens, HOUR)


def test_what_is_recorded_is_what_the_bars_get(tmp_path: Path) -> None:
    asked: list[str] = []

    def handler(connection: ServerConnection) -> None:
        asked.append(connection.request.path)  # type: ignore[union-attr]
        for step in range(int(3 * HOUR.total_seconds() / STEP)):
            at = BEGIN + timedelta(seconds=step * STEP)
            quiet = step % 90  # an order each half hour
            connection.send(json.dumps({"e": "other"}) if quiet else order(at))

    told: list[str] = []
    with venue(handler) as stream:
        keep_recording(
            ["BTCUSDT", "ETHUSDT"],
            tmp_path / "new",
            say=told.append,
            stream=stream,
            clock=ticks(BEGIN - timedelta(minutes=1)),
            connections=1,
        )
    assert asked == ["/stream?streams=btcusdt@forceOrder/ethusdt@forceOrder"]
    found = read(tmp_path / "new", 3)
    # Two orders of 2 at 100 in each hour; the last minutes are not believed.
    assert found["liquidations_long"].tolist()[:2] == [400.0, 400.0]
    assert found["liquidations_short"].tolist()[:2] == [0.0, 0.0]
    assert told[0] == f"connected; recording BTCUSDT, ETHUSDT to {tmp_path / 'new'}"
    assert told[1] == "1 liquidations (BTCUSDT 1), 1 in all"
    assert told[-1].endswith(", 6 in all")


def test_a_lost_connection_is_made_again_and_the_time_between_is_not_watched(
    tmp_path: Path,
) -> None:
    connections: list[int] = []
    now = [BEGIN.timestamp()]

    def handler(connection: ServerConnection) -> None:
        connections.append(1)
        for _ in range(200 if len(connections) != 2 else 0):
            connection.send(json.dumps({"e": "other"}))

    def clock() -> float:
        now[0] += STEP / 2
        return now[0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += 600

    told: list[str] = []
    waits: list[float] = []
    with venue(handler) as stream:
        keep_recording(
            ["BTCUSDT"], tmp_path, say=told.append, stream=stream, clock=clock, sleep=sleep,
            connections=3,
        )  # fmt: skip
    assert len(connections) == 3
    assert len(waits) == 2
    assert all(0 < wait <= 2 for wait in waits)
    lost = [sentence for sentence in told if sentence.startswith("no connection: ")]
    assert len(lost) == 2
    assert all("bars in between stay null" in sentence for sentence in lost)
    marks = [json.loads(line)["e"] for line in (tmp_path / "BTCUSDT_2026-03-01.jsonl").open()]
    assert marks.count("started") == 3
    # The first connection stood for more than an hour, the second did not, nor did the gap.
    assert read(tmp_path, 2)["liquidations_long"].isna().tolist() == [True, True]
    watched = read_liquidations(
        tmp_path, "BTCUSDT", pd.DatetimeIndex([BEGIN + timedelta(minutes=5)]), HOUR / 2
    )
    assert watched["liquidations_long"].tolist() == [0.0]


def test_nobody_there_is_told_and_tried_again(tmp_path: Path) -> None:
    with venue(lambda connection: None) as stream:
        pass  # its port is free again
    told: list[str] = []
    waits: list[float] = []
    keep_recording(
        ["BTCUSDT"], tmp_path, say=told.append, stream=stream, sleep=waits.append, connections=8
    )
    assert len(told) == 7
    assert all(sentence.startswith("no connection: ") for sentence in told)
    assert max(waits) > 8 * min(waits)  # it is asked ever more rarely
    assert max(waits) <= 60


def test_an_address_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the stream is 'fstream'"):
        keep_recording(["BTCUSDT"], tmp_path, say=print, stream="fstream")


def test_what_is_no_json_ends_the_connection_and_not_the_recorder(tmp_path: Path) -> None:
    sent: Any = itertools.chain(["<html>"], itertools.repeat(order(BEGIN)))

    def handler(connection: ServerConnection) -> None:
        connection.send(next(sent))

    told: list[str] = []
    with venue(handler) as stream:
        keep_recording(
            ["BTCUSDT"], tmp_path, say=told.append, stream=stream, sleep=lambda seconds: None,
            connections=2,
        )  # fmt: skip
    assert any("'<html>', which is no JSON" in sentence for sentence in told)
    lines = [json.loads(line)["e"] for path in sorted(tmp_path.iterdir()) for line in path.open()]
    assert sorted(lines) == ["forceOrder", "started", "started"]
