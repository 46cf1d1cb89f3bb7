"""What a person sees on an event and on an asset: metadata values and rendered descriptions.

Everything is derived from the dataset row, so that a cache hit shows what the miss before showed.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from hf_assets.tasks import Task
from hf_plugins.params import describe_field
from hf_resources.datasets import Dataset
from hf_resources.store import DatasetStore

_TYPES = {"float64": "float", "int64": "int", "bool": "bool", "string": "string"}


def event_metadata(
    store: DatasetStore, dataset: Dataset, *, hit: bool, reasons: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Metadata of one partition's materialisation."""
    identity = dataset.identity
    metadata: dict[str, Any] = {
        "cache": "hit" if hit else "miss",
        "reason": "; ".join(reasons),
        "duration_s": round(seconds, 4),
        "rows": dataset.row_count,
        "version_hash": dataset.version_hash,
        "generation": dataset.generation,
        "code_version_parts": dg.MetadataValue.json(
            {key: identity.get(key) for key in ("plugin_key", "params", "modules", "libraries")}
        ),
        "inputs": dg.MetadataValue.json(
            {
                name: {"version_hash": used["version_hash"], "columns": sorted(used["columns"])}
                for name, used in identity.get("inputs", {}).items()
            }
        ),
        "source_fingerprint": dataset.source_fingerprint,
        "dagster/uri": dataset.storage_uri,
    }
    if dataset.start_date is not None and dataset.end_date is not None:
        metadata["start"] = dg.MetadataValue.timestamp(dataset.start_date)
        metadata["end"] = dg.MetadataValue.timestamp(dataset.end_date)
    if dataset.columns:
        metadata["dagster/partition_row_count"] = dataset.row_count
        metadata["dagster/column_schema"] = dg.TableSchema(
            [dg.TableColumn(name, _TYPES.get(kind, kind)) for name, kind in dataset.columns]
        )
    metadata |= {key: _shown(value) for key, value in dataset.summary.items()}
    for name in dataset.attachments:
        if name.endswith(".svg"):
            image = base64.b64encode(store.attachment(dataset, name)).decode()
            metadata[name.removesuffix(".svg")] = dg.MetadataValue.md(
                f"![{name}](data:image/svg+xml;base64,{image})"
            )
        elif name.endswith(".md"):
            metadata[name.removesuffix(".md")] = dg.MetadataValue.md(
                store.attachment(dataset, name).decode()
            )
    return metadata


def _shown(value: Any) -> Any:
    if value is None:
        return "undefined"
    if isinstance(value, bool | int | float | str):
        return value
    return dg.MetadataValue.json(value)


def describe(task: Task, prose: str, plugin: Any, origin: str) -> str:
    """Markdown description of an asset: prose, how it is computed, its parameters, its YAML."""
    parts = [prose] if prose else []
    document = inspect.getdoc(type(plugin) if plugin is not None else task.compute)
    if document:
        parts.append(f"**How it is computed** (`{task.plugin_key}`)\n\n{document}")
    if plugin is not None:
        rows = _parameter_rows(plugin)
        if rows:
            parts.append("| parameter | value | meaning |\n| --- | --- | --- |\n" + "\n".join(rows))
    reads = ", ".join(f"`{used.key}` ({', '.join(used.columns) or 'all'})" for used in task.inputs)
    if reads:
        parts.append(f"**Reads** {reads}")
    parts.append(f"**Declared in** `{origin}`, code version `{task.code_version}`")
    return "\n\n".join(parts)


def _parameter_rows(plugin: Any) -> list[str]:
    values: Mapping[str, Any] = plugin.parameters()
    fields = type(plugin.params).model_fields
    rows = []
    for name, info in fields.items():
        row = describe_field(name, info)
        meaning = " ".join(part for part in (row["description"], row["range"]) if part)
        rows.append(f"| `{name}` | `{values[name]}` | {meaning.replace('|', chr(92) + '|')} |")
    return rows
