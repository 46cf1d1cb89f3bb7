"""Time to read a wide feature dataset from the lake against one plain Parquet file.

The dataset is the 107 gold features of 180,000 one-minute bars, published as a run publishes it;
the plain file has the same rows and columns, compressed alike. The contestants take turns in one
process with the files in the page cache. A ratio is the median of ours over the median of the
plain one; ``spread`` tells how far the quartiles lie apart, as a fraction of the median.

* polars: ``Client.features`` against ``polars.read_parquet``;
* pandas: ``Client.features(engine="pandas")`` against ``polars.read_parquet(...).to_pandas()`` and
  against ``pandas.read_parquet``, each with ``timestamp`` as index, as the client's frame has it;
* store: ``DatasetStore.read``, with which a computation reads its inputs, against the same;
* hit: ``DatasetStore.lookup`` of the version, as the guard asks before it computes, in a catalog of
  this one dataset; ``catalog_lookup.py`` asks one with a million.

The last line is one JSON object; times are in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from hf_plugins.features import gold
from hf_plugins.features.gold import generator
from hf_plugins.versioning import Identity, Implementation
from hf_resources.client import Client
from hf_resources.datasets import Dataset, DatasetRef, Definition
from hf_resources.settings import Settings

REF = DatasetRef("features", "gold_features107", "XAUUSD", "1m")
SEED = 1


def main() -> None:
    """Publish, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=180_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        client = Client.open(Settings.from_env({"HF_HOME": folder}))
        dataset = publish(client, options.rows)
        plain = Path(folder) / "plain.parquet"
        features(client).write_parquet(plain, compression="lz4")  # as the lake does
        figures = measure(client, dataset, plain, options.repeats)
    print(json.dumps({"benchmark": "feature_read", "cpus": os.cpu_count(), **figures}))


def measure(client: Client, dataset: Dataset, plain: Path, repeats: int) -> dict[str, Any]:
    """All figures."""
    contestants: Mapping[str, Callable[[], Any]] = {
        "polars_plain": lambda: pl.read_parquet(plain),
        "polars_client": lambda: features(client),
        "pandas_plain": lambda: pl.read_parquet(plain).to_pandas().set_index("timestamp"),
        "pandas_arrow_plain": lambda: pd.read_parquet(plain).set_index("timestamp"),
        "pandas_client": lambda: features(client, engine="pandas"),
        "store": lambda: client.store.read(dataset),
    }
    pd.testing.assert_frame_equal(
        features(client, engine="pandas"), client.store.read(dataset), check_exact=True
    )
    times = turns(contestants, repeats)
    best_pandas = min("pandas_plain", "pandas_arrow_plain", key=lambda name: middle(times[name]))
    look = partial(client.store.lookup, dataset.ref, dataset.version_hash)
    hits = turns({"hit": look}, 2_000)["hit"]
    return {
        "rows": dataset.row_count,
        "columns": len(dataset.columns),
        "files": len(client.store.chunks(dataset)),
        **{f"{name}_ms": round(middle(taken), 2) for name, taken in times.items()},
        "spread": {name: spread(taken) for name, taken in times.items()},
        "polars_ratio": ratio(times["polars_client"], times["polars_plain"]),
        "pandas_ratio": ratio(times["pandas_client"], times[best_pandas]),
        "store_ratio": ratio(times["store"], times[best_pandas]),
        "hit_p50_ms": round(middle(hits), 3),
        "hit_p99_ms": round(statistics.quantiles(hits, n=100)[98], 3),
    }


def features(client: Client, engine: Any = "polars") -> Any:
    """What a user calls."""
    return client.features(REF.symbol, REF.timeframe, [REF.name], engine=engine)


def turns(contestants: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each contestant, one after the other, after a round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for count in range(repeats + 1):
        for name, action in contestants.items():
            started = time.perf_counter()
            found = action()
            if count:
                times[name].append((time.perf_counter() - started) * 1e3)
            del found  # its memory is returned before the next one's turn
    return times


def middle(times: list[float]) -> float:
    """Median."""
    return statistics.median(times)


def spread(times: list[float]) -> float:
    """Distance of the quartiles as a fraction of the median."""
    low, _, high = statistics.quantiles(times, n=4)
    return round((high - low) / middle(times), 2)


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Of the medians."""
    return round(middle(ours) / middle(theirs), 2)


def publish(client: Client, rows: int) -> Dataset:
    """Compute the features of generated bars and publish them."""
    frame = gold.compute(generator.generate(rows, SEED))
    definition = Definition(REF.layer, REF.name, "gold.features107", {}, "", "gold")
    identity = Identity(
        plugin_key=definition.plugin_key,
        params={},
        symbol=REF.symbol,
        timeframe=REF.timeframe,
        start_date=str(frame.index[0].isoformat()),
        end_date=str(frame.index[-1].isoformat()),
        source_fingerprint="",
        code_version="",
        implementation=Implementation({}, {}),
        inputs={},
    )
    return client.store.publish(REF, identity, definition=definition, frame=frame)


if __name__ == "__main__":
    main()
