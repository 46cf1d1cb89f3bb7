"""The catalog's questions: SELECT statements, and rows as :class:`Dataset` records.

Statements are built once per layer with bound parameters, so that SQLAlchemy compiles each of them
once; none of them loads ``chunks`` except the one that asks for them. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, func, select, tuple_

from hf_resources.catalog.schema import TABLES, Base, Head
from hf_resources.datasets import LAYERS, Dataset, DatasetRef, Layer
from hf_resources.lake import Lake


@dataclass(frozen=True)
class Statements:
    """The prepared statements of one layer."""

    lookup: Select[Any]
    """Newest generation by name, symbol, timeframe, version_hash."""
    lookup_many: Select[Any]
    """All generations, oldest first, by name and a list of (symbol, timeframe, version_hash)."""
    by_id: Select[Any]
    head: Select[Any]
    heads: Select[Any]
    heads_of: Select[Any]
    """As ``heads``, for a list of (symbol, timeframe)."""
    history: Select[Any]
    chunks: Select[Any]
    references: Select[Any, Any]
    """``chunks`` and ``attachments`` of the rows beyond an id."""
    last_id: Select[Any]


@cache
def statements(layer: Layer) -> Statements:
    """Statements of a layer."""
    definition = _table(TABLES[layer].definition)
    data = _table(TABLES[layer].dataset)
    head = _table(Head)
    light = [column for column in data.c if column.name != "chunks"]
    named = (
        select(*light, definition.c.name)
        .join(definition, data.c.definition_id == definition.c.id)
        .where(definition.c.name == bindparam("name"))
    )
    of_series = named.where(
        data.c.symbol == bindparam("symbol"), data.c.timeframe == bindparam("timeframe")
    )
    heads = (
        select(*light, head.c.name, head.c.version.label("head_version"))
        .join(data, data.c.id == head.c.dataset_id)
        .where(head.c.layer == layer, head.c.name == bindparam("name"))
    )
    return Statements(
        lookup=of_series.where(data.c.version_hash == bindparam("version_hash"))
        .order_by(data.c.generation.desc())
        .limit(1),
        lookup_many=named.where(
            tuple_(data.c.symbol, data.c.timeframe, data.c.version_hash).in_(
                bindparam("wanted", expanding=True)
            )
        ).order_by(data.c.generation),
        by_id=select(*light, definition.c.name)
        .join(definition, data.c.definition_id == definition.c.id)
        .where(data.c.id == bindparam("id")),
        head=heads.where(
            head.c.symbol == bindparam("symbol"), head.c.timeframe == bindparam("timeframe")
        ),
        heads=heads,
        heads_of=heads.where(
            tuple_(head.c.symbol, head.c.timeframe).in_(bindparam("partitions", expanding=True))
        ),
        history=of_series.order_by(data.c.id.desc()),
        chunks=select(data.c.chunks).where(data.c.id == bindparam("id")),
        references=select(data.c.chunks, data.c.attachments)
        .where(data.c.id > bindparam("beyond"))
        .execution_options(yield_per=1000),
        last_id=select(func.coalesce(func.max(data.c.id), 0)),
    )


def to_dataset(row: Row[Any], layer: Layer, lake: Lake) -> Dataset:
    """Record of a row of any statement that selects whole datasets."""
    values = row._mapping
    return Dataset(
        id=values["id"],
        ref=DatasetRef(layer, values["name"], values["symbol"], values["timeframe"]),
        version_hash=values["version_hash"],
        generation=values["generation"],
        code_version=values["code_version"],
        source_fingerprint=values["source_fingerprint"],
        start_date=values["start_date"],
        end_date=values["end_date"],
        row_count=values["row_count"],
        columns=tuple((column["name"], column["dtype"]) for column in values["columns"]),
        column_digests=values["column_digests"],
        attachments=values["attachments"],
        identity=values["identity"],
        summary=values["summary"],
        storage_uri=lake.uri(values["storage_path"]),
        created_at=values["created_at"],
        head_version=values.get("head_version"),
    )


def series(ref: DatasetRef) -> dict[str, str]:
    """Bound parameters that name a series."""
    return {"name": ref.name, "symbol": ref.symbol, "timeframe": ref.timeframe}


def referenced(connection: Connection, beyond: dict[Layer, int]) -> Iterator[str]:
    """Paths of all objects that rows with higher ids reference."""
    for layer in LAYERS:
        rows = connection.execute(statements(layer).references, {"beyond": beyond[layer]})
        for row in rows:
            yield from (chunk["path"] for chunk in row.chunks)
            yield from (attachment["path"] for attachment in row.attachments.values())


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  (for the type checker; models map whole tables)
    return table
