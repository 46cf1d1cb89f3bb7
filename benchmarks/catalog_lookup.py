"""Latency of a cache lookup in a catalog of a million datasets, in SQLite and in Postgres.

Fills a catalog in a temporary folder with rows of realistic size, then measures
``DatasetStore.lookup`` in a fresh process, over random hits and misses; then the same in a Postgres
server on this machine, which is started here where its binaries are found. The last line is one
JSON object: the figures of SQLite, and under ``postgres`` those of Postgres.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from hf_plugins.versioning import sha256_hex
from hf_resources import catalog
from hf_resources.datasets import DatasetRef
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

FEATURES = 100
SYMBOLS = 500
TIMEFRAME = "1d"
COLUMNS = (
    "definition_id, symbol, timeframe, version_hash, generation, code_version,"
    " source_fingerprint, start_date, end_date, row_count, storage_path, created_at, columns,"
    " column_digests, attachments, summary, identity, chunks"
)


def main() -> None:
    """Fill, measure in another process, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=10_000, help="lookups, half of them hits")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        settings = Settings.from_env()
        print(json.dumps(measure(settings, options.rows, options.samples)))
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"HF_HOME": folder})
        figures = filled_and_measured(settings, fill_sqlite, options)
        size = (Path(folder) / "catalog.sqlite").stat().st_size
    figures["catalog_mb"] = round(size / 1e6)
    figures["postgres"] = in_postgres(options)
    print(json.dumps({"benchmark": "catalog_lookup", **figures}))


