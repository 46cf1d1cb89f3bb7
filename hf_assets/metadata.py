"""What a person sees on an event and on an asset: metadata values and rendered descriptions.

Everything is derived from the dataset row, so that a cache hit shows what the miss before showed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import dagster as dg

from hf_assets import previews
from hf_assets.plugin_pages import parameter_table, yields
from hf_assets.prose import markdown
from hf_assets.tasks import Task
from hf_plugins.base import BaseFeature
from hf_plugins.timeframes import EVENT
from hf_resources.datasets import Dataset
from hf_resources.parquet import INDEX
from hf_resources.store import DatasetStore

SHORT = 12
"""Digits of a hash that a person is shown; the catalog has all of them."""

_TYPES = {"float64": "float", "int64": "int", "bool": "bool", "string": "string"}


def event_metadata(
    store: DatasetStore, dataset: Dataset, *, hit: bool, reasons: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Metadata of one partition's materialisation."""
    # In the order in which a person reads: what happened, the results, then where they come from.
    metadata: dict[str, Any] = {
        "cache": "hit" if hit else "miss",
        "reason": "; ".join(reasons),
    }
    if dataset.columns:
        metadata["rows"] = dataset.row_count
    if dataset.start_date is not None and dataset.end_date is not None:
        metadata["start"] = dg.MetadataValue.timestamp(dataset.start_date)
        metadata["end"] = dg.MetadataValue.timestamp(dataset.end_date)
    metadata |= _pages(store, dataset)
    metadata |= {
        key: _shown(value) for key, value in dataset.summary.items() if key not in previews.KEYS
    }
    if "preview" in dataset.summary:
        shown = previews.preview_table(dataset.summary["preview"], dataset.row_count)
        metadata["preview"] = dg.MetadataValue.md(shown)
        metadata["history"] = dg.MetadataValue.md(previews.history_table(dataset))
    if dataset.columns:
        metadata["dagster/partition_row_count"] = dataset.row_count
        metadata["dagster/column_schema"] = _schema(dataset)
    return metadata | {
        "unique_key": dg.MetadataValue.json(_unique_key(dataset)),
        "duration_s": round(seconds, 4),
        "dagster/uri": dataset.storage_uri,
        "version_hash": dataset.version_hash,
        "generation": dataset.generation,
        "source_fingerprint": dataset.source_fingerprint,
        "inputs": dg.MetadataValue.json(_inputs(dataset)),
        "code_version_parts": dg.MetadataValue.json(_code_parts(dataset)),
    }


def _pages(store: DatasetStore, dataset: Dataset) -> dict[str, dg.MetadataValue]:
    """Plots and reports kept beside the dataset."""
    pages = {}
    for name in dataset.attachments:
        if name.endswith(".svg"):
            image = base64.b64encode(store.attachment(dataset, name)).decode()
            pages[name.removesuffix(".svg")] = dg.MetadataValue.md(
                f"![{name}](data:image/svg+xml;base64,{image})"
            )
        elif name.endswith(".md"):
            text = store.attachment(dataset, name).decode()
            pages[name.removesuffix(".md")] = dg.MetadataValue.md(text)
    return pages


def _schema(dataset: Dataset) -> dg.TableSchema:
    """Columns as they are stored, with the time stamp that every row has."""
    stamp = dg.TableColumn(
        INDEX,
        "timestamp",
        description=(
            "from when on the row is known, UTC"
            if dataset.ref.timeframe == EVENT
            else "open time, UTC"
        ),
        constraints=dg.TableColumnConstraints(nullable=False, unique=True),
    )
    columns = (dg.TableColumn(name, _TYPES.get(kind, kind)) for name, kind in dataset.columns)
    return dg.TableSchema([stamp, *columns])


def _unique_key(dataset: Dataset) -> dict[str, Any]:
    """What tells the dataset from every other of its layer in the catalog."""
    ref = dataset.ref
    return {
        "name": ref.name,
        "symbol": ref.symbol,
        "timeframe": ref.timeframe,
        "version_hash": dataset.version_hash,
        "generation": dataset.generation,
    }


def _inputs(dataset: Dataset) -> dict[str, Any]:
    used = dataset.identity.get("inputs", {})
    return {
        name: {
            "version_hash": each["version_hash"][:SHORT],
            "columns": sorted(each["columns"]),
        }
        for name, each in used.items()
    }


def _code_parts(dataset: Dataset) -> dict[str, Any]:
    identity = dataset.identity
    modules = {name: digest[:SHORT] for name, digest in identity.get("modules", {}).items()}
    parts = {key: identity.get(key) for key in ("plugin_key", "params", "libraries")}
    return {**parts, "modules": modules}


def _shown(value: Any) -> Any:
    if value is None:
        return "undefined"
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        # Sentences for people: in the open, not folded away as JSON.
        return dg.MetadataValue.md("\n".join(f"* {each}" for each in value)) if value else "none"
    return dg.MetadataValue.json(value)


def describe(task: Task, prose: str, plugin: Any, origin: str) -> str:
    """Markdown description of an asset: prose, how it is computed, its parameters, its YAML."""
    told = prose if plugin is not None else task.outputs[0].description
    parts = [told] if told else []
    document = markdown(type(plugin)) if plugin is not None else ""
    if document:
        parts.append(f"**How it is computed** (`{task.plugin_key}`)\n\n{document}")
    if plugin is not None and type(plugin.params).model_fields:
        parts.append(parameter_table(type(plugin.params), plugin.parameters()))
    if isinstance(plugin, BaseFeature):
        parts.append(yields(plugin))
    reads = ", ".join(f"`{used.key}` ({', '.join(used.columns) or 'all'})" for used in task.inputs)
    if reads:
        parts.append(f"**Reads** {reads}")
    parts.append(f"**Declared in** `{origin}`, code version `{task.code_version}`")
    return "\n\n".join(parts)
