"""Side tables from files: the source ``table.files``, for CSV and Parquet.

Which files there are, which rows of them a table takes, and what a user may declare. How files are
read belongs in :mod:`hf_resources.sources.file_tables`, when a row was known in
:mod:`hf_resources.side_sources.known`, and files with one series a row are turned into tables in
:mod:`hf_resources.side_sources.releases`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

import numpy as np
import pandas as pd
import polars as pl
from pydantic import Field, field_validator

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError, nearest
from hf_resources.side_sources.base import (
    STAMP,
    Kind,
    Scope,
    SideSource,
    frame_of,
    register_side_source,
)
from hf_resources.side_sources.known import Knowing, known_from
from hf_resources.side_sources.releases import Releases, as_known
from hf_resources.sources.clock import Clock
from hf_resources.sources.file_columns import Stamps, numbers, stamps
from hf_resources.sources.file_pattern import FilePattern
from hf_resources.sources.file_tables import (
    COMPRESSIONS,
    FileTable,
    parquet_table,
    read_bytes,
    text_table,
)

# One ticker, or several in whatever brackets, quotes and separators a vendor puts them.
_TICKER: Final = re.compile(r"[^\s,;|\[\](){}'\"]+")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_NEVER: Final = pd.DatetimeIndex([], dtype=STAMP)


class Pivot(Params):
    """Columns of a file that has one value of one series in a row."""

    series: Annotated[str, Field(min_length=1, description="Column with the name of the series.")]
    value: Annotated[str, Field(min_length=1, description="Column with the value.")]
    period: Annotated[
        str | None,
        Field(
            description="Column with the date that a value is about. The value of the latest "
            "period counts, so that a revision of an earlier one does not take its place; null "
            "where a file has no revisions of earlier periods."
        ),
    ] = None


class TableFileParams(Params):
    """Parameters of the source ``table.files``."""

    folder: Annotated[str, Field(min_length=1, description="Folder of the files.")]
    pattern: Annotated[
        str,
        Field(
            min_length=1,
            description="Path of a file below the folder, with {symbol} and wildcards * and ?. "
            "Files whose names end in .parquet are read as Parquet, others as text.",
        ),
    ]
    known_at: Annotated[
        str | tuple[str, ...],
        Field(
            min_length=1,
            description="Column with the time from which a row is known: of publication, of "
            "acceptance, of release. Several are joined by a space.",
        ),
    ]
    text: Annotated[
        dict[str, str],
        Field(description="Columns of text: from our names to the file's, or a list of names."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    numbers: Annotated[
        dict[str, str],
        Field(
            description="Columns of numbers: from our names to the file's, or a list of names. "
            "With a pivot, from our names to those of the series."
        ),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    symbol: Annotated[
        str | None,
        Field(description="Column with the symbols that a row is about: one, or a list of them."),
    ] = None
    symbols: Annotated[
        dict[str, str],
        Field(description="From our symbols to the file's; the others are called as ours."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    time: Annotated[
        str | None,
        Field(
            description="Format of known_at (%d.%m.%Y %H:%M) or epoch_s, epoch_ms, epoch_us; null "
            "for ISO 8601."
        ),
    ] = None
    clock: Annotated[
        str | None,
        Field(
            description="Clock that known_at shows: UTC, UTC+2, America/New_York; null where each "
            "stamp names its own offset. An hour that the clock shows twice is the later one."
        ),
    ] = None
    date_only: Annotated[
        Literal["refused", "end_of_day", "start_of_day"],
        Field(
            description="From when on a row with a date and no time of day is known, by the clock. "
            "start_of_day is for dates of the day after."
        ),
    ] = "refused"
    pivot: Annotated[
        Pivot | None, Field(description="For files with one value of one series in a row.")
    ] = None
    carry_forward: Annotated[
        bool,
        Field(
            description="Whether a number that a row does not have is the one of the row before."
        ),
    ] = False
    separator: Annotated[str, Field(min_length=1, max_length=1, description="Between fields.")] = (
        ","
    )
    decimal: Annotated[Literal[".", ","], Field(description="Decimal mark.")] = "."
    missing: Annotated[
        tuple[str, ...], Field(description="Texts that stand for no value, besides the empty one.")
    ] = ()

    @field_validator("text", "numbers", mode="before")
    @classmethod
    def _named_alike(cls, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return {name: name for name in value}
        return value


@register_side_source("table.files")
class TableFiles(SideSource):
    """Rows of CSV and Parquet files: news, filings, releases."""

    Params: ClassVar[type[Params]] = TableFileParams

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._last: tuple[Any, list[tuple[FileTable, Stamps | None]]] = (None, [])
        try:
            self._check()
        except ConfigurationError as error:
            raise ConfigurationError(f"source '{self.key}': {error}") from None

    @property
    def declared(self) -> TableFileParams:
        """The parameters, typed."""
        return cast(TableFileParams, self.params)

    @property
    def columns(self) -> Mapping[str, Kind]:
        """Text first, then numbers, each in the order declared."""
        kinds: dict[str, Kind] = dict.fromkeys(self.declared.text, "text")
        for name in self.declared.numbers:
            kinds[name] = "number"
        return kinds

    @cached_property
    def files(self) -> FilePattern:
        """Which files there are."""
        declared = self.declared
        return FilePattern(
            Path(declared.folder), declared.pattern, ("symbol",), ("", *COMPRESSIONS)
        )

    @cached_property
    def knowing(self) -> Knowing:
        """How the stamps of the files become the instants from which rows are known."""
        clock = self.declared.clock
        return Knowing(None if clock is None else Clock.parse(clock), self.declared.date_only)

    def check_scope(self, scope: Scope) -> None:
        """A table of each symbol needs to know which rows are whose."""
        told = "{symbol}" in self.declared.pattern or self.declared.symbol is not None
        if scope == "symbol" and not told:
            raise ConfigurationError(
                f"source '{self.key}': parameter 'pattern' is '{self.declared.pattern}', without "
                "{symbol}; then name the column with the symbols, such as symbol: ticker, or "
                "declare scope: market"
            )
        if scope == "market" and (told or self.declared.symbols):
            raise ConfigurationError(
                f"source '{self.key}': a table of the market takes all rows; leave out symbol, "
                "symbols and {symbol}, or declare scope: symbol"
            )

    def paths(self, symbol: str | None) -> list[Path]:
        """The files of a table, sorted by path; maybe none."""
        return self.files.paths(self._named(symbol))

    def fetch(self, symbol: str | None, now: datetime, since: datetime | None) -> pd.DataFrame:
        """All rows; each file is read whole and checked, whosever rows are asked for."""
        del since
        paths = self.paths(symbol)
        if not paths:
            self.files.check_folder(self.key)
            raise self.files.missing(self._named(symbol))
        parts = [self._known(table, written, now) for table, written in self._tables(paths)]
        taken = [self._taken(table, known, symbol) for table, known in parts]
        if self.declared.pivot is not None:
            releases = [self._releases(table, known) for table, known in taken]
            return as_known(releases, self.declared.numbers)
        frames = [self._frame(table, known) for table, known in taken]
        joined = pd.concat(frames)
        frame = frame_of(
            self.columns,
            pd.DatetimeIndex(joined.index),
            {name: joined[name] for name in self.columns},
        )
        if self.declared.carry_forward and self.declared.numbers:
            names = list(self.declared.numbers)
            frame[names] = frame[names].ffill()
        return frame

    def _tables(self, paths: list[Path]) -> list[tuple[FileTable, Stamps | None]]:
        """Files with their stamps, None where a file has no rows.

        The last ones are kept while they do not change: one file may hold a table of each symbol.
        """
        state = [(path, each.st_size, each.st_mtime_ns) for path in paths for each in [path.stat()]]
        if self._last[0] != state:
            self._last = (state, [self._opened(path) for path in paths])
        return self._last[1]

    def _opened(self, path: Path) -> tuple[FileTable, Stamps | None]:
        declared = self.declared
        if path.suffix == ".parquet":
            table = parquet_table(path)
        else:
            separator = declared.separator

            def names(lines: list[str]) -> tuple[list[str], int]:
                return next(csv.reader(lines[:1], delimiter=separator)), 1

            table = text_table(path, read_bytes(path), separator, names, declared.missing)
        present = table.frame.columns
        for column, meaning in self._wanted():
            if column not in present:
                raise DataError(
                    f"{path}: column '{column}' (for {meaning}) is missing; the file has: "
                    f"{', '.join(present) or 'none'}.{nearest(column, present)}"
                )
        if not table.frame.height:
            return table, None
        known_at = declared.known_at
        columns = (known_at,) if isinstance(known_at, str) else known_at
        return table, stamps(table, columns, declared.time)

    def _wanted(self) -> list[tuple[str, str]]:
        """Columns that a file must have, and what each is for."""
        declared, pivot = self.declared, self.declared.pivot
        known_at = declared.known_at
        found = [
            (each, "known_at") for each in ([known_at] if isinstance(known_at, str) else known_at)
        ]
        found += [(theirs, ours) for ours, theirs in declared.text.items()]
        if pivot is None:
            found += [(theirs, ours) for ours, theirs in declared.numbers.items()]
        else:
            found += [(pivot.series, "series"), (pivot.value, "value")]
            found += [(pivot.period, "period")] if pivot.period else []
        return found + ([(declared.symbol, "symbol")] if declared.symbol else [])

    def _known(
        self, table: FileTable, written: Stamps | None, now: datetime
    ) -> tuple[FileTable, pd.DatetimeIndex]:
        """The rows that are known by now, oldest first, and from when on."""
        if written is None:
            return table, _NEVER
        utc, known = known_from(table, written, self.knowing, now)
        rows = np.flatnonzero(known)
        if len(rows) and utc.asi8[rows[0]] > utc.asi8[rows[-1]]:  # newest first
            rows = rows[::-1]
        return table.take(rows), utc[rows]

    def _taken(
        self, table: FileTable, known: pd.DatetimeIndex, symbol: str | None
    ) -> tuple[FileTable, pd.DatetimeIndex]:
        """The rows that are about a symbol."""
        if symbol is None or self.declared.symbol is None:
            return table, known
        theirs = self.declared.symbols.get(symbol, symbol)
        cells = table.frame[self.declared.symbol]
        if isinstance(cells.dtype, pl.List):
            about = cells.list.contains(theirs)
        else:
            texts = cells.cast(pl.String)
            meant = [
                each for each in texts.unique().drop_nulls() if theirs in _TICKER.findall(each)
            ]
            about = texts.is_in(meant)
        rows = np.flatnonzero(about.fill_null(value=False).to_numpy())
        return table.take(rows), known[rows]

    def _frame(self, table: FileTable, known: pd.DatetimeIndex) -> pd.DataFrame:
        declared = self.declared
        values: dict[str, Any] = {
            name: _texts(table, name, column) for name, column in declared.text.items()
        }
        values |= {
            name: _finite(table, name, column, declared.decimal)
            for name, column in declared.numbers.items()
        }
        return pd.DataFrame(values, index=known, columns=list(self.columns))

    def _releases(self, table: FileTable, known: pd.DatetimeIndex) -> Releases:
        pivot = cast(Pivot, self.declared.pivot)
        periods = None
        if pivot.period is not None:
            dates = (
                stamps(table, (pivot.period,), None).local if len(known) else pd.DatetimeIndex([])
            )
            periods = dates.as_unit("us").asi8
        return Releases(
            table,
            known,
            _texts(table, "series", pivot.series),
            _finite(table, "value", pivot.value, self.declared.decimal),
            periods,
        )

    def _named(self, symbol: str | None) -> dict[str, str]:
        return {} if symbol is None else {"symbol": self.declared.symbols.get(symbol, symbol)}

    def _check(self) -> None:
        declared = self.declared
        self.files.check()
        if not self.columns:
            raise ConfigurationError("a table needs a column: declare text, numbers or both")
        for name in (*declared.text, *declared.numbers):
            if not _NAME.fullmatch(name) or name == "timestamp":
                raise ConfigurationError(
                    f"the column '{name}' must be called by lower-case letters, digits and "
                    "underscores, and not timestamp; name it so: {our_name: "
                    f"{name}}}"
                )
            if name in declared.text and name in declared.numbers:
                raise ConfigurationError(f"column '{name}' is in text and in numbers; name it once")
        if declared.pivot is not None and declared.text:
            raise ConfigurationError(
                "parameter 'text' cannot be taken with a pivot, whose values are numbers"
            )
        if declared.date_only != "refused" and declared.clock is None:
            raise ConfigurationError(
                f"parameter 'date_only' is {declared.date_only}; a day begins and ends by a clock: "
                "declare it, such as clock: America/New_York"
            )
        _ = self.knowing


def _texts(table: FileTable, name: str, column: str) -> np.ndarray:
    """A column as an array of text, None where it is blank."""
    cells = table.frame[column]
    if isinstance(cells.dtype, pl.Categorical | pl.Enum):
        cells = cells.cast(pl.String)
    if cells.dtype != pl.String:
        if cells.null_count() < len(cells):
            raise DataError(
                f"{table.path}: column '{column}' (for {name}) is of type {cells.dtype}; it must "
                "be text"
            )
        return np.full(len(cells), None, dtype=object)
    tidy = cells.str.strip_chars()
    made = tidy.to_frame("text").select(pl.when(pl.col("text") != "").then(pl.col("text")))
    return made["text"].to_numpy().astype(object)


def _finite(table: FileTable, name: str, column: str, decimal: str) -> np.ndarray:
    values = numbers(table, name, column, decimal)
    odd = np.flatnonzero(np.isinf(values))
    if len(odd):
        raise DataError(f"{table.where(odd[0])}: {name} is {values[odd[0]]}; it must be finite")
    return values
