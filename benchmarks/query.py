"""Time of ``bars()`` for one symbol against reading one plain Parquet file with polars.

A year of one-minute bars and twenty years of daily ones are generated and ingested; the plain file
has the same rows and columns, as polars writes it by default. The contestants take turns in one
process. ``ratio`` is the median of ours over the median of the plain file's; ``spread`` tells how
far the quartiles of each lie apart, as a fraction of its median.

* warm: the files are in the page cache and the client has been used;
* cold: the page cache was told to forget the files; first: so it was, and the client is new;
* redis: all chunks are cached in a Redis server on this machine, which is started here if there is
  one; the lake that it is compared with is a local folder, the fastest that there is.

The last line is one JSON object; times are in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.timeframes import duration
from hf_plugins.versioning import Identity, Implementation, InputVersion, source_fingerprint
from hf_resources.client import Client
from hf_resources.datasets import DatasetRef, Definition
from hf_resources.ingestion import ingest
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import Source, window
from hf_resources.store import DatasetStore

SYMBOL = "BTCUSDT"
CASES = {"year_1m": ("1m", 525_600, 15), "twenty_years_1d": ("1d", 7_305, 300)}
SOME = ["open", "high", "low", "close", "volume"]


class Generated(Source):
    """A random walk with prices of two decimals, always sent whole."""

    key = "generated"

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Those of the cases."""
        return ("1m", "1d")

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """Bars from 2005 on."""
        generator = np.random.default_rng(7)
        step = duration(timeframe)
        scale = 1e-2 * (step.total_seconds() / 86_400) ** 0.5
        close = 20_000 * np.exp(np.cumsum(generator.normal(0, scale, self.rows)))
        opens = np.concatenate(([20_000.0], close[:-1]))
        volume = generator.gamma(4.0, 10.0, self.rows)
        frame = pd.DataFrame(
            {
                "open": opens,
                "high": np.maximum(opens, close) * (1 + scale / 10),
                "low": np.minimum(opens, close) * (1 - scale / 10),
                "close": close,
                "volume": volume,
                "vwap": (opens + close) / 2,
                "trades": np.round(volume * 3),
                "taker_buy_volume": volume * generator.uniform(0.3, 0.7, self.rows),
            },
            index=pd.date_range(
                "2005-01-01", periods=self.rows, freq=step, tz="UTC", name="timestamp", unit="ns"
            ),
        )
        return window(frame.round(2), start, end)


def main() -> None:
    """Measure each case and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=float, default=1.0, help="factor on the repetitions")
    options = parser.parse_args()
    figures: dict[str, Any] = {"benchmark": "query", "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        settings = Settings.from_env({"HF_HOME": folder})
        for name, (timeframe, rows, repeats) in CASES.items():
            publish(DatasetStore.open(settings), timeframe, rows)
            plain = Path(folder) / f"{timeframe}.parquet"
            Client.open(settings).bars(SYMBOL, timeframe).write_parquet(plain)
            times = max(3, round(repeats * options.repeats))
            figures[name] = measure(settings, url, plain, timeframe, times)
            print(name, figures[name], flush=True)
    print(json.dumps(figures))


def measure(
    settings: Settings, url: str | None, plain: Path, timeframe: str, repeats: int
) -> dict[str, Any]:
    """Figures of one case."""
    client = Client.open(settings)
    warm = turns(
        {
            "plain": lambda: pl.read_parquet(plain),
            "ours": lambda: client.bars(SYMBOL, timeframe),
            "plain_ohlcv": lambda: pl.read_parquet(plain, columns=["timestamp", *SOME]),
            "ours_ohlcv": lambda: client.bars(SYMBOL, timeframe, columns=SOME),
        },
        repeats,
    )
    lake = sorted((settings.home / "lake").rglob("*.parquet"))
    cold = turns(
        {
            "plain": lambda: pl.read_parquet(plain),
            "ours": lambda: client.bars(SYMBOL, timeframe),
            "first": lambda: Client.open(settings).bars(SYMBOL, timeframe),
        },
        min(repeats, 25),
        before=lambda: forget([plain, *lake]),
    )
    found: dict[str, Any] = {
        "rows": client.bars(SYMBOL, timeframe).height,
        "files": len(client.store.chunks(current(client.store, timeframe))),
        "warm": compared(warm, "ours", "plain"),
        "warm_ohlcv": compared(warm, "ours_ohlcv", "plain_ohlcv"),
        "cold": compared(cold, "ours", "plain"),
        "first": compared(cold, "first", "plain"),
    }
    if url is not None:
        cached = Client.open(replace(settings, redis_url=url))
        cached.bars(SYMBOL, timeframe)
        hits = turns(
            {
                "lake": lambda: client.bars(SYMBOL, timeframe),
                "redis": lambda: cached.bars(SYMBOL, timeframe),
            },
            repeats,
        )
        found["redis_hit"] = compared(hits, "redis", "lake")
    return found


def turns(
    contestants: dict[str, Callable[[], object]],
    repeats: int,
    before: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Milliseconds of each contestant, one after the other, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for count in range(repeats + 1):
        for name, action in contestants.items():
            before()
            started = time.perf_counter()
            action()
            if count:
                times[name].append((time.perf_counter() - started) * 1e3)
    return times


def compared(times: dict[str, list[float]], one: str, other: str) -> dict[str, Any]:
    """Medians of two contestants and their ratio."""
    middle = {name: statistics.median(times[name]) for name in (one, other)}
    spread = {
        name: (quartiles[2] - quartiles[0]) / middle[name]
        for name in (one, other)
        for quartiles in [statistics.quantiles(times[name], n=4)]
    }
    return {
        **{f"{name.partition('_')[0]}_ms": round(value, 2) for name, value in middle.items()},
        "ratio": round(middle[one] / middle[other], 2),
        "spread": {name.partition("_")[0]: round(value, 2) for name, value in spread.items()},
    }


def forget(files: list[Path]) -> None:
    """Ask the system to drop files from its page cache."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # only what is on disk can be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def current(store: DatasetStore, timeframe: str) -> Any:
    """Head of the bars."""
    return store.head(DatasetRef("market_data", "bars", SYMBOL, timeframe))


def publish(store: DatasetStore, timeframe: str, rows: int) -> None:
    """Ingest the bars of a case."""
    outcome, spool = ingest(
        store,
        Generated(rows),
        Instrument(SYMBOL, "crypto", "24/7", 2, 2),
        timeframe,
        policy=QualityPolicy(),
        now=datetime(2026, 1, 1, tzinfo=UTC),
        bars=None,
        quarantine=None,
    )
    inputs = {"source": InputVersion("", outcome.digests)}
    chunks = outcome.bars.chunks
    store.publish(
        DatasetRef("market_data", "bars", SYMBOL, timeframe),
        Identity(
            plugin_key="market_data.bars",
            params={},
            symbol=SYMBOL,
            timeframe=timeframe,
            start_date=chunks[0].start.isoformat(),
            end_date=chunks[-1].end.isoformat(),
            source_fingerprint=source_fingerprint(inputs),
            code_version="0" * 16,
            implementation=Implementation({}, {}),
            inputs=inputs,
        ),
        definition=Definition("market_data", "bars", "market_data.bars", {}),
        frame=outcome.bars,
        summary=outcome.summary(),
    )
    spool.clear()


@contextmanager
def redis_server(folder: Path) -> Iterator[str | None]:
    """URL of a server that runs meanwhile; None where there is no Redis."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if time.monotonic() > deadline:
                raise TimeoutError("redis-server does not start")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
