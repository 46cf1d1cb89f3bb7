"""What differs between two versions of a dataset: which rows, and why they were computed anew.

Only the chunks whose digests differ are opened, so that the answer costs what changed. In which
words causes are told is in ``misses``; which versions there are is asked in ``versions``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import polars as pl

from hf_resources import columnar, misses
from hf_resources.chunks import Chunk
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.misses import called, moment
from hf_resources.parquet import INDEX
from hf_resources.store import DatasetStore

_AFTER: Final = "\0after"


@dataclass(frozen=True)
class RowChanges:
    """Rows of one version against those of an older one.

    Attributes:
        revised: rows of both with another value.
        columns: those whose values differ in such rows, or whose type does.
        inserted: rows that the older one lacks, before its end.
        appended: rows after its end.
        removed: rows that only the older one has.
        first: time of the first row that differs, an appended one only if no other does; None if
            none does.
    """

    revised: int
    columns: tuple[str, ...]
    inserted: int
    appended: int
    removed: int
    first: datetime | None

    @property
    def only_appended(self) -> bool:
        """Whether all that was there is as it was."""
        return not (self.revised or self.columns or self.inserted or self.removed)

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return self.first is not None or bool(self.columns)

    def __str__(self) -> str:
        counts = {"revised": self.revised, "inserted": self.inserted, "removed": self.removed}
        told = ", ".join(_counted(count, verb) for verb, count in counts.items() if count)
        if self.columns:
            columns = ", ".join(self.columns)
            told = f"{told} in {columns}" if told else f"{columns} of another type"
        if not self.only_appended and self.first is not None:
            told += f", first {moment(self.first.isoformat())}"
        appended = [_counted(self.appended, "appended")] if self.appended else []
        return "; ".join([*([told] if told else []), *appended]) or "no row differs"


@dataclass(frozen=True)
class InputChange:
    """What became of one input between two versions of what reads it.

    Attributes:
        columns: columns read whose content differs, or that only one of the two reads.
        rows: how; None where the input's versions are no longer to be had.
        upstream: why the input itself was computed anew; None where that is not known.
    """

    columns: tuple[str, ...]
    rows: RowChanges | None = None
    upstream: Explanation | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a version of a dataset was computed: how it differs from the version before.

    ``print`` it, or take it as data. Causes stand before effects.

    Attributes:
        ref: the series.
        version: version hash of the version explained.
        before: version hash of the one that it is compared with; None if there is none.
        reasons: sentences.
        parameters: ``{name: {"before", "after"}}``; a name of one version alone lacks the other.
        inputs: by name, those whose content differs.
    """

    ref: DatasetRef
    version: str
    before: str | None
    reasons: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inputs: Mapping[str, InputChange] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; times are ISO 8601."""
        found = asdict(self)
        return {**found, "ref": str(self.ref), "inputs": _plain(found["inputs"])}

    def lines(self) -> list[str]:
        """The reasons; below each input that was itself computed anew, why that was, indented."""
        told = list(self.reasons) or ["nothing differs"]
        for name, change in self.inputs.items():
            if change.upstream is not None and change.upstream.reasons:
                told.append(f"{called(name)} was computed anew:")
                told += [f"  {line}" for line in change.upstream.lines()]
        return told

    def __str__(self) -> str:
        after = f", after {self.before[:16]}" if self.before else ""
        title = f"{self.ref}: version {self.version[:16]}{after}"
        return "\n".join([title, *(f"  {line}" for line in self.lines())])


def explain(store: DatasetStore, before: Dataset | None, version: Dataset) -> Explanation:
    """Why ``version`` is not ``before``, with the rows of its inputs that differ.

    Raises:
        DataError: an object that is to be compared is missing or damaged.
    """
    inputs = {}
    if before is not None:
        old, new = before.identity.get("inputs", {}), version.identity.get("inputs", {})
        inputs = {
            name: input_change(store, name, (before, old[name]), (version, new[name]))
            for name in new
            if name in old and misses.changed_columns(old[name], new[name])
        }
    return _explanation(before, version, inputs)


def input_change(
    store: DatasetStore,
    name: str,
    before: tuple[Dataset, Mapping[str, Any]],
    after: tuple[Dataset, Mapping[str, Any]],
) -> InputChange:
    """What became of one input.

    Args:
        store: where its versions are.
        name: of the input in the identities.
        before: the older dataset, and the input's entry in its identity.
        after: likewise, of the newer one.

    Raises:
        DataError: an object that is to be compared is missing or damaged.
    """
    changed = tuple(misses.changed_columns(before[1], after[1]))
    if "/" not in name:
        # What comes from outside is the dataset itself, which has a column for each that came.
        return InputChange(changed, _rows(store, before[0], after[0], changed))
    series = input_ref(name, after[0].ref)
    old, new = (store.lookup(series, used["version_hash"]) for _, used in (before, after))
    if old is None or new is None:
        return InputChange(changed)
    read = [column for column in after[1]["columns"] if column in before[1]["columns"]]
    return InputChange(changed, _rows(store, old, new, read), _upstream(store, old, new))


def input_ref(name: str, reader: DatasetRef) -> DatasetRef:
    """The series that an identity's input names; what it leaves open is as in the reader's."""
    asset, *partition = name.split("|")
    layer, _, item = asset.partition("/")
    symbol = partition[0] if partition else reader.symbol
    timeframe = partition[1] if len(partition) > 1 else reader.timeframe
    return DatasetRef(layer, item, symbol, timeframe)  # pyright: ignore[reportArgumentType]


def in_words(inputs: Mapping[str, InputChange]) -> dict[str, str]:
    """Each change of an input as a sentence, as far as its rows are known."""
    return {
        name: str(change.rows)
        for name, change in inputs.items()
        if change.rows is not None and change.rows.any
    }


def row_changes(
    store: DatasetStore, before: Dataset, after: Dataset, columns: Sequence[str]
) -> RowChanges:
    """Compare two versions of a series, in the columns of both among ``columns``.

    Raises:
        DataError: an object is missing or damaged.
    """
    old_types, new_types = dict(before.columns), dict(after.columns)
    wanted = [name for name in columns if name in old_types and name in new_types]
    retyped = [name for name in wanted if old_types[name] != new_types[name]]
    names = [name for name in wanted if name not in retyped]
    chunks = store.chunks(before), store.chunks(after)
    older = _read(store, before, _unlike(chunks[0], chunks[1], names), names)
    newer = _read(store, after, _unlike(chunks[1], chunks[0], names), names)
    removed = older.join(newer, on=INDEX, how="anti")[INDEX]
    added = newer.join(older, on=INDEX, how="anti")[INDEX]
    appended = 0 if before.end_date is None else int((added > before.end_date).sum())
    both = older.join(newer, on=INDEX, how="inner", suffix=_AFTER)
    unlike = both.select(
        INDEX, *(pl.col(name).ne_missing(pl.col(name + _AFTER)).alias(name) for name in names)
    )
    changed = [name for name in names if unlike[name].any()]
    revised = unlike.filter(pl.any_horizontal(changed))[INDEX] if changed else unlike[INDEX].head(0)
    inserted = len(added) - appended
    in_place = [revised, removed, *([added] if inserted else [])]
    times = [each.min() for each in in_place if len(each)] or [each.min() for each in [added]]
    first = min((each for each in times if isinstance(each, datetime)), default=None)
    return RowChanges(
        revised=len(revised),
        columns=tuple(name for name in wanted if name in changed or name in retyped),
        inserted=inserted,
        appended=appended,
        removed=len(removed),
        first=first,
    )


def _explanation(
    before: Dataset | None,
    version: Dataset,
    inputs: Mapping[str, InputChange],
    unsaid: Collection[str] = (),
) -> Explanation:
    parameters = {}
    if before is not None:
        old, new = before.identity.get("params", {}), version.identity.get("params", {})
        for name, was, now in misses.parameter_changes(old, new):
            parameters[name] = dict(zip(("before",) * len(was), was, strict=True)) | dict(
                zip(("after",) * len(now), now, strict=True)
            )
    reasons = misses.explain_version(before, version, grown=unsaid, changes=in_words(inputs))
    return Explanation(
        ref=version.ref,
        version=version.version_hash,
        before=None if before is None else before.version_hash,
        reasons=tuple(reasons),
        parameters=parameters,
        inputs=inputs,
    )


def _upstream(store: DatasetStore, old: Dataset, new: Dataset) -> Explanation | None:
    if old.id == new.id:
        return None
    roots = [name for name in new.identity.get("inputs", {}) if "/" not in name]
    # Which rows came from outside is told already: they are the rows of the input.
    return _explanation(old, new, {}, unsaid=roots) if roots else explain(store, old, new)


def _rows(
    store: DatasetStore, old: Dataset, new: Dataset, columns: Sequence[str]
) -> RowChanges | None:
    return row_changes(store, old, new, columns) if old.columns and new.columns else None


def _unlike(chunks: Sequence[Chunk], others: Sequence[Chunk], names: Sequence[str]) -> list[Chunk]:
    """Those chunks that are not also among the others, with the same rows in these columns."""
    known = {chunk.label: chunk for chunk in others}
    return [
        chunk
        for chunk in chunks
        if chunk.label not in known
        or any(
            chunk.digests.get(name) != known[chunk.label].digests.get(name)
            for name in (INDEX, *names)
        )
    ]


def _read(
    store: DatasetStore, dataset: Dataset, chunks: Sequence[Chunk], names: Sequence[str]
) -> pl.DataFrame:
    return columnar.read(store, None, dataset, chunks, names)


def _counted(count: int, verb: str) -> str:
    return f"{count:,} row{'' if count == 1 else 's'} {verb}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, DatasetRef):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
