"""A hit in Redis against a read from S3, of the same bars through the same client.

Both servers are started here, on this machine: SeaweedFS and Redis. So the figures are those of a
network without distance: the further away the lake, the more the cache is worth. Milliseconds are
medians over turns that alternate; ``columns`` is a read of three columns. The last line is
one JSON object, without figures where one of the servers is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from query import SYMBOL, compared, publish, turns

from hf_resources.client import Client
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

CASES = {"days_10_years": ("1d", 3_650, 60), "minutes_1_year": ("1m", 525_600, 15)}
SOME = ["close", "volume"]


def main() -> None:
    """Start the servers, measure each case and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=float, default=1.0, help="factor on the repetitions")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests import servers

    figures: dict[str, Any] = {"benchmark": "cache", "cpus": os.cpu_count()}
    if servers.s3_binary() is None or shutil.which("redis-server") is None:
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as folder, servers.s3() as environ:
        os.environ |= environ
        redis = servers.Redis(Path(folder), servers.free_port())
        redis.start()
        try:
            lake = f"s3://{servers.BUCKET}/benchmark"
            settings = Settings.from_env({"HF_HOME": folder, "HF_LAKE_URL": lake})
            for name, (timeframe, rows, repeats) in CASES.items():
                publish(DatasetStore.open(settings), timeframe, rows)
                times = max(5, round(repeats * options.repeats))
                figures[name] = measure(settings, redis.url, timeframe, times)
                print(name, figures[name], flush=True)
        finally:
            redis.end()
    print(json.dumps(figures))


def measure(settings: Settings, url: str, timeframe: str, repeats: int) -> dict[str, Any]:
    """Figures of one case."""
    plain = Client.open(settings)
    cached = Client.open(replace(settings, redis_url=url))
    whole = plain.bars(SYMBOL, timeframe)
    for columns in (None, SOME):
        cached.bars(SYMBOL, timeframe, columns=columns)
        expected = plain.bars(SYMBOL, timeframe, columns=columns)
        if not cached.bars(SYMBOL, timeframe, columns=columns).equals(expected):
            raise SystemExit(f"Redis and S3 differ for {timeframe} {columns}")
    times = turns(
        {
            "s3": lambda: plain.bars(SYMBOL, timeframe),
            "redis": lambda: cached.bars(SYMBOL, timeframe),
            "s3_columns": lambda: plain.bars(SYMBOL, timeframe, columns=SOME),
            "redis_columns": lambda: cached.bars(SYMBOL, timeframe, columns=SOME),
        },
        repeats,
    )
    return {
        "rows": whole.height,
        "columns_of_all": len(whole.columns),
        "all": compared(times, "redis", "s3"),
        "columns": compared(times, "redis_columns", "s3_columns"),
    }


if __name__ == "__main__":
    main()
