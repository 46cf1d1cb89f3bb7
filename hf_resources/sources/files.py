"""Bars from text and Parquet files: the sources ``csv`` and ``parquet``.

Which files hold an instrument's bars, how their rows become one series, and what a user may
declare. A slash in a symbol is written ``%2F`` in the name of a file. How files are read belongs in
:mod:`hf_resources.sources.file_tables`, what their columns mean in
:mod:`hf_resources.sources.file_columns` and :mod:`hf_resources.sources.dialects`.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.timeframes import DURATIONS
from hf_resources.instruments import Instrument
from hf_resources.sources import file_columns
from hf_resources.sources.base import Source, register_source, window
from hf_resources.sources.clock import Clock
from hf_resources.sources.dialects import Dialect, get_dialect, header, recognise
from hf_resources.sources.file_columns import ADJUSTED_CLOSE, SYMBOL, VALUES, Stamps, Timing
from hf_resources.sources.file_pattern import FilePattern
from hf_resources.sources.file_series import Part, adjustment, check_order, merge
from hf_resources.sources.file_tables import (
    COMPRESSIONS,
    FileTable,
    head,
    parquet_table,
    read_bytes,
    text_table,
)
from hf_resources.sources.rounding import PRICES


class FileParams(Params):
    """Parameters of both sources."""

    folder: Annotated[str, Field(min_length=1, description="Folder of the files.")]
    pattern: Annotated[
        str,
        Field(
            min_length=1,
            description="Path of a file below the folder, with {symbol}, {timeframe} and wildcards "
            "* and ?. Several files are joined; where they overlap they must agree.",
        ),
    ]
    columns: Annotated[
        dict[str, str | tuple[str, ...] | None],
        Field(
            description="From our names of columns to the file's; several (date and time) are "
            "joined by a space, null says that the file has none."
        ),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    symbols: Annotated[
        dict[str, str],
        Field(description="From our symbols to the file's; the others are called as ours."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    timeframes: Annotated[
        dict[str, str],
        Field(description="From our timeframes to what stands for {timeframe}, such as M1."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    time: Annotated[
        str | None,
        Field(
            description="Format of the stamps (%d.%m.%Y %H:%M) or epoch_s, epoch_ms, epoch_us; "
            "null for ISO 8601."
        ),
    ] = None
    clock: Annotated[
        str | None,
        Field(
            description="Clock that the stamps show: UTC, UTC+2, Europe/Athens, new_york+7, "
            "histdata, EST_no_dst; null where each stamp names its own offset."
        ),
    ] = None
    offsets: Annotated[
        Literal["trusted", "ignored"],
        Field(
            description="Whether offsets from UTC in the file must agree with the clock, or are "
            "known to be wrong."
        ),
    ] = "trusted"
    label: Annotated[
        Literal["open", "close"],
        Field(description="Which end of its bar a stamp labels; a date without time is its day."),
    ] = "open"
    session_zone: Annotated[
        str | None,
        Field(description="Clock whose date names a daily bar; null for the date as written."),
    ] = None
    repeats: Annotated[
        Literal["refused", "merged"],
        Field(description="Whether a file may give a bar again, with the same values."),
    ] = "refused"
    as_of: Annotated[
        AwareDatetime | None,
        Field(
            description="Instant with its offset, such as 2026-03-20T18:00:00Z, at which the files "
            "were what they are; null for the time of reading."
        ),
    ] = None


class CsvParams(FileParams):
    """Parameters of the source ``csv``."""

    pattern: Annotated[str, Field(min_length=1, description="As for any file source.")] = (
        "{symbol}_{timeframe}.csv"
    )
    dialect: Annotated[
        str | None,
        Field(
            description="Export format of the files; null recognises it, unless columns are given."
        ),
    ] = None
    separator: Annotated[
        str | None,
        Field(
            min_length=1, max_length=1, description="Between fields; null for the dialect's, or ,"
        ),
    ] = None
    decimal: Annotated[Literal[".", ","], Field(description="Decimal mark.")] = "."
    missing: Annotated[
        tuple[str, ...], Field(description="Texts that stand for no value, besides the empty one.")
    ] = ()


class ParquetParams(FileParams):
    """Parameters of the source ``parquet``."""

    pattern: Annotated[str, Field(min_length=1, description="As for any file source.")] = (
        "{symbol}_{timeframe}.parquet"
    )


class FileSource(Source):
    """What the two sources share; not a source itself."""

    Params: ClassVar[type[Params]] = FileParams
    suffixes: ClassVar[tuple[str, ...]] = ("",)
    """What may follow the pattern in the name of a file."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        try:
            self._check()
        except ConfigurationError as error:
            raise ConfigurationError(f"source '{self.key}': {error}") from None

    @property
    def declared(self) -> FileParams:
        """The parameters, typed."""
        return cast(FileParams, self.params)

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(self.declared.folder)

    @cached_property
    def files(self) -> FilePattern:
        """Which files there are."""
        return FilePattern(
            self.folder, self.declared.pattern, ("symbol", "timeframe"), self.suffixes
        )

    @cached_property
    def timing(self) -> Timing:
        """How the stamps of the files become open times."""
        declared = self.declared
        zone = declared.session_zone
        return Timing(
            clock=None if declared.clock is None else Clock.parse(declared.clock),
            trust_offsets=declared.offsets == "trusted",
            label=declared.label,
            session=None if zone is None else Clock.parse(zone),
        )

    def parameters(self) -> dict[str, Any]:
        """The parameters that decide what the bars are, after defaults, as JSON-ready values.

        When they were so is not among them: the same files of a later day are no other data.
        """
        return self.params.model_dump(mode="json", exclude={"as_of"})

    def vintage(self, instrument: Instrument, timeframe: str) -> datetime | None:
        """The declared instant, in UTC."""
        del instrument, timeframe
        as_of = self.declared.as_of
        return None if as_of is None else as_of.astimezone(UTC)

    def declared_clock(self, instrument: Instrument, timeframe: str) -> str | None:
        """As declared; UTC where the stamps name their offsets, which may be wrong as well."""
        del instrument, timeframe
        return self.declared.clock or "UTC"

    def paths(self, instrument: Instrument, timeframe: str) -> list[Path]:
        """The files of a partition, sorted by path; maybe none."""
        named = self._named(instrument, timeframe)
        return [] if named is None else self.files.paths(named)

    def origin(self, instrument: Instrument, timeframe: str) -> str:
        """The path of the file, or the folder and pattern of several."""
        named = self._named(instrument, timeframe)
        return str(self.folder / self.files.filled(named or {}))

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Those that have a file."""
        return tuple(each for each in DURATIONS if self.paths(instrument, each))

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """Digest of name, size and modification time of the files; None where there are none."""
        states = []
        for path in self.paths(instrument, timeframe):
            state = path.stat()
            name = path.relative_to(self.folder).as_posix()
            states.append(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n")
        return hashlib.sha256("".join(states).encode()).hexdigest() if states else None

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that open in ``[start, end)``; all files are read whole and checked.

        Prices are as in the files. ``adjustment`` is the ratio of the adjusted close to the close,
        where the files have that, relative to the first bar. Volume is null in formats that have
        none.
        """
        paths = self.paths(instrument, timeframe)
        if not paths:
            self._refuse_missing(instrument, timeframe)
        parts = [self._part(path, instrument, timeframe) for path in paths]
        return window(adjustment(merge(parts, instrument), paths), start, end)

    @abstractmethod
    def read(self, path: Path, symbol: str) -> tuple[FileTable, Dialect | None]:
        """The rows of a file, and the dialect that tells their meaning."""

    def _part(self, path: Path, instrument: Instrument, timeframe: str) -> Part:
        declared = self.declared
        symbol = declared.symbols.get(instrument.symbol, instrument.symbol)
        table, dialect = self.read(path, symbol)
        columns = {**(dialect.columns if dialect else {}), **declared.columns}
        chosen = file_columns.resolve(
            table, columns, dialect.optional if dialect else frozenset(), strict=not columns
        )
        if SYMBOL in chosen:
            table = _of_symbol(table, chosen[SYMBOL][0], symbol)
        if not len(table.places):
            raise DataError(f"{path}: the file has no bars; at least one is required")
        time = declared.time or (dialect.time if dialect else None)
        stamps = file_columns.stamps(table, chosen["timestamp"], time)
        if stamps.offset is None and dialect is not None and dialect.utc:
            stamps = Stamps(stamps.local, np.zeros(len(stamps.local), np.int64), stamps.dates)
        if stamps.local.asi8[0] > stamps.local.asi8[-1]:  # newest first
            rows = np.arange(len(table.places))[::-1]
            offset = None if stamps.offset is None else stamps.offset[rows]
            table, stamps = table.take(rows), Stamps(stamps.local[rows], offset, stamps.dates)
        index = file_columns.open_times(table, stamps, self.timing, instrument, timeframe)
        check_order(table, index, merged=declared.repeats == "merged")
        decimal = declared.decimal if isinstance(declared, CsvParams) else "."
        values = {
            name: file_columns.numbers(table, name, chosen[name][0], decimal)
            if name in chosen
            else np.full(len(index), np.nan)
            for name in (*VALUES, ADJUSTED_CLOSE)
            if name in chosen or name == "volume"
        }
        bars = pd.DataFrame(values, index=pd.DatetimeIndex(index, name="timestamp"))
        return Part(bars, table)

    def _named(self, instrument: Instrument, timeframe: str) -> dict[str, str] | None:
        """What stands for the placeholders; None where the declared names leave a partition out."""
        declared = self.declared
        named = {"symbol": declared.symbols, "timeframe": declared.timeframes}
        values = {"symbol": instrument.symbol, "timeframe": timeframe}
        # Without its placeholder the pattern says nothing of it, so the declared names must.
        closed = ["timeframe"] if declared.timeframes else []
        if "{symbol}" not in declared.pattern and SYMBOL not in declared.columns:
            closed.append("symbol")
        if any(values[name] not in named[name] for name in closed):
            return None
        return {name: named[name].get(value, value) for name, value in values.items()}

    def _check(self) -> None:
        declared = self.declared
        self.files.check()
        for ours in declared.columns:
            if ours not in file_columns.NAMES:
                raise ConfigurationError(
                    f"parameter 'columns': {unknown('column', ours, file_columns.NAMES)}"
                )
            theirs = declared.columns[ours]
            if isinstance(theirs, tuple) and ours != "timestamp":
                raise ConfigurationError(
                    f"parameter 'columns' names {len(theirs)} columns for {ours}; allowed: one "
                    "(only those of timestamp are joined)"
                )
            if theirs is None and ours in ("timestamp", *PRICES):
                raise ConfigurationError(
                    f"parameter 'columns' says that there is no {ours}; every bar needs one"
                )
        if {ADJUSTED_CLOSE, "adjustment"} <= {k for k, v in declared.columns.items() if v}:
            raise ConfigurationError(
                "parameter 'columns' names adjusted_close and adjustment; one follows from the "
                "other, so name one"
            )
        for timeframe in declared.timeframes:
            if timeframe not in DURATIONS:
                raise ConfigurationError(
                    f"parameter 'timeframes': {unknown('timeframe', timeframe, DURATIONS)}"
                )
        pattern = PurePosixPath(declared.pattern)
        if "{timeframe}" not in declared.pattern and len(declared.timeframes) != 1:
            raise ConfigurationError(
                f"parameter 'pattern' is '{pattern}', without {{timeframe}}; then name the files' "
                "one timeframe, such as timeframes: {1m: M1}"
            )
        loose = "{symbol}" not in declared.pattern and SYMBOL not in declared.columns
        if loose and len(declared.symbols) != 1:
            raise ConfigurationError(
                f"parameter 'pattern' is '{pattern}', without {{symbol}}; then name the files' one "
                "symbol, such as symbols: {XAUUSD: GOLD}, or the column that holds it, such as "
                "columns: {symbol: ticker}"
            )
        _ = self.timing

    def _refuse_missing(self, instrument: Instrument, timeframe: str) -> None:
        self.files.check_folder(self.key)
        named = self._named(instrument, timeframe)
        if named is None:
            timeframes = self.declared.timeframes
            if timeframes and timeframe not in timeframes:
                problem = unknown("timeframe", timeframe, timeframes)
            else:
                problem = unknown("symbol", instrument.symbol, self.declared.symbols)
            raise ConfigurationError(f"source '{self.key}': {problem}")
        raise self.files.missing(named)


