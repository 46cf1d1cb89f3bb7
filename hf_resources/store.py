"""The dataset store: publish, find and read immutable, versioned datasets.

The only place where lake and catalog meet, and the order of their writes with it: objects first,
durable before anything refers to them, then one catalog transaction that inserts the row and moves
the head. A process that dies at any instant leaves the old head or the new one. What a dataset
means, and when to make a new one, is decided elsewhere.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

import pandas as pd
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from hf_plugins.errors import DataError, unknown
from hf_plugins.timeframes import duration
from hf_plugins.versioning import Identity, canonical_json, frame_digests, sha256_hex
from hf_resources import garbage, parquet, paths
from hf_resources.catalog import Catalog
from hf_resources.catalog.schema import TABLES, DatasetRow, DefinitionRow, Head
from hf_resources.chunks import Chunk, Staged, covering, describe, unchanged
from hf_resources.datasets import (
    CatalogInterruptedError,
    Dataset,
    DatasetRef,
    Definition,
    GarbageReport,
    HeadConflictError,
    Layer,
)
from hf_resources.lake import Lake
from hf_resources.queries import series, statements, to_dataset
from hf_resources.settings import Settings

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_R = TypeVar("_R")

_ATTEMPTS: Final = 10
_BATCH: Final = 500  # members of an IN list; far below every database's limit of parameters
_THREADS: Final = 8
_PAUSES: Final = (0.2, 0.8, 3.0, 8.0)
"""Seconds until a publication is tried again whose catalog went away; a restart takes some."""


@dataclass(frozen=True)
class _Prepared:
    """All that is known of a dataset before the catalog is asked."""

    ref: DatasetRef
    identity: Identity
    version_hash: str
    definition: Definition
    prefix: str
    staged: Staged
    attachments: Mapping[str, bytes]
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Stored:
    """The objects of a dataset, once they are in the lake."""

    chunks: list[Chunk]
    attachments: dict[str, dict[str, Any]]
    unprotected: list[str]
    """Those that no row referenced yet, so that a garbage collection could have taken them."""


class _ObjectsVanishedError(Exception):
    """A garbage collection took an orphan that was about to be referenced."""


class DatasetStore:
    """Datasets of all layers. Safe to share between threads; open one per process."""

    def __init__(self, lake: Lake, catalog: Catalog) -> None:
        self.lake = lake
        self.catalog = catalog

    @classmethod
    def open(cls, settings: Settings) -> DatasetStore:
        """Open lake and catalog where the settings say they are."""
        return cls(Lake(settings.lake_url), Catalog.open(settings.catalog_url))

    # ------------------------------------------------------------------------------ finding

    def heads(
        self, layer: Layer, name: str, partitions: Collection[tuple[str, str]] | None = None
    ) -> dict[tuple[str, str], Dataset]:
        """Current datasets of an asset by (symbol, timeframe), in one query.

        Args:
            layer: layer of the asset.
            name: name of the asset.
            partitions: those of interest; all of them by default. Missing ones are left out.
        """
        wanted = None if partitions is None else set(partitions)
        prepared = statements(layer).heads
        parameters: dict[str, Any] = {"name": name}
        if wanted is not None and len(wanted) <= _BATCH:
            prepared = statements(layer).heads_of
            parameters["partitions"] = sorted(wanted)
        with self.catalog.read() as connection:
            rows = connection.execute(prepared, parameters).all()
        found = (to_dataset(row, layer, self.lake) for row in rows)
        keyed = {(dataset.ref.symbol, dataset.ref.timeframe): dataset for dataset in found}
        return {key: item for key, item in keyed.items() if wanted is None or key in wanted}

    def head(self, ref: DatasetRef) -> Dataset | None:
        """The current dataset of a series."""
        return self._one(ref.layer, statements(ref.layer).head, series(ref))

    def lookup(self, ref: DatasetRef, version_hash: str) -> Dataset | None:
        """The newest generation of a version, whether or not it is the head."""
        return self._one(
            ref.layer,
            statements(ref.layer).lookup,
            {**series(ref), "version_hash": version_hash},
        )

    def lookup_many(
        self, layer: Layer, name: str, wanted: Mapping[tuple[str, str], str]
    ) -> dict[tuple[str, str], Dataset]:
        """:meth:`lookup` for many partitions of an asset; those without a hit are left out."""
        found: dict[tuple[str, str], Dataset] = {}
        triples = iter([(*key, version_hash) for key, version_hash in wanted.items()])
        with self.catalog.read() as connection:
            while batch := list(islice(triples, _BATCH)):
                rows = connection.execute(
                    statements(layer).lookup_many, {"name": name, "wanted": batch}
                )
                for row in rows:  # oldest generation first
                    dataset = to_dataset(row, layer, self.lake)
                    found[dataset.ref.symbol, dataset.ref.timeframe] = dataset
        return found

    def history(self, ref: DatasetRef) -> list[Dataset]:
        """All versions of a series, newest first."""
        with self.catalog.read() as connection:
            rows = connection.execute(statements(ref.layer).history, series(ref)).all()
        return [to_dataset(row, ref.layer, self.lake) for row in rows]

    def chunks(self, dataset: Dataset) -> tuple[Chunk, ...]:
        """The chunks of a dataset, in time order."""
        with self.catalog.read() as connection:
            found = connection.execute(
                statements(dataset.ref.layer).chunks, {"id": dataset.id}
            ).scalar()
        return tuple(Chunk.from_json(chunk) for chunk in found or ())

    def unchanged(self, old: Dataset, new: Dataset, columns: Iterable[str]) -> frozenset[str]:
        """Of some columns, those in which ``new`` is ``old`` with rows appended; ``timestamp`` too.

        Exact, see :func:`chunks.unchanged`. Columns that one of them lacks are left out. Reads one
        chunk at most.
        """
        there = {name for name, _ in old.columns} & {name for name, _ in new.columns}
        names = there.intersection(columns)
        if old.id == new.id:
            return frozenset({*names, parquet.INDEX})
        dtypes = [pair for pair in new.columns if pair[0] in names]

        def load(chunk: Chunk) -> pd.DataFrame:
            return parquet.to_frame([self._table(chunk, [name for name, _ in dtypes])], dtypes)

        return unchanged(self.chunks(old), self.chunks(new), load, names)

    def grew(self, old: Dataset, new: Dataset) -> bool:
        """Whether ``new`` is ``old`` with rows appended, in all of its columns."""
        names = {name for name, _ in old.columns}
        return {*names, parquet.INDEX} <= self.unchanged(old, new, names)

    def _one(self, layer: Layer, prepared: Any, parameters: dict[str, Any]) -> Dataset | None:
        with self.catalog.read() as connection:
            row = connection.execute(prepared, parameters).first()
        return None if row is None else to_dataset(row, layer, self.lake)

    # ------------------------------------------------------------------------------ reading

    def read(
        self,
        dataset: Dataset,
        columns: Sequence[str] | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        last: int | None = None,
        verify: bool = False,
    ) -> pd.DataFrame:
        """Read a dataset, or some of its columns in the order given; only chunks that are needed.

        Args:
            dataset: what to read.
            columns: all of them by default.
            start: first timestamp wanted, timezone-aware.
            end: timestamp to stop before, timezone-aware.
            last: only so many rows, the latest ones of the range.
            verify: compare what was read with the digests in the catalog.

        Raises:
            DataError: an unknown column, or an object that is missing, damaged or (with
                ``verify``) not what was published; the message names it.
        """
        known = dict(dataset.columns)
        names = list(known) if columns is None else list(columns)
        for name in names:
            if name not in known:
                raise DataError(f"{dataset.ref}: {unknown('column', name, known)}")
        dtypes = [(name, known[name]) for name in names]

        def load(chunk: Chunk) -> Any:
            table = self._table(chunk, names)
            if verify:
                self._verify(chunk, parquet.to_frame([table], dtypes))
            return table

        chunks = covering(self.chunks(dataset), start, end, last)
        frame = parquet.to_frame(_in_threads(load, chunks), dtypes)
        if start is not None:
            frame = frame.loc[frame.index >= pd.Timestamp(start)]
        if end is not None:
            frame = frame.loc[frame.index < pd.Timestamp(end)]
        return frame if last is None else frame.iloc[max(len(frame) - last, 0) :]

    def attachment(self, dataset: Dataset, name: str) -> bytes:
        """Bytes of an attachment, after their digest was compared.

        Raises:
            DataError: there is none of that name, or its object is missing or damaged.
        """
        if name not in dataset.attachments:
            raise DataError(f"{dataset.ref}: {unknown('attachment', name, dataset.attachments)}")
        entry = dataset.attachments[name]
        data = self.lake.get(entry["path"])
        if sha256_hex(data) != entry["digest"]:
            raise DataError(f"object {self.lake.uri(entry['path'])} is not what was published")
        return data

    def _table(self, chunk: Chunk, columns: Sequence[str]) -> Any:
        # A file of the local disk need not be read whole for some of its columns.
        data = self.lake.file(chunk.path) or self.lake.get(chunk.path)
        try:
            table = parquet.decode(data, columns)
        except DataError as error:
            raise DataError(f"object {self.lake.uri(chunk.path)} {error}") from None
        if table.num_rows != chunk.rows:
            raise DataError(
                f"object {self.lake.uri(chunk.path)} has {table.num_rows} rows instead of "
                f"{chunk.rows}"
            )
        return table

    def _verify(self, chunk: Chunk, frame: pd.DataFrame) -> None:
        found = frame_digests(frame)
        if wrong := [name for name in found if found[name] != chunk.digests[name]]:
            raise DataError(
                f"object {self.lake.uri(chunk.path)} is not what was published: columns {wrong} "
                "differ from their digests"
            )

    # --------------------------------------------------------------------------- publishing

    def stage(self, frame: pd.DataFrame, timeframe: str, *, base: Dataset | None = None) -> Staged:
        """Cut and digest rows, on top of an older dataset where there is one.

        Args:
            frame: rows, indexed by UTC ``timestamp``, strictly increasing.
            timeframe: decides where rows are cut.
            base: its rows before the first one of ``frame`` come first; the chunks that hold none
                but such rows are neither read nor written again.

        Raises:
            DataError: the frame breaks the store's contract, or has other columns than ``base``.
        """
        duration(timeframe)
        canonical = parquet.canonical_frame(frame)
        columns = tuple((str(name), str(item.dtype)) for name, item in canonical.items())
        if base is None or canonical.empty:
            if base is not None:
                return Staged(self.chunks(base), (), base.columns)
            return Staged((), tuple(describe(canonical, timeframe)), columns)
        if columns != base.columns:
            raise DataError(f"{base.ref}: the columns {base.columns} are followed by {columns}")
        pieces = describe(canonical, timeframe)
        first = pieces[0][0]
        before = [chunk for chunk in self.chunks(base) if chunk.start < first.start]
        kept = [chunk for chunk in before if chunk.label != first.label]
        if len(kept) < len(before):
            dtypes = list(columns)
            table = self._table(before[-1], [name for name, _ in dtypes])
            head = parquet.to_frame([table], dtypes)
            head = head.loc[head.index < canonical.index[0]]
            joined = pd.concat([head, pieces[0][1]])
            pieces[:1] = describe(joined, timeframe)
        return Staged(tuple(kept), tuple(pieces), columns)

    def publish(
        self,
        ref: DatasetRef,
        identity: Identity,
        *,
        definition: Definition,
        frame: pd.DataFrame | Staged | None = None,
        attachments: Mapping[str, bytes] | None = None,
        summary: Mapping[str, Any] | None = None,
        expected: Dataset | None = None,
        force: bool = False,
    ) -> Dataset:
        """Store a dataset and make it the head of its series, atomically.

        A version that is stored already is not stored again; it only becomes the head. So two
        processes that publish the same version at once end with one row, and get the same dataset.

        Args:
            ref: the series.
            identity: what the dataset was made from; its version hash is the dataset's.
            definition: what the YAML declares; stored when it differs from what is.
            frame: rows, indexed by UTC ``timestamp``, strictly increasing; or what :meth:`stage`
                made of them.
            attachments: other objects by name; a suffix such as ``.zip`` is kept.
            summary: plain values for people and for checks.
            expected: the head as the caller saw it; None if there was none.
            force: store a new generation even if the version is stored already.

        Raises:
            HeadConflictError: the head is neither ``expected`` nor of this version.
            DataError: the frame, a name or the summary breaks the store's contract.
            StorageError: lake or catalog fail, also after repetition; the head is the old one, or
                this version is whole.
        """
        prepared = self._prepare(ref, identity, definition, frame, attachments or {}, summary or {})
        before = self.lookup(ref, prepared.version_hash) if force else None

        def attempt(*, interrupted: bool) -> Dataset:
            # What an interrupted attempt may have committed is not stored a second time.
            forced = force and not (interrupted and self._is_newer(prepared, before))
            known = None if forced else self.lookup(ref, prepared.version_hash)
            stored = None if known else self._store_objects(prepared, mend=forced)
            return self._commit(prepared, stored, expected, force=forced)

        published = _until_undisturbed(attempt)
        self._warn_if_different(prepared, published)
        return published

    def adopt(self, dataset: Dataset, *, expected: Dataset | None) -> Dataset:
        """Make a stored dataset the head again, as when a parameter is reverted.

        Nothing is written, or locked, where it is the head already.

        Raises:
            HeadConflictError: the head is neither ``expected`` nor ``dataset``.
        """
        ref = dataset.ref
        head = self.head(ref)
        if head is not None and head.id == dataset.id:
            return head

        def attempt(**_: bool) -> Dataset:
            with self.catalog.write() as connection, Session(connection) as session:
                _move_head(session, ref, dataset.id, dataset.version_hash, expected)
                row = connection.execute(statements(ref.layer).head, series(ref)).one()
                return to_dataset(row, ref.layer, self.lake)

        return _until_undisturbed(attempt)

    def collect_garbage(
        self, *, grace: timedelta = timedelta(hours=24), dry_run: bool = False
    ) -> GarbageReport:
        """Delete the objects that no row references and that are older than ``grace``.

        See :mod:`hf_resources.garbage`.
        """
        return garbage.collect(self.lake, self.catalog, grace=grace, dry_run=dry_run)

    def _prepare(
        self,
        ref: DatasetRef,
        identity: Identity,
        definition: Definition,
        frame: pd.DataFrame | Staged | None,
        attachments: Mapping[str, bytes],
        summary: Mapping[str, Any],
    ) -> _Prepared:
        duration(ref.timeframe)
        if (definition.layer, definition.name) != (ref.layer, ref.name):
            raise DataError(
                f"{ref}: the definition is that of {definition.layer}/{definition.name}"
            )
        for kind, value, limit in (("name", ref.name, 200), ("symbol", ref.symbol, 100)):
            if len(value) > limit:
                raise DataError(f"{kind} '{value}' is longer than {limit} characters")
        for name in attachments:
            paths.checked_name("attachment", name)
        staged = Staged((), (), ())
        if isinstance(frame, Staged):
            staged = frame
        elif frame is not None:
            try:
                staged = self.stage(frame, ref.timeframe)
            except DataError as error:
                raise DataError(f"{ref}: {error}") from None
        return _Prepared(
            ref=ref,
            identity=identity,
            version_hash=identity.version_hash,
            definition=definition,
            prefix=paths.folder(
                ref.layer, ref.name, definition.plugin_key, ref.symbol, ref.timeframe
            ),
            staged=staged,
            attachments=attachments,
            summary=_plain(f"{ref}: summary", summary),
        )

    def _store_objects(self, prepared: _Prepared, *, mend: bool) -> _Stored:
        """Put the objects of a dataset into the lake, except chunks that the head has already.

        Args:
            prepared: the dataset.
            mend: write all of them, and replace objects that are not what their name says.
        """
        head = None if mend else self.head(prepared.ref)
        reusable = {chunk.label: chunk for chunk in self.chunks(head)} if head else {}
        unprotected: list[str] = []

        def store(piece: tuple[Chunk, pd.DataFrame]) -> Chunk:
            chunk, part = piece
            former = reusable.get(chunk.label)
            if former is not None and former.digests == chunk.digests:
                return replace(chunk, path=former.path)
            chunk = replace(
                chunk,
                path=paths.chunk_path(
                    prepared.prefix, prepared.version_hash, chunk.label, chunk.content_digest
                ),
            )
            unprotected.append(chunk.path)
            compression = "zstd" if prepared.ref.layer == "market_data" else "lz4"
            data = parquet.encode(part, compression)
            created = self.lake.put_if_absent(chunk.path, data)
            if mend and not created and not self._intact(chunk, prepared.staged.columns):
                self.lake.replace(chunk.path, data)
            return chunk

        chunks = [*prepared.staged.kept, *_in_threads(store, prepared.staged.pieces)]
        attachments: dict[str, dict[str, Any]] = {}
        for name, data in prepared.attachments.items():
            digest = sha256_hex(data)
            path = paths.attachment_path(prepared.prefix, prepared.version_hash, name, digest)
            unprotected.append(path)
            if not self.lake.put_if_absent(path, data) and mend:
                self.lake.replace(path, data)  # cheaper than to look whether it is intact
            attachments[name] = {"path": path, "digest": digest, "size": len(data)}
        return _Stored(chunks, attachments, unprotected)

    def _intact(self, chunk: Chunk, dtypes: Sequence[tuple[str, str]]) -> bool:
        try:
            table = self._table(chunk, [name for name, _ in dtypes])
            self._verify(chunk, parquet.to_frame([table], dtypes))
        except DataError:
            return False
        return True

    def _commit(
        self,
        prepared: _Prepared,
        stored: _Stored | None,
        expected: Dataset | None,
        *,
        force: bool,
    ) -> Dataset:
        """The one transaction of a publication."""
        ref, version_hash = prepared.ref, prepared.version_hash
        prepared_statements = statements(ref.layer)
        with self.catalog.write() as connection, Session(connection) as session:
            known = connection.execute(
                prepared_statements.lookup, {**series(ref), "version_hash": version_hash}
            ).first()
            definition = _upsert_definition(session, prepared.definition)
            if known is not None and not force:
                dataset_id = known.id
            elif stored is None:
                raise _ObjectsVanishedError  # cannot be, for rows are never deleted
            else:
                # No collection runs beside this transaction, so what is there now stays.
                if not all(_in_threads(self.lake.exists, stored.unprotected)):
                    raise _ObjectsVanishedError
                generation = 0 if known is None else known.generation + 1
                row = self._row(prepared, stored, definition.id, generation)
                session.add(row)
                session.flush()
                dataset_id = row.id
            _move_head(session, ref, dataset_id, version_hash, expected)
            row = connection.execute(prepared_statements.head, series(ref)).one()
            return to_dataset(row, ref.layer, self.lake)

    def _row(
        self, prepared: _Prepared, stored: _Stored, definition_id: int, generation: int
    ) -> DatasetRow:
        chunks, identity = stored.chunks, prepared.identity
        objects = [chunk.path for chunk in chunks]
        objects += [entry["path"] for entry in stored.attachments.values()]
        return TABLES[prepared.ref.layer].dataset(
            definition_id=definition_id,
            symbol=prepared.ref.symbol,
            timeframe=prepared.ref.timeframe,
            version_hash=prepared.version_hash,
            generation=generation,
            code_version=identity.code_version,
            source_fingerprint=identity.source_fingerprint,
            start_date=chunks[0].start if chunks else _date(identity.start_date),
            end_date=chunks[-1].end if chunks else _date(identity.end_date),
            row_count=sum(chunk.rows for chunk in chunks),
            storage_path=objects[0] if len(objects) == 1 else prepared.prefix,
            columns=[{"name": name, "dtype": dtype} for name, dtype in prepared.staged.columns],
            column_digests=prepared.staged.digests,
            attachments=stored.attachments,
            summary=prepared.summary,
            identity=json.loads(canonical_json(identity.explanation())),
            chunks=[chunk.to_json() for chunk in chunks],
        )

    def _is_newer(self, prepared: _Prepared, before: Dataset | None) -> bool:
        found = self.lookup(prepared.ref, prepared.version_hash)
        return found is not None and (before is None or found.id != before.id)

    def _warn_if_different(self, prepared: _Prepared, published: Dataset) -> None:
        if prepared.staged.digests != dict(published.column_digests):
            _log.warning(
                "%s version %s was computed again with other values; the stored ones stand. "
                "The plugin '%s' is not deterministic, or does not declare all that it reads.",
                prepared.ref,
                prepared.version_hash[:16],
                prepared.identity.plugin_key,
            )


class _Attempt(Protocol):
    def __call__(self, *, interrupted: bool) -> Dataset: ...


def _until_undisturbed(attempt: _Attempt) -> Dataset:
    """Repeat what failed because somebody else wrote the same rows first, or the catalog went away.

    What their rows mean (the same version, or a conflict) is decided afresh each time, and so is
    whether what was interrupted had been committed: ``interrupted`` says that it may have been.
    """
    interrupted, pauses = False, iter(_PAUSES)
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt(interrupted=interrupted)
        except (IntegrityError, StaleDataError, _ObjectsVanishedError):
            continue
        except CatalogInterruptedError:
            interrupted, pause = True, next(pauses, None)
            if pause is None:
                raise
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (spreads the publishers)
    return attempt(interrupted=interrupted)


def _upsert_definition(session: Session, definition: Definition) -> DefinitionRow:
    tables = TABLES[definition.layer]
    model = tables.definition
    parameters = json.loads(canonical_json(dict(definition.parameters)))
    row = session.scalars(select(model).where(model.name == definition.name)).one_or_none()
    if row is None:
        row = model(
            name=definition.name,
            family=definition.family,
            description=definition.description,
            plugin_key=definition.plugin_key,
            parameters=parameters,
        )
        session.add(row)
    elif tables.owner:
        declared = {
            "family": definition.family,
            "description": definition.description,
            "plugin_key": definition.plugin_key,
            "parameters": parameters,
        }
        for name, value in declared.items():
            if getattr(row, name) != value:
                setattr(row, name, value)
    session.flush()
    return row


def _move_head(
    session: Session,
    ref: DatasetRef,
    dataset_id: int,
    version_hash: str,
    expected: Dataset | None,
) -> None:
    key = (ref.layer, ref.name, ref.symbol, ref.timeframe)
    head = session.get(Head, key, with_for_update=True)
    if head is None:
        if expected is not None:
            raise _conflict(ref, expected, None)
        session.add(
            Head(
                layer=ref.layer,
                name=ref.name,
                symbol=ref.symbol,
                timeframe=ref.timeframe,
                dataset_id=dataset_id,
                version_hash=version_hash,
            )
        )
    elif head.dataset_id != dataset_id:
        # A head of the same version is no conflict: whoever moved it had the same in mind.
        if head.version_hash != version_hash and not _is_expected(head, expected):
            raise _conflict(ref, expected, head)
        head.dataset_id = dataset_id
        head.version_hash = version_hash
    session.flush()


def _is_expected(head: Head, expected: Dataset | None) -> bool:
    if expected is None or head.dataset_id != expected.id:
        return False
    return expected.head_version in (None, head.version)


def _conflict(ref: DatasetRef, expected: Dataset | None, head: Head | None) -> HeadConflictError:
    seen = f"version {expected.version_hash[:16]}" if expected else "none"
    found = f"version {head.version_hash[:16]}" if head else "another"
    return HeadConflictError(
        f"{ref}: the head was {seen} when this computation began and is {found} now; nothing was "
        "changed. Run it again to compute from the current state."
    )


def _in_threads(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Map in order; a single item, which is the rule, costs no thread."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(function, items))


def _date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _plain(what: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them, numpy's numbers included.

    Raises:
        DataError: NaN or infinity; an undefined number is None.
    """
    try:
        text = json.dumps(dict(values), default=_plain_value, allow_nan=False)
    except ValueError:
        raise DataError(f"{what} holds NaN or infinity; undefined numbers must be None") from None
    return json.loads(text)


def _plain_value(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