def in_postgres(options: argparse.Namespace) -> dict[str, Any] | None:
    """Figures of a server of this benchmark's own; None where there is none to start."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests import servers

    if servers.postgres_binaries() is None:
        return None
    with tempfile.TemporaryDirectory() as folder, servers.postgres() as url:
        catalog.upgrade(url)
        settings = Settings.from_env({"HF_HOME": folder, "HF_CATALOG_URL": url})
        return filled_and_measured(settings, fill_postgres, options)


def filled_and_measured(
    settings: Settings, fill: Callable[[Settings, int], None], options: argparse.Namespace
) -> dict[str, Any]:
    """Fill a catalog, and measure in another process."""
    started = time.perf_counter()
    fill(settings, options.rows)
    seconds = time.perf_counter() - started
    print(f"{fill.__name__}: {options.rows} rows in {seconds:.0f} s", flush=True)
    command = [sys.executable, __file__, "--measure"]
    command += ["--rows", str(options.rows), "--samples", str(options.samples)]
    environ = {"HF_HOME": str(settings.home), "HF_CATALOG_URL": settings.catalog_url}
    measured = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **environ}
    )
    return json.loads(measured.stdout.splitlines()[-1])


def fill_sqlite(settings: Settings, rows: int) -> None:
    """Insert the rows around the store, which would take hours to publish them one by one."""
    DatasetStore.open(settings).catalog.close()
    path = settings.catalog_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-1000000")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO features (id, name, family, description, plugin_key, parameters, created_at,"
        " updated_at, version) VALUES (?, ?, '', '', 'technical.rsi', '{}',"
        " '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', 1)",
        [(number + 1, f"feature_{number}") for number in range(FEATURES)],
    )
    marks = ", ".join("?" * 18)
    connection.executemany(
        f"INSERT INTO feature_datasets ({COLUMNS}) VALUES ({marks})", map(_row, range(rows))
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def fill_postgres(settings: Settings, rows: int) -> None:
    """The same by COPY."""
    engine = create_engine(settings.catalog_url)
    definitions = [(number + 1, f"feature_{number}") for number in range(FEATURES)]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO features (id, name, family, description, plugin_key, parameters,"
                " created_at, updated_at, version) VALUES (:id, :name, '', '', 'technical.rsi',"
                " '{}', '2026-01-01', '2026-01-01', 1)"
            ),
            [{"id": number, "name": name} for number, name in definitions],
        )
        cursor: Any = connection.connection.cursor()
        for start in range(0, rows, 50_000):
            lines = io.StringIO()
            csv.writer(lines).writerows(map(_row, range(start, min(start + 50_000, rows))))
            lines.seek(0)
            cursor.copy_expert(f"COPY feature_datasets ({COLUMNS}) FROM STDIN CSV", lines)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def measure(settings: Settings, rows: int, samples: int) -> dict[str, Any]:
    """Time single lookups; the first one, which opens the connection, is reported apart."""
    store = DatasetStore.open(settings)
    chance = random.Random(7)
    questions = [(_ref(n), _hash(n), True) for n in chance.choices(range(rows), k=samples // 2)]
    questions += [
        (_ref(n), sha256_hex(f"missing {n}"), False)
        for n in chance.choices(range(rows), k=samples - samples // 2)
    ]
    chance.shuffle(questions)
    started = time.perf_counter()
    store.lookup(*questions[0][:2])
    first = time.perf_counter() - started
    times: dict[bool, list[float]] = {True: [], False: []}
    for ref, version_hash, stored in questions:
        started = time.perf_counter()
        found = store.lookup(ref, version_hash)
        times[stored].append((time.perf_counter() - started) * 1e3)
        if (found is not None) != stored:
            raise SystemExit(f"wrong answer for {ref} {version_hash}")
    both = times[True] + times[False]
    return {
        "rows": rows,
        "samples": samples,
        "p50_ms": _quantile(both, 0.50),
        "p99_ms": _quantile(both, 0.99),
        "max_ms": _quantile(both, 1.0),
        "hit_p99_ms": _quantile(times[True], 0.99),
        "miss_p99_ms": _quantile(times[False], 0.99),
        "first_ms": round(first * 1e3, 3),
    }


def _ref(number: int) -> DatasetRef:
    feature, symbol = number % FEATURES, number // FEATURES % SYMBOLS
    return DatasetRef("features", f"feature_{feature}", f"SYM{symbol}", TIMEFRAME)


def _hash(number: int) -> str:
    return sha256_hex(f"version {number}")


def _row(number: int) -> tuple[Any, ...]:
    ref, version_hash = _ref(number), _hash(number)
    columns = [ref.name, "timestamp"]
    digests = {name: sha256_hex(f"{name} {number}") for name in columns}
    path = f"feature-store/technical.rsi/{ref.symbol}/1d/{version_hash}-20xx-{version_hash[:16]}"
    times = ("2000-01-03 00:00:00.000000", "2013-03-01 00:00:00.000000")
    inputs = {"market_data/bars": {"version_hash": version_hash, "columns": digests}}
    identity = {
        "plugin_key": "technical.rsi",
        "params": {"length": number % 50},
        "symbol": ref.symbol,
        "timeframe": ref.timeframe,
        "start_date": "2000-01-03T00:00:00+00:00",
        "end_date": "2013-03-01T00:00:00+00:00",
        "source_fingerprint": version_hash,
        "code_version": version_hash[:16],
        "modules": {"hf_plugins.features.technical": version_hash, "hf_plugins.k": version_hash},
        "libraries": {"numba": "0.68.1", "numpy": "2.4.6", "pandas": "3.1.1"},
        "schema_version": 1,
        "inputs": inputs,
    }
    chunk = {
        "label": "20xx",
        "rows": 3300,
        "start": "2000-01-03T00:00:00+00:00",
        "end": "2013-03-01T00:00:00+00:00",
        "path": path,
        "digests": digests,
    }
    return (
        number % FEATURES + 1,
        ref.symbol,
        ref.timeframe,
        version_hash,
        0,
        version_hash[:16],
        version_hash,
        *times,
        3300,
        path,
        "2026-01-01 00:00:00.000000",
        json.dumps([{"name": ref.name, "dtype": "float64"}]),
        json.dumps(digests),
        "{}",
        "{}",
        json.dumps(identity),
        json.dumps([chunk]),
    )


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)


if __name__ == "__main__":
    main()
