"""Which version of a dataset stands for an instant: computed from nothing but what was known then.

What was known of a series that comes from outside is its latest version of that time. All else was
known if all that it read was; so the question goes up the chain of inputs, through the digests that
the catalog keeps, and no data is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hf_plugins.errors import DataError
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.differences import input_ref
from hf_resources.ingestion import known_at
from hf_resources.store import DatasetStore


class PointInTime:
    """One question, about one instant.

    Args:
        store: whose catalog is asked, once for each series.
        instant: timezone-aware.
    """

    def __init__(self, store: DatasetStore, instant: datetime) -> None:
        self._store = store
        self._instant = instant
        self._found: dict[DatasetRef, list[Dataset]] = {}

    def version(self, head: Dataset) -> Dataset:
        """The version of a series that was made of what was known, by the code in force if several.

        Args:
            head: of the series; its code is that in force.

        Raises:
            DataError: nothing was known yet, or no version was made of it.
        """
        ref = head.ref
        found = self._known(ref)
        if not found:
            raise DataError(self._nothing(ref))
        return max(found, key=lambda each: (each.code_version == head.code_version, each.id))

    def _known(self, ref: DatasetRef) -> list[Dataset]:
        if ref not in self._found:
            versions = self._store.history(ref)
            came = [
                each for each in versions if not _parents(each) and _came(each) <= self._instant
            ]
            latest = max(came, key=lambda each: (_came(each), each.id), default=None)
            made = [each for each in versions if _parents(each) and self._read_what_was_known(each)]
            self._found[ref] = made if latest is None else [latest, *made]
        return self._found[ref]

    def _read_what_was_known(self, dataset: Dataset) -> bool:
        return all(
            any(_is(used["columns"], parent) for parent in self._known(ref))
            for ref, used in _parents(dataset).items()
        )

    def _nothing(self, ref: DatasetRef) -> str:
        raw = DatasetRef("market_data", "bars", ref.symbol, ref.timeframe)
        bars = self._known(raw)
        if not bars:
            came = map(_came, self._store.history(raw))
            first = min(came, default=None)
            told = f"; the first bars came at {first.isoformat()}" if first else ""
            return f"{raw}: nothing was known at {self._instant.isoformat()}{told}"
        return (
            f"{ref}: no version was computed from the bars {bars[0].version_hash[:16]}, which came "
            f"at {_came(bars[0]).isoformat()}, and nothing that came later; read the raw ones of "
            "that instant, or name one at which this was computed"
        )


def _parents(dataset: Dataset) -> dict[DatasetRef, Mapping[str, Any]]:
    """What a dataset was made of, apart from what came from outside."""
    inputs = dataset.identity.get("inputs", {})
    return {input_ref(name, dataset.ref): used for name, used in inputs.items() if "/" in name}


def _is(digests: Mapping[str, str], parent: Dataset) -> bool:
    """Whether what was read has the content of this version."""
    found = {**parent.column_digests, "summary": parent.version_hash}
    return all(found.get(name) == digest for name, digest in digests.items())


def _came(dataset: Dataset) -> datetime:
    """When the rows had come; what does not say when it was fetched had when it was stored."""
    return known_at(dataset) if "fetched_at" in dataset.summary else dataset.created_at
