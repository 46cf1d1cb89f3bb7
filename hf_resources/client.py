"""The query client: bars and features, as they are now or as they were known then, and why.

What a caller may ask, and which version of which dataset answers it, belong here. How it is read
is in ``columnar``, what a version is in ``versions`` and ``differences``; the same through SQL is
in ``sql``. Nothing here writes to lake or catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from sqlalchemy import bindparam, select

from hf_plugins.certificate import Certificate
from hf_plugins.errors import ConfigurationError, DataError, listing, nearest, unknown
from hf_resources import arguments, columnar, parquet, versions
from hf_resources.arguments import Engine
from hf_resources.cache import Cache
from hf_resources.catalog.schema import Head
from hf_resources.certificates import Certificates
from hf_resources.chunks import Chunk
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.differences import Explanation, explain
from hf_resources.point_in_time import PointInTime
from hf_resources.queries import series
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_T = TypeVar("_T")
_SYMBOL: Final = "symbol"
_REMEMBERED: Final = 1024
_HEAD: Final = select(Head.dataset_id).where(
    Head.layer == bindparam("layer"),
    Head.name == bindparam("name"),
    Head.symbol == bindparam("symbol"),
    Head.timeframe == bindparam("timeframe"),
)
_FEATURES: Final = select(Head.name).where(Head.layer == "features").distinct()


class Client:
    """Reads what the platform has published. Safe to share between threads.

    Args:
        store: lake and catalog.
        cache: asked before the lake; None where there is none.
    """

    def __init__(self, store: DatasetStore, cache: Cache | None = None) -> None:
        self.store = store
        self.cache = cache
        # Both never change, so each is asked for once; which dataset is the head is always asked.
        self._datasets: dict[int, Dataset] = {}
        self._chunks: dict[int, tuple[Chunk, ...]] = {}

    @classmethod
    def open(cls, settings: Settings | None = None) -> Client:
        """A client of the installation that the settings, or else the environment, name.

        Raises:
            ConfigurationError: a setting is wrong, or the catalog cannot be opened.
        """
        chosen = Settings.from_env() if settings is None else settings
        return cls(DatasetStore.open(chosen), Cache.open(chosen))

    @overload
    def bars(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        columns: Sequence[str] | None = None,
        as_of: datetime | None = None,
        enriched: bool = False,
        engine: Literal["polars"] = "polars",
    ) -> pl.DataFrame: ...

    @overload
    def bars(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        columns: Sequence[str] | None = None,
        as_of: datetime | None = None,
        enriched: bool = False,
        engine: Literal["pandas"],
    ) -> pd.DataFrame: ...

    def bars(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        columns: Sequence[str] | None = None,
        as_of: datetime | None = None,
        enriched: bool = False,
        engine: Engine = "polars",
    ) -> pl.DataFrame | pd.DataFrame:
        """Bars of one instrument, in time order.

        A bar's ``timestamp`` is its open time, UTC; the bar is known at ``timestamp + timeframe``.
        Raw bars are as the source has them, neither adjusted for splits nor for dividends;
        enriched bars are on a total-return basis and have the features of each bar.

        Args:
            symbol: of the instrument, as in the universe.
            timeframe: such as ``1d``.
            start: first open time, inclusive; timezone-aware.
            end: open time to stop before; timezone-aware.
            columns: in the order wanted; all of them by default. ``timestamp`` is always there.
            as_of: answer with what was known at that instant, timezone-aware: the version of the
                raw bars that stood then, or the enriched bars that were made of it.
            enriched: enriched bars instead of raw ones.
            engine: ``polars``: ``timestamp`` is the first column and a missing value is null.
                ``pandas``: ``timestamp`` is the index and a missing number is NaN.

        Raises:
            ConfigurationError: an unknown timeframe or engine, or a naive time.
            DataError: an unknown symbol or column, a partition without data, an instant before the
                first bars were known, or an object that is missing or damaged.
        """
        arguments.check_range(timeframe, start, end, engine)
        moment = self._moment(as_of)
        ref = DatasetRef("market_data", "enriched" if enriched else "bars", symbol, timeframe)
        dataset = self._standing(ref, moment)
        names = arguments.columns_of(dataset, columns)
        frame = self._rows(dataset, names, start, end)
        if engine == "polars":
            return frame
        known = dict(dataset.columns)
        return parquet.to_frame([frame.to_arrow()], [(name, known[name]) for name in names])

    @overload
    def features(
        self,
        symbol: str | Sequence[str],
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        as_of: datetime | None = None,
        engine: Literal["polars"] = "polars",
    ) -> pl.DataFrame: ...

    @overload
    def features(
        self,
        symbol: str | Sequence[str],
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        as_of: datetime | None = None,
        engine: Literal["pandas"],
    ) -> pd.DataFrame: ...

    def features(
        self,
        symbol: str | Sequence[str],
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        as_of: datetime | None = None,
        engine: Engine = "polars",
    ) -> pl.DataFrame | pd.DataFrame:
        """Features of one instrument, or of several, beside each other, in time order.

        The row of ``timestamp``, a bar's open time in UTC, is known when that bar has closed.

        Args:
            symbol: of the instrument, as in the universe; of a list, the rows of each stand below
                those of the one before, and the first column is ``symbol``.
            timeframe: such as ``1d``.
            names: of features, as in YAML; all columns of each, in this order.
            start: first open time, inclusive; timezone-aware.
            end: open time to stop before; timezone-aware.
            as_of: answer with what was known at that instant, timezone-aware: the versions that
                were computed from the bars, and whatever else they read, as these stood then; by
                the code that is in force now, if there are several.
            engine: as for :meth:`bars`.

        Returns:
            A row for each time stamp of any of the features; null (in pandas NaN) where a feature
            has none, or no value.

        Raises:
            ConfigurationError: an unknown timeframe or engine, a naive time, no name or symbol, one
                of them twice, or two features with a column of one name.
            DataError: an unknown feature or symbol, a partition without data, a feature with other
                columns for another symbol, an instant at which nothing was known or from whose data
                nothing was computed, or an object that is missing or damaged.
        """
        arguments.check_range(timeframe, start, end, engine)
        moment = self._moment(as_of)
        wanted = arguments.names_of("feature", names)
        one = isinstance(symbol, str)
        refs = [
            [DatasetRef("features", name, each, timeframe) for name in wanted]
            for each in ([symbol] if one else arguments.names_of("symbol", symbol))
        ]
        datasets = [[self._standing(ref, moment) for ref in row] for row in refs]
        types = _side_by_side(datasets)
        # A row that only another feature has is missing, which not every type can tell.
        nullable = {"int64": "Int64", "bool": "boolean"} if len(wanted) > 1 else {}
        dtypes = [(column, nullable.get(dtype, dtype)) for column, dtype in types.items()]
        frames = [
            reduce(
                _beside,
                (self._rows(each, arguments.columns_of(each, None), start, end) for each in row),
            )
            for row in datasets
        ]
        frame = frames[0] if one else _below(frames, [row[0].symbol for row in refs])
        if engine == "polars":
            return frame
        return parquet.to_frame([frame.to_arrow()], dtypes if one else [(_SYMBOL, "str"), *dtypes])

    def history(self, feature: str, symbol: str, timeframe: str) -> pl.DataFrame:
        """All versions of a feature's dataset, newest first; see :data:`versions.HISTORY`.

        Args:
            feature: as in YAML; or the key of any other asset, such as ``market_data/bars``.
            symbol: of the instrument.
            timeframe: such as ``1d``.

        Raises:
            ConfigurationError: an unknown timeframe.
            DataError: an unknown feature or symbol, or a partition without data.
        """
        head = self._current(arguments.series_of(feature, symbol, timeframe))
        return versions.history(self.store.history(head.ref), head)

    def why(
        self,
        feature: str,
        symbol: str,
        timeframe: str,
        *,
        version: str | None = None,
        before: str | None = None,
    ) -> Explanation:
        """Why a version was computed: what differs from the one before, down to rows of inputs.

        Args:
            feature: as for :meth:`history`.
            symbol: of the instrument.
            timeframe: such as ``1d``.
            version: version hash, or its beginning; the current version by default.
            before: of the version to compare with; that stored before ``version`` by default.

        Raises:
            ConfigurationError: an unknown timeframe.
            DataError: an unknown feature, symbol or version, a partition without data, or an object
                to compare that is missing or damaged.
        """
        head = self._current(arguments.series_of(feature, symbol, timeframe))
        stored = self.store.history(head.ref)
        chosen = head if version is None else versions.select(stored, version)
        older = versions.stored_before(stored, chosen)
        if before is not None:
            older = versions.select(stored, before)
        return explain(self.store, older, chosen)

    def preview(
        self,
        feature: str,
        symbol: str,
        timeframe: str,
        rows: int = 5,
        *,
        version: str | None = None,
    ) -> pl.DataFrame:
        """The first and the last rows of a feature's dataset; all of them where these meet.

        Args:
            feature: as for :meth:`history`.
            symbol: of the instrument.
            timeframe: such as ``1d``.
            rows: at each end.
            version: version hash, or its beginning; the current version by default.

        Raises:
            ConfigurationError: an unknown timeframe, or ``rows`` below 1.
            DataError: as for :meth:`why`.
        """
        head = self._current(arguments.series_of(feature, symbol, timeframe))
        chosen = head
        if version is not None:
            chosen = versions.select(self.store.history(head.ref), version)
        return versions.preview(self.store, chosen, self._chunks_of(chosen), rows)

    def certificate(self, feature: str, symbol: str, timeframe: str) -> Certificate | None:
        """What was tried to find look-ahead in the current version of a feature.

        Args:
            feature: as in YAML, or its asset key.
            symbol: of the instrument.
            timeframe: such as ``1d``.

        Returns:
            The causality certificate, with what came of it; None where the current version was not
            certified yet, whatever is known of earlier ones.

        Raises:
            ConfigurationError: an unknown timeframe, or an asset that is no feature.
            DataError: an unknown feature or symbol, or a partition without data.
        """
        ref = arguments.series_of(feature, symbol, timeframe)
        if ref.layer != "features":
            raise ConfigurationError(f"{ref.asset_key} has no certificate; only features have one")
        head = self._current(ref)
        recorded = Certificates(self.store).of([head]).get(head.id)
        return None if recorded is None else recorded.certificate

    def _rows(
        self,
        dataset: Dataset,
        columns: Sequence[str],
        start: datetime | None,
        end: datetime | None,
    ) -> pl.DataFrame:
        chunks = self._chunks_of(dataset)
        return columnar.read(self.store, self.cache, dataset, chunks, columns, start=start, end=end)

    def _current(self, ref: DatasetRef) -> Dataset:
        with self.store.catalog.read() as connection:
            head = connection.execute(_HEAD, {"layer": ref.layer, **series(ref)}).scalar()
        if head in self._datasets:
            return self._datasets[head]
        found = self.store.head(ref) or self._refuse(ref)
        return _remember(self._datasets, found.id, found)

    def _moment(self, as_of: datetime | None) -> PointInTime | None:
        arguments.check_aware("as_of", as_of)
        return None if as_of is None else PointInTime(self.store, as_of)

    def _standing(self, ref: DatasetRef, moment: PointInTime | None) -> Dataset:
        head = self._current(ref)
        return head if moment is None else moment.version(head)

    def _chunks_of(self, dataset: Dataset) -> tuple[Chunk, ...]:
        if dataset.id in self._chunks:
            return self._chunks[dataset.id]
        return _remember(self._chunks, dataset.id, self.store.chunks(dataset))

    def _refuse(self, ref: DatasetRef) -> Any:
        partitions = self.store.heads(ref.layer, ref.name)
        symbols = {symbol for symbol, _ in partitions}
        if not symbols and ref.layer == "features":
            with self.store.catalog.read() as connection:
                known = connection.execute(_FEATURES).scalars().all()
            if known:
                raise DataError(unknown("feature", ref.name, known))
        if not symbols:
            raise DataError(f"{ref.asset_key} has no data yet; materialise it first")
        if ref.symbol not in symbols:
            # Mostly it is the case that differs, in which nothing is near to anything.
            guess = nearest(ref.symbol.upper(), symbols)
            raise DataError(
                f"{ref.asset_key}: unknown symbol '{ref.symbol}'; allowed: {listing(symbols)}."
                f"{guess}"
            )
        timeframes = {timeframe for symbol, timeframe in partitions if symbol == ref.symbol}
        raise DataError(
            f"{ref.asset_key} has no data for {ref.symbol} at {ref.timeframe}; it has "
            f"{listing(timeframes)}"
        )


def _remember(memory: dict[int, _T], key: int, value: _T) -> _T:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def _beside(frame: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Columns of both; rows of either, matched by time stamp, which both are sorted by."""
    if frame[parquet.INDEX].equals(other[parquet.INDEX]):
        return frame.hstack(other.drop(parquet.INDEX))
    joined = frame.join(other, on=parquet.INDEX, how="full", coalesce=True)
    return joined.sort(parquet.INDEX)


