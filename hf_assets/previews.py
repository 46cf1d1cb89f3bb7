"""What the event of a feature shows of its dataset: first and last rows, and the versions before.

Both are taken at publication, from rows and records that the run has at hand, and kept in the
dataset's summary: no event reads data or asks the catalog for more, and a cache hit shows what the
miss before showed. The whole of either is asked of the client (``preview``, ``history``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from hf_resources.datasets import Dataset
from hf_resources.misses import moment

ROWS: Final = 3
"""At each end."""
COLUMNS: Final = 8
VERSIONS: Final = 5
WHY: Final = 200
"""Characters."""
KEYS: Final = ("preview", "history", "why")
"""Where these are in a summary."""


def remembered(
    frame: pd.DataFrame, base: Dataset | None, standing: Dataset | None, reasons: Sequence[str]
) -> dict[str, Any]:
    """Part of the summary of a dataset that is about to be published.

    Args:
        frame: computed rows, indexed by time.
        base: the dataset whose rows stay as they are; those of ``frame`` after its end follow.
        standing: the head so far.
        reasons: why the dataset was computed.
    """
    before = base.summary.get("preview", {}) if base is not None else {}
    rows = frame
    if base is not None and base.end_date is not None:
        rows = frame.loc[frame.index > pd.Timestamp(base.end_date)]
    # How a dataset begins of which only the end is at hand, and no preview was kept, is not known.
    beginning = [*before.get("first", ()), *_plain(rows.head(ROWS))][:ROWS]
    history: list[dict[str, Any]] = []
    if standing is not None:
        history = [_entry(standing), *standing.summary.get("history", ())][: VERSIONS - 1]
    return {
        "preview": {
            "columns": list(frame.columns[:COLUMNS]),
            "of_columns": len(frame.columns),
            "first": beginning if before or base is None else [],
            "last": [*before.get("last", ()), *_plain(rows.tail(ROWS))][-ROWS:],
        },
        "history": history,
        "why": "; ".join(reasons)[:WHY],
    }


def preview_table(preview: Mapping[str, Any], rows: int) -> str:
    """Markdown table of the first and last rows of a dataset of so many rows."""
    known = [each[0] for each in preview["first"]]
    last = [each for each in preview["last"] if each[0] not in known]
    skipped = rows > len(known) + len(last)
    columns = ["timestamp", *preview["columns"]]
    body = [*preview["first"], *([["…"] * len(columns)] if skipped else []), *last]
    more = preview["of_columns"] - len(preview["columns"])
    table = _table(columns, ([_shown(value) for value in row] for row in body))
    return f"{table}\n\nand {more} more columns" if more else table


def history_table(dataset: Dataset) -> str:
    """Markdown table of a dataset and of the versions that stood before it, newest first."""
    entries = [_entry(dataset), *dataset.summary.get("history", ())]
    return _table(
        ("computed (UTC)", "version", "generation", "rows", "why"),
        (
            (
                each["created_at"],
                f"`{each['version']}`",
                str(each["generation"]),
                f"{each['rows']:,}",
                each["why"].replace("|", " "),
            )
            for each in entries
        ),
    )


def _entry(dataset: Dataset) -> dict[str, Any]:
    return {
        "created_at": f"{dataset.created_at:%Y-%m-%d %H:%M}",
        "version": dataset.version_hash[:12],
        "generation": dataset.generation,
        "rows": dataset.row_count,
        "why": dataset.summary.get("why", ""),
    }


def _plain(frame: pd.DataFrame) -> list[list[Any]]:
    """Rows as JSON values: time stamp, then the first columns; null for what is missing."""
    values = frame.iloc[:, :COLUMNS].to_numpy(dtype=object).tolist()
    stamps = [moment(stamp.isoformat()) for stamp in frame.index]
    return [[stamp, *map(_value, row)] for stamp, row in zip(stamps, values, strict=True)]


def _value(value: Any) -> Any:
    if isinstance(value, float):
        # JSON has no infinity.
        return float(f"{value:.6g}") if math.isfinite(value) else _infinite(value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return value if isinstance(value, bool | int | str) else str(value)


def _infinite(value: float) -> str | None:
    return None if math.isnan(value) else str(value)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).replace("|", " ")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
