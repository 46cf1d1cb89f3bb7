"""The query client: bars, as they are now or as they were known then, and features.

Frames are polars or pandas.

What a caller may ask, and which version of which dataset answers it, belong here. How it is read
is in ``columnar``; the same through SQL is in ``sql``. Nothing here writes to lake or catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from sqlalchemy import bindparam, select

from hf_plugins.errors import ConfigurationError, DataError, listing, nearest, unknown
from hf_plugins.timeframes import duration
from hf_resources import columnar, parquet
from hf_resources.cache import Cache
from hf_resources.catalog.schema import Head
from hf_resources.chunks import Chunk
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.ingestion import as_of as version_as_of
from hf_resources.ingestion import known_at
from hf_resources.queries import series
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Engine = Literal["polars", "pandas"]
ENGINES: Final = ("polars", "pandas")
_T = TypeVar("_T")
_BARS: Final = "market_data/bars"
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
        _check(timeframe, start, end, engine)
        _check_aware("as_of", as_of)
        ref = DatasetRef("market_data", "enriched" if enriched else "bars", symbol, timeframe)
        dataset = self._current(ref) if as_of is None else self._as_of(ref, as_of)
        names = _checked_columns(dataset, columns)
        frame = self._rows(dataset, names, start, end)
        if engine == "polars":
            return frame
        known = dict(dataset.columns)
        return parquet.to_frame([frame.to_arrow()], [(name, known[name]) for name in names])

    @overload
    def features(
        self,
        symbol: str,
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        engine: Literal["polars"] = "polars",
    ) -> pl.DataFrame: ...

    @overload
    def features(
        self,
        symbol: str,
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        engine: Literal["pandas"],
    ) -> pd.DataFrame: ...

    def features(
        self,
        symbol: str,
        timeframe: str,
        names: Sequence[str],
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        engine: Engine = "polars",
    ) -> pl.DataFrame | pd.DataFrame:
        """Features of one instrument beside each other, in time order.

        The row of ``timestamp``, a bar's open time in UTC, is known when that bar has closed.

        Args:
            symbol: of the instrument, as in the universe.
            timeframe: such as ``1d``.
            names: of features, as in YAML; all columns of each, in this order.
            start: first open time, inclusive; timezone-aware.
            end: open time to stop before; timezone-aware.
            engine: as for :meth:`bars`.

        Returns:
            A row for each time stamp of any of the features; null (in pandas NaN) where a feature
            has none, or no value.

        Raises:
            ConfigurationError: an unknown timeframe or engine, a naive time, no name, one name
                twice, or two features with a column of one name.
            DataError: an unknown feature or symbol, a partition without data, or an object that is
                missing or damaged.
        """
        _check(timeframe, start, end, engine)
        datasets = {
            name: self._current(DatasetRef("features", name, symbol, timeframe))
            for name in _checked_features(names)
        }
        types: dict[str, str] = {}
        parts: list[pl.DataFrame] = []
        for name, dataset in datasets.items():
            for column, dtype in dataset.columns:
                if column in types:
                    raise ConfigurationError(
                        f"feature '{name}' has a column '{column}', as one before it has; ask for "
                        "them one at a time"
                    )
                types[column] = dtype
            parts.append(self._rows(dataset, _checked_columns(dataset, None), start, end))
        frame = reduce(_beside, parts)
        if engine == "polars":
            return frame
        # A row that only another feature has is missing, which not every type can tell.
        nullable = {"int64": "Int64", "bool": "boolean"} if len(datasets) > 1 else {}
        dtypes = [(column, nullable.get(dtype, dtype)) for column, dtype in types.items()]
        return parquet.to_frame([frame.to_arrow()], dtypes)

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

    def _as_of(self, ref: DatasetRef, instant: datetime) -> Dataset:
        raw = DatasetRef("market_data", "bars", ref.symbol, ref.timeframe)
        versions = self.store.history(raw)
        if not versions:
            self._refuse(raw)
        bars = version_as_of(versions, instant)
        if bars is None:
            first = min(map(known_at, versions))
            raise DataError(
                f"{raw}: nothing was known at {instant.isoformat()}; the first bars came at "
                f"{first.isoformat()}"
            )
        return bars if ref == raw else self._made_of(bars, ref)

    def _made_of(self, bars: Dataset, ref: DatasetRef) -> Dataset:
        """The enriched bars of a version of the raw ones, by the code that is in force."""
        head = self._current(ref)
        made = [each for each in self.store.history(ref) if _reads(each, bars)]
        if not made:
            raise DataError(
                f"{ref}: no version was computed from the bars {bars.version_hash[:16]}, which "
                f"came at {known_at(bars).isoformat()}; read the raw ones of that instant, or one "
                "at which enriched bars were computed"
            )
        return max(made, key=lambda each: (each.code_version == head.code_version, each.id))

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


def bars(
    symbol: str,
    timeframe: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    columns: Sequence[str] | None = None,
    as_of: datetime | None = None,
    enriched: bool = False,
    engine: Engine = "polars",
) -> Any:
    """:meth:`Client.bars` of the installation that the environment names."""
    options: dict[str, Any] = {"columns": columns, "as_of": as_of, "enriched": enriched}
    client = _client(Settings.from_env())
    return client.bars(symbol, timeframe, start, end, engine=engine, **options)


def features(
    symbol: str,
    timeframe: str,
    names: Sequence[str],
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    engine: Engine = "polars",
) -> Any:
    """:meth:`Client.features` of the installation that the environment names."""
    client = _client(Settings.from_env())
    chosen: Any = engine
    return client.features(symbol, timeframe, names, start, end, engine=chosen)


@lru_cache(maxsize=8)
def _client(settings: Settings) -> Client:
    return Client.open(settings)


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


def _check(timeframe: str, start: datetime | None, end: datetime | None, engine: str) -> None:
    duration(timeframe)
    if engine not in ENGINES:
        raise ConfigurationError(unknown("engine", engine, ENGINES))
    for name, moment in (("start", start), ("end", end)):
        _check_aware(name, moment)
    if start is not None and end is not None and end < start:
        raise ConfigurationError(f"end {end.isoformat()} is before start {start.isoformat()}")


def _checked_features(names: Sequence[str]) -> list[str]:
    if isinstance(names, str):
        raise ConfigurationError(f"names must be a list of names, not the text '{names}'")
    if not names:
        raise ConfigurationError("names is empty; name one feature at least")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ConfigurationError(f"feature '{twice}' is asked for twice")
    return list(names)


def _check_aware(name: str, moment: object) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise ConfigurationError(
            f"{name} must be a timezone-aware datetime, not {type(moment).__name__} '{moment}'"
        )
    if moment.tzinfo is None:
        raise ConfigurationError(
            f"{name} {moment.isoformat()} has no time zone; add one, such as tzinfo=timezone.utc"
        )


def _checked_columns(dataset: Dataset, columns: Sequence[str] | None) -> list[str]:
    known = dict(dataset.columns)
    if columns is None:
        return list(known)
    if isinstance(columns, str):
        raise ConfigurationError(f"columns must be a list of names, not the text '{columns}'")
    names = [name for name in columns if name != parquet.INDEX]
    for name in names:
        if name not in known:
            raise DataError(f"{dataset.ref}: {unknown('column', name, known)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"column '{twice}' is asked for twice")
    return names


def _reads(dataset: Dataset, bars: Dataset) -> bool:
    """Whether a dataset was computed from these bars, as far as it reads them."""
    read = dataset.identity.get("inputs", {}).get(_BARS)
    if read is None:
        return False
    digests = read["columns"].items()
    return all(bars.column_digests.get(name) == digest for name, digest in digests)
