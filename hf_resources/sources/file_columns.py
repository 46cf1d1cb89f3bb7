"""From the columns of a file to ours: which is which, what the cells say, when a bar opens.

Everything here names the file, the place and the field of the first cell that it cannot read. It
reads what stands there and judges no value: whether bars make sense is checked on the canonical
form, equally for all sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import polars as pl

from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, nearest
from hf_plugins.timeframes import duration
from hf_resources.instruments import Instrument
from hf_resources.sources.base import RAW_COLUMNS
from hf_resources.sources.clock import Clock, LocalTimeError
from hf_resources.sources.dialects import Columns
from hf_resources.sources.file_tables import FileTable

VALUES: Final = tuple(name for name in RAW_COLUMNS if name != "is_final")
"""Columns that a file can give, in the order of the result."""

# Read, but turned into rows or another column.
ADJUSTED_CLOSE: Final = "adjusted_close"
SYMBOL: Final = "symbol"
NAMES: Final = ("timestamp", *VALUES, ADJUSTED_CLOSE, SYMBOL)
"""Names that a mapping of columns may have."""

EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Units of numeric stamps and their microseconds."""

_ROUND_THE_CLOCK: Final = ("24/7", "24/5")
_ISO: Final = (
    ("%Y-%m-%d", True),
    ("%Y-%m-%dT%H:%M", False),
    ("%Y-%m-%dT%H:%M:%S", False),
    ("%Y-%m-%dT%H:%M:%S%.f", False),
)
# A time of day and behind it an offset from UTC; without the time it could be a part of a date.
_OFFSET: Final = r"^(.*:\d{2}(?:\.\d+)?)\s*(?:GMT|UTC)?\s*(Z|[+-]\d{2}(?::?\d{2})?)$"
# Microseconds since 1970.
_OLDEST: Final = -2.2e15
_NEWEST: Final = 7.3e15
_WEEKS: Final = 5e12
_TICK: Final = np.timedelta64(1, "us")


@dataclass(frozen=True)
class Stamps:
    """The times of a file as they stand there.

    Attributes:
        local: naive wall times.
        offset: int64 minutes ahead of UTC that the file itself names, shape (n_rows,); None where
            it names none.
        dates: whether they are dates without a time of day.
    """

    local: pd.DatetimeIndex
    offset: np.ndarray | None
    dates: bool


@dataclass(frozen=True)
class Timing:
    """How stamps become open times.

    Attributes:
        clock: what the stamps show; None where each stamp names its own offset from UTC.
        trust_offsets: whether an offset in the file must agree with the clock; if not, it is read
            over.
        label: ``open`` or ``close``, which end of its bar a stamp labels.
        session: clock whose date names a daily bar; None takes the date as written.
    """

    clock: Clock | None
    trust_offsets: bool
    label: str
    session: Clock | None


def resolve(
    table: FileTable, columns: Columns, optional: frozenset[str], *, strict: bool
) -> dict[str, tuple[str, ...]]:
    """Which columns of the file to read as which of ours.

    Args:
        table: the file.
        columns: from our names to the file's.
        optional: which of our names may be absent.
        strict: whether every column of the file must be one of :data:`NAMES`; for files whose
            layout nobody declared, so that a misspelt column is not passed over.

    Raises:
        DataError: a column is missing or unknown.
    """
    present = table.frame.columns
    if strict:
        for name in present:
            if name not in NAMES and name not in _named(columns):
                raise DataError(
                    f"{table.path}: unknown column '{name}'; allowed: {', '.join(NAMES)}."
                    f"{nearest(name, NAMES)}"
                )
    chosen: dict[str, tuple[str, ...]] = {}
    for ours in NAMES:
        theirs = columns.get(ours, ours)
        if theirs is None:
            continue
        parts = (theirs,) if isinstance(theirs, str) else theirs
        absent = [part for part in parts if part not in present]
        if not absent:
            chosen[ours] = parts
        elif (ours in columns or ours in ("timestamp", *OHLCV)) and ours not in optional:
            meaning = "" if absent[0] == ours else f" (for {ours})"
            hint = nearest(absent[0], present) if meaning else ""
            raise DataError(
                f"{table.path}: column '{absent[0]}'{meaning} is missing; the file has: "
                f"{', '.join(present) or 'none'}{'.' if hint else ''}{hint}"
            )
    return chosen


