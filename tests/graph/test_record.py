"""``hf record liquidations``: which symbols and where to, and a process that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from hf_assets import location
from hf_assets.cli.record import recorded
from hf_assets.project import load_project
from hf_plugins.errors import ConfigurationError

DOCUMENTS = """
type: hf_assets.MarketData
attributes:
  source: binance
  params: {market: usd_m, liquidations: %s, symbols: {PEPE-PERP: 1000PEPEUSDT}}
  since: '2024-01-01'
---
type: hf_assets.MarketData
attributes: {name: elsewhere, source: binance, params: {market: usd_m, liquidations: other}}
---
type: hf_assets.MarketData
attributes: {name: spot, source: binance}
"""


def coin(symbol: str, source: str | None = None) -> dict[str, Any]:
    precision = {"price_precision": 2, "size_precision": 3}
    entry: dict[str, Any] = {
        "symbol": symbol,
        "asset_class": "crypto",
        "calendar": "24/7",
        **precision,
    }
    return entry | ({"source": source} if source else {})


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "market_data").mkdir(parents=True)
    (folder / "market_data" / "defs.yaml").write_text(DOCUMENTS % (tmp_path / "recorded"))
    instruments = [coin("BTC/USDT"), coin("PEPE-PERP"), coin("ETHUSDT", "spot")]
    universe = {"timeframes": ["1h"], "instruments": [*instruments, coin("SOLUSDT", "elsewhere")]}
    (folder / "universe.yaml").write_text(yaml.safe_dump(universe))
    return folder


def test_symbols_and_folder_are_those_of_the_documents(documents: Path, tmp_path: Path) -> None:
    project = load_project(location.tree_of(documents))
    folder = tmp_path / "recorded"
    chosen = ("PEPE-PERP", "BTC/USDT")
    assert recorded(project, chosen) == (["1000PEPEUSDT", "BTCUSDT"], folder)
    assert recorded(project, ("SOLUSDT",)) == (["SOLUSDT"], Path("other"))
    with pytest.raises(ConfigurationError, match="belong in 2 folders"):
        recorded(project, ())
    with pytest.raises(ConfigurationError, match="Recorded can be: BTC/USDT, PEPE-PERP, SOLUSDT"):
        recorded(project, ("ETHUSDT",))
    with pytest.raises(ConfigurationError, match="Did you mean 'SOLUSDT'"):
        recorded(project, ("SOLUSD",))


@pytest.fixture
def stream() -> Iterator[str]:
    """A venue that sends an order at once and then holds the connection open."""

    def handler(connection: ServerConnection) -> None:
        moment = int(datetime.now(UTC).timestamp() * 1000)
        details = {"s": "BTCUSDT", "S": "SELL", "ap": "100", "z": "2", "T": moment}
        event = {"e": "forceOrder", "E": moment, "o": details}
        connection.send(json.dumps({"stream": "btcusdt@forceOrder", "data": event}))
        try:
            connection.recv()
        except ConnectionClosed:
            return

    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/stream?streams="
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_command_with_all_written(
    documents: Path, stream: str, tmp_path: Path, stop: signal.Signals
) -> None:
    command = ["record", "liquidations", "BTC/USDT", "--stream", stream]
    process = subprocess.Popen(
        [sys.executable, "-c", "from hf_assets.cli import main; main()", *command],
        env={**os.environ, "HF_DEFS": str(documents), "HF_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    folder = tmp_path / "recorded"
    path = folder / f"BTCUSDT_{datetime.now(UTC):%Y-%m-%d}.jsonl"
    while not path.exists() or path.read_text().count("\n") < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(stop)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"connected; recording BTCUSDT to {folder}" in first
    assert output.splitlines()[-1].endswith(f"stopped; what came is in {folder}")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["e"] for line in lines] == ["started", "forceOrder"]
    assert errors == ""