@register_source("csv")
class CsvSource(FileSource):
    """Bars from text files, plain or compressed, in a declared or recognised layout."""

    Params: ClassVar[type[Params]] = CsvParams
    suffixes: ClassVar[tuple[str, ...]] = ("", *COMPRESSIONS)

    @cached_property
    def _layouts(self) -> dict[Path, tuple[Dialect | None, str]]:
        """How each file was read the last time, and why so."""
        return {}

    @cached_property
    def dialect(self) -> Dialect | None:
        """The declared dialect; None where it is recognised for each file."""
        return None if self.csv.dialect is None else get_dialect(self.csv.dialect)

    @property
    def csv(self) -> CsvParams:
        """The parameters, typed."""
        return cast(CsvParams, self.params)

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """Per file, in which dialect it was read last and why, and whether that has no volume."""
        sentences = []
        for path in self.paths(instrument, timeframe):
            known = self._layouts.get(path)
            dialect, reason = known or self._layout(path, head(read_bytes(path)))
            title = dialect.title if dialect else "columns by name"
            sentence = f"{path}: read as {title}, {reason}"
            if dialect and dialect.columns["volume"] is None:
                sentence += "; the format has no volume, so volume is null"
            sentences.append(sentence)
        return tuple(sentences)

    def read(self, path: Path, symbol: str) -> tuple[FileTable, Dialect | None]:
        """The rows of a file, all text, and its dialect."""
        data = read_bytes(path)
        dialect, _ = self._layouts[path] = self._layout(path, head(data))
        separator = self.csv.separator or (dialect.separator if dialect else ",")

        def names(lines: list[str]) -> tuple[list[str], int]:
            try:
                return (
                    dialect.header(lines, symbol) if dialect else header(lines, separator, symbol)
                )
            except DataError as error:
                raise DataError(f"{path}: {error}") from None

        return text_table(path, data, separator, names, self.csv.missing), dialect

    def _check(self) -> None:
        super()._check()
        _ = self.dialect

    def _layout(self, path: Path, lines: list[str]) -> tuple[Dialect | None, str]:
        if self.dialect is not None:
            return self.dialect, "as declared"
        if self.csv.columns:
            return None, "as declared"
        try:
            found = recognise(path.name, lines)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if found is None:
            return None, "because no dialect fits"
        return found[0], f"because {found[1]}"


@register_source("parquet")
class ParquetSource(FileSource):
    """Bars from Parquet files, with our names of columns or a declared mapping."""

    Params: ClassVar[type[Params]] = ParquetParams

    def read(self, path: Path, symbol: str) -> tuple[FileTable, Dialect | None]:
        """The rows of a file; a Parquet file has no dialect."""
        del symbol
        return parquet_table(path), None


def _of_symbol(table: FileTable, column: str, symbol: str) -> FileTable:
    cells = table.frame[column].cast(str)
    rows = np.flatnonzero((cells == symbol).fill_null(value=False).to_numpy())
    if not len(rows):
        raise DataError(
            f"{table.path}: {unknown('symbol', symbol, [str(each) for each in cells.unique()])}"
        )
    return table.take(rows)