def numbers(table: FileTable, name: str, column: str, decimal: str) -> np.ndarray:
    """A column as float64, NaN where the cell is empty.

    Raises:
        DataError: a cell is no number; or the column of a Parquet file is of no numeric type.
    """
    cells = table.frame[column]
    if cells.dtype == pl.String and table.unit == "line":
        text = cells.str.replace(decimal, ".", literal=True) if decimal != "." else cells
        # The other mark would be one that groups thousands, or a sign of the wrong setting.
        if decimal != ".":
            text = pl.select(pl.when(~cells.str.contains(".", literal=True)).then(text)).to_series()
        values = text.cast(pl.Float64, strict=False)
        wrong = np.flatnonzero((values.is_null() & cells.is_not_null()).to_numpy())
        if len(wrong):
            raise DataError(
                f"{table.where(wrong[0])}: {_field(name, column)} is '{cells[int(wrong[0])]}', "
                f"which is not a number with the decimal mark '{decimal}' ({_rows(len(wrong))})"
            )
    elif cells.dtype.is_numeric():
        values = cells.cast(pl.Float64)
    else:
        raise DataError(
            f"{table.path}: column '{column}' is of type {cells.dtype}; it must be numbers"
        )
    return values.to_numpy(allow_copy=True).astype("float64") if len(values) else np.empty(0)


def stamps(table: FileTable, columns: tuple[str, ...], time: str | None) -> Stamps:
    """The times of the rows.

    Args:
        table: the file.
        columns: one, or several to join by a space.
        time: ``epoch_s``, ``epoch_ms``, ``epoch_us``, or a format of dates (``%d.%m.%Y %H:%M``);
            None for ISO 8601 in text and for the time types of Parquet.

    Raises:
        DataError: a stamp is missing or not of that format.
    """
    cells = [table.frame[column] for column in columns]
    shown = " ".join(columns)
    for part in cells:
        if part.null_count():
            row = int(part.is_null().arg_max() or 0)
            value = "empty" if table.unit == "line" else "null"
            raise DataError(f"{table.where(row)}: timestamp is {value}; every row needs one")
    kind = cells[0].dtype
    if len(cells) == 1 and isinstance(kind, pl.Datetime):
        return _typed(cells[0], kind)
    if len(cells) == 1 and kind == pl.Date:
        return Stamps(_index(cells[0].cast(pl.Datetime("us"))), None, dates=True)
    if time in EPOCHS:
        return _epoch(table, cells[0], EPOCHS[time])
    if table.unit == "row" and (time is None or kind != pl.String):
        raise DataError(
            f"{table.path}: column '{shown}' is of type {_type(kind)}, such as {cells[0][0]!r} in "
            f"row 0; it must be a timestamp, or its format declared as time: "
            f"{', '.join(EPOCHS)} or one such as '%Y-%m-%d %H:%M'"
        )
    text = cells[0]
    for part in cells[1:]:
        text = text + " " + part
    return _written(table, text, time)