def _below(frames: Sequence[pl.DataFrame], symbols: Sequence[str]) -> pl.DataFrame:
    """Rows of all, each with its symbol."""
    import polars as pl

    marked = [
        frame.select(pl.lit(symbol).alias(_SYMBOL), pl.all())
        for symbol, frame in zip(symbols, frames, strict=True)
    ]
    return pl.concat(marked)


def _side_by_side(datasets: Sequence[Sequence[Dataset]]) -> dict[str, str]:
    """Columns of the features with their types, which must be the same for all symbols."""
    types: dict[str, str] = {}
    for position, dataset in enumerate(datasets[0]):
        for row in datasets[1:]:
            other = row[position]
            if other.columns != dataset.columns:
                raise DataError(
                    f"{other.ref} has the columns {listing(map(' '.join, other.columns))} and "
                    f"{dataset.ref.symbol} {listing(map(' '.join, dataset.columns))}; materialise "
                    "both with the same code, or ask for them one at a time"
                )
        for column, dtype in dataset.columns:
            if column in types or (column == _SYMBOL and len(datasets) > 1):
                raise ConfigurationError(
                    f"feature '{dataset.ref.name}' has a column '{column}', as one before it has; "
                    "ask for them one at a time"
                )
            types[column] = dtype
    return types
