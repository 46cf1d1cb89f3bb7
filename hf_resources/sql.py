"""The same data through SQL: DuckDB views over the objects of the current datasets.

Which views there are, and how a file of the lake tells its symbol and timeframe, belong here.
Nothing is copied but the list of datasets; a query opens only the files of the partitions, and
reads only the columns, that it names. DuckDB is imported where it is used; it is optional.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from sqlalchemy import Table, select

from hf_plugins.errors import ConfigurationError
from hf_resources.catalog.schema import TABLES, Head
from hf_resources.columnar import addresses, s3_endpoint
from hf_resources.datasets import LAYERS
from hf_resources.lake import Lake
from hf_resources.parquet import INDEX
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VIEWS: Final = {
    "bars": "market_data/bars",
    "enriched": "market_data/enriched",
    "quarantine": "market_data/quarantine",
}
"""Views in the main schema, and the asset that each shows."""
FEATURES: Final = "features"
"""Schema with one view for each feature, under its name."""

_TYPES: Final = {
    "float64": "DOUBLE",
    "int64": "BIGINT",
    "Int64": "BIGINT",
    "bool": "BOOLEAN",
    "boolean": "BOOLEAN",
    "str": "VARCHAR",
    "datetime64[ns, UTC]": "TIMESTAMPTZ_NS",
}
_DATASETS: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("layer", "name", "symbol", "timeframe")),
        *(("version_hash", pa.string()), ("generation", pa.int64()), ("code_version", pa.string())),
        ("row_count", pa.int64()),
        *((name, pa.timestamp("us", "UTC")) for name in ("start_date", "end_date", "created_at")),
        *(("columns", pa.list_(pa.string())), ("storage_uri", pa.string())),
    ]
)
# The folders in which `hf_resources.paths` puts an object: .../{symbol}/{timeframe}/{object}. An
# expression of the file's name alone lets DuckDB leave out the files of other partitions.
_SYMBOL: Final = (
    r"url_decode(replace(regexp_extract(filename, '([^/]+)/[^/]+/[^/]+$', 1), '_', '%'))"
)
_TIMEFRAME: Final = r"regexp_extract(filename, '([^/]+)/[^/]+$', 1)"


def connect(settings: Settings | None = None) -> DuckDBPyConnection:
    """A DuckDB connection in memory with views of what is current now; see :func:`refresh`.

    * ``bars``, ``enriched``, ``quarantine``: ``symbol``, ``timeframe``, ``timestamp`` and the
      columns of the asset. For ``quarantine``, ``timestamp`` is the instant of arrival.
    * ``features.<name>``: one view for each feature, with ``symbol``, ``timeframe``, ``timestamp``
      and its outputs.
    * ``datasets``: one row for each current dataset of any layer.

    Times are UTC. The caller closes the connection.

    Args:
        settings: of the installation; those of the environment by default.

    Raises:
        ConfigurationError: DuckDB is not installed, or a setting is wrong.
    """
    chosen = Settings.from_env() if settings is None else settings
    try:
        import duckdb
    except ImportError:
        raise ConfigurationError(
            "SQL needs the package duckdb; install it with `pip install 'hf-assets[sql]'`"
        ) from None
    # Nothing is fetched from the network behind the caller's back.
    offline: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(config=offline)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        if chosen.lake_url.startswith("s3://"):
            connection.register_filesystem(_s3_files())
        refresh(connection, chosen)
    except BaseException:
        connection.close()
        raise
    return connection


def refresh(connection: DuckDBPyConnection, settings: Settings | None = None) -> None:
    """Let the views show what is current now; a query never sees half of a change.

    Args:
        connection: from :func:`connect`.
        settings: the same as there.
    """
    store = DatasetStore.open(Settings.from_env() if settings is None else settings)
    try:
        heads = list(_heads(store))
    finally:
        store.catalog.close()
    by_asset: dict[str, list[Mapping[str, Any]]] = {}
    for row in heads:
        by_asset.setdefault(f"{row['layer']}/{row['name']}", []).append(row)
    views = {_quoted(name): by_asset.get(asset, []) for name, asset in VIEWS.items()}
    for asset, rows in sorted(by_asset.items()):
        layer, _, name = asset.partition("/")
        if layer == FEATURES:
            views[f"{FEATURES}.{_quoted(name)}"] = rows
    listed = pa.Table.from_pylist([_described(row, store.lake) for row in heads], _DATASETS)
    with connection.cursor() as cursor:
        cursor.register("listed_datasets", listed)
        cursor.execute("BEGIN")
        cursor.execute("CREATE OR REPLACE TABLE datasets AS SELECT * FROM listed_datasets")
        cursor.execute(f"DROP SCHEMA IF EXISTS {FEATURES} CASCADE")
        cursor.execute(f"CREATE SCHEMA {FEATURES}")
        for name, rows in views.items():
            cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {_query(rows, store.lake)}")
        cursor.execute("COMMIT")


def _heads(store: DatasetStore) -> Iterator[dict[str, Any]]:
    """Current datasets of all layers with their chunks, each layer in one query."""
    head = Head.__table__
    for layer in LAYERS:
        data = TABLES[layer].dataset.__table__
        assert isinstance(data, Table)  # noqa: S101  (for the type checker)
        statement = (
            select(head.c.layer, head.c.name, *data.c)
            .join(data, data.c.id == head.c.dataset_id)
            .where(head.c.layer == layer)
            .order_by(head.c.name, head.c.symbol, head.c.timeframe)
        )
        with store.catalog.read() as connection:
            rows = connection.execute(statement).mappings().all()
        yield from ({str(name): value for name, value in row.items()} for row in rows)


def _described(row: Mapping[str, Any], lake: Lake) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _DATASETS.names if name in row},
        "columns": [column["name"] for column in row["columns"]],
        "storage_uri": lake.uri(row["storage_path"]),
    }


def _query(rows: Sequence[Mapping[str, Any]], lake: Lake) -> str:
    """Select over the files of datasets; those of other columns, of older code, are joined on."""
    files: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for row in rows:
        columns = tuple((column["name"], _TYPES[column["dtype"]]) for column in row["columns"])
        found = files.setdefault(columns, [])
        found += addresses(lake, (chunk["path"] for chunk in row["chunks"]))
    parts = [_files_query(paths) for paths in files.values() if paths]
    return " UNION ALL BY NAME ".join(parts) if parts else _empty_query(next(iter(files), ()))


def _files_query(paths: Sequence[str]) -> str:
    # DuckDB takes a path for a pattern; a character class makes a wildcard an ordinary character.
    listed = ", ".join(_text(re.sub(r"([*?\[])", r"[\1]", path)) for path in paths)
    return (
        f"SELECT {_SYMBOL} AS symbol, {_TIMEFRAME} AS timeframe, * EXCLUDE (filename) "  # noqa: S608
        f"FROM read_parquet([{listed}], filename = true, hive_partitioning = false)"
    )


def _empty_query(columns: Sequence[tuple[str, str]]) -> str:
    typed = [("symbol", "VARCHAR"), ("timeframe", "VARCHAR"), (INDEX, "TIMESTAMPTZ_NS"), *columns]
    selected = ", ".join(f"NULL::{kind} AS {_quoted(name)}" for name, kind in typed)
    return f"SELECT {selected} WHERE false"


def _s3_files() -> Any:
    """A file system for DuckDB that reaches S3 as the lake does; its own has to be downloaded."""
    try:
        from obstore.fsspec import FsspecStore
    except ImportError:
        raise ConfigurationError(
            "SQL over a lake in S3 needs the package fsspec; install it with "
            "`pip install 'hf-assets[sql]'`"
        ) from None
    endpoint = s3_endpoint()
    if not endpoint:
        return FsspecStore("s3")
    return FsspecStore(
        "s3",
        config={"endpoint": endpoint, "virtual_hosted_style_request": False},
        client_options={"allow_http": endpoint.startswith("http://")},
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