def open_times(
    table: FileTable, written: Stamps, timing: Timing, instrument: Instrument, timeframe: str
) -> pd.DatetimeIndex:
    """UTC open times of the rows.

    A daily bar is labelled by its date at 00:00 UTC: the date as written, or that of
    ``timing.session``. So that a bar never counts as known before it ended, instruments that trade
    round the clock need a clock that is not behind UTC for it: their day ends with the clock's.

    Raises:
        DataError: a stamp has no UTC time, contradicts the declared clock, or is no date of a daily
            bar.
    """
    local = written.local
    daily = timeframe == "1d"
    offset = written.offset
    round_the_clock = instrument.calendar in _ROUND_THE_CLOCK
    if daily and written.dates and not round_the_clock:
        # The date of a session is its label, whatever the clock; no zone moves it.
        return local.tz_localize("UTC")
    if offset is not None and (timing.clock is None or timing.trust_offsets):
        utc = (local - pd.to_timedelta(offset, unit="min")).tz_localize("UTC")
        if timing.clock is not None:
            _agree(table, local, offset, timing.clock.local(utc), timing.clock)
    elif timing.clock is not None:
        try:
            utc = timing.clock.utc(local)
        except LocalTimeError as error:
            where = table.where(error.row)
            raise DataError(f"{where}: timestamp {local[error.row]} {error.problem}") from None
    else:
        raise DataError(
            f"{table.where(0)}: timestamp is {local[0]}, which has no time zone; declare the clock "
            "that the file's stamps show, such as clock: UTC"
        )
    if not daily:
        return utc - duration(timeframe) if timing.label == "close" else utc
    if timing.session is not None and not written.dates:
        local = timing.session.local(utc)
    return _dates(table, local, utc, written, timing, round_the_clock=round_the_clock)


def _dates(
    table: FileTable,
    local: pd.DatetimeIndex,
    utc: pd.DatetimeIndex,
    written: Stamps,
    timing: Timing,
    *,
    round_the_clock: bool,
) -> pd.DatetimeIndex:
    times = local.to_numpy()
    if timing.session is None:
        odd = np.flatnonzero(times != times.astype("datetime64[D]"))
        if len(odd):
            raise DataError(
                f"{table.where(odd[0])}: timestamp is {local[odd[0]]}, which is not midnight; a "
                "daily bar is labelled by its date; declare the time zone of its date as "
                "session_zone"
            )
    ahead = (times - utc.tz_localize(None).to_numpy()) / np.timedelta64(1, "h")
    if round_the_clock and (ahead < 0).any():
        row = int(np.flatnonzero(ahead < 0)[0])
        raise DataError(
            f"{table.where(row)}: the day of {local[row]} ends {-ahead[row]:g} hours after that of "
            "UTC, so this daily bar of an instrument that trades round the clock would count as "
            "known before it ended; fetch a finer timeframe and resample it, or, where the day "
            "ends at 17:00 New York, declare clock: new_york+7"
        )
    if timing.label == "close" and not written.dates:
        times = times - _TICK
    return pd.DatetimeIndex(times.astype("datetime64[D]").astype("datetime64[us]")).tz_localize(
        "UTC"
    )


def _agree(
    table: FileTable,
    local: pd.DatetimeIndex,
    offset: np.ndarray,
    expected: pd.DatetimeIndex,
    clock: Clock,
) -> None:
    wrong = np.flatnonzero(local.to_numpy() != expected.to_numpy())
    if len(wrong):
        row = int(wrong[0])
        sign = "-" if offset[row] < 0 else "+"
        hours, minutes = divmod(abs(int(offset[row])), 60)
        raise DataError(
            f"{table.where(row)}: timestamp is {local[row]}{sign}{hours:02}:{minutes:02}, which "
            f"the clock {clock.name} shows as {expected[row]} ({_rows(len(wrong))}); leave out "
            "clock where the file's offsets are right, or declare offsets: ignored where they are "
            "wrong"
        )


def _typed(cells: pl.Series, kind: pl.Datetime) -> Stamps:
    if kind.time_zone is None:
        return Stamps(_index(cells.cast(pl.Datetime("us"))), None, dates=False)
    wall = _index(cells.dt.replace_time_zone(None).cast(pl.Datetime("us")))
    utc = _index(cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    offset = (wall.to_numpy() - utc.to_numpy()).astype("timedelta64[m]").astype("int64")
    return Stamps(wall, offset, dates=False)


def _epoch(table: FileTable, cells: pl.Series, unit: int) -> Stamps:
    values = cells.cast(pl.Int64, strict=False)
    wrong = np.flatnonzero(values.is_null().to_numpy())
    if len(wrong):
        raise DataError(
            f"{table.where(wrong[0])}: timestamp is '{cells[int(wrong[0])]}', which is not a whole "
            f"number ({_rows(len(wrong))})"
        )
    # Outside the years 1900 to 2200, or all within weeks of 1970, it is another unit.
    micros = values.cast(pl.Float64).to_numpy() * unit
    odd = np.flatnonzero((micros < _OLDEST) | (micros > _NEWEST) | (abs(micros).max() < _WEEKS))
    if len(odd):
        raise DataError(
            f"{table.where(odd[0])}: timestamp is {values[int(odd[0])]}, far from today in the "
            f"declared unit; allowed units: {', '.join(EPOCHS)}"
        )
    return Stamps(_index((values * unit).cast(pl.Datetime("us"))), None, dates=False)


def _written(table: FileTable, text: pl.Series, time: str | None) -> Stamps:
    frame = text.to_frame("text").select(
        pl.col("text").str.extract(_OFFSET, 1).alias("wall"),
        pl.col("text").str.extract(_OFFSET, 2).alias("offset"),
    )
    wall, offset = frame["wall"], frame["offset"]
    if 0 < wall.null_count() < len(wall):
        first = wall[0] is None
        row = int((wall.is_not_null() if first else wall.is_null()).arg_max() or 0)
        raise DataError(
            f"{table.where(row)}: timestamp is '{text[row]}', {'with' if first else 'without'} an "
            f"offset from UTC, unlike '{text[0]}' in the first row; all must have one or none"
        )
    if wall.null_count():
        wall, minutes = text, None
    else:
        minutes = _minutes(offset)
    if time is None:
        parsed, dates = _iso(wall)
        form = "ISO 8601; declare its format as time, such as '%d/%m/%Y %H:%M'"
        if wall.str.contains(r"^\d{9,}$").all():
            form = f"ISO 8601; declare its unit as time: {', '.join(EPOCHS)}"
    else:
        # In polars the decimal point belongs to the directive.
        parsed = _parsed(wall, time.replace(".%f", "%.f"))
        dates = not any(mark in time for mark in ("%H", "%I", "%T", "%X", "%R"))
        form = f"of the format '{time}'"
    if parsed.null_count():
        row = int(parsed.is_null().arg_max() or 0)
        raise DataError(
            f"{table.where(row)}: timestamp is '{text[row]}', which is not {form} "
            f"({_rows(parsed.null_count())})"
        )
    return Stamps(_index(parsed), minutes, dates)


def _iso(wall: pl.Series) -> tuple[pl.Series, bool]:
    """ISO 8601 with or without time of day; whether all are dates."""
    text = wall.str.replace(" ", "T", literal=True)
    # The format of the first row is most likely that of all; then no other has to be tried.
    forms = sorted(_ISO, key=lambda form: _parsed(text.head(1), form[0]).null_count())
    parsed = _parsed(text, forms[0][0])
    if not parsed.null_count():
        return parsed, forms[0][1]
    for form, _ in forms[1:]:
        parsed = parsed.zip_with(parsed.is_not_null(), _parsed(text, form))
    return parsed, False


def _parsed(text: pl.Series, form: str) -> pl.Series:
    return text.str.to_datetime(form, time_unit="us", strict=False)


def _minutes(offset: pl.Series) -> np.ndarray:
    # Few distinct ones: two in a file that knows summer time.
    def minutes(text: str) -> int:
        digits = text[1:].replace(":", "").ljust(4, "0")
        size = int(digits[:2]) * 60 + int(digits[2:])
        return -size if text[0] == "-" else size

    distinct = {text: 0 if text == "Z" else minutes(text) for text in offset.unique()}
    return offset.replace_strict(distinct, return_dtype=pl.Int64).to_numpy()


def _index(values: pl.Series) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(values.cast(pl.Datetime("us")).to_numpy(), name="timestamp")


def _named(columns: Columns) -> set[str]:
    parts = (each for each in columns.values() if each is not None)
    return {name for each in parts for name in ((each,) if isinstance(each, str) else each)}


def _field(name: str, column: str) -> str:
    return name if name == column else f"{name} ('{column}')"


def _type(kind: pl.DataType) -> str:
    return "text" if kind == pl.String else str(kind)


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
