"""Files as tables: decompression, text and Parquet, and where each row stands.

What comes out has the columns of the file, unread: their names and meaning belong in
:mod:`hf_resources.sources.file_columns`. Every row keeps its place, because a message about a cell
that does not name its line sends a person through a million of them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from hf_plugins.errors import DataError

COMPRESSIONS: Final = (".gz", ".zip", ".zst")
"""Suffixes of compressed text files that are read."""

Header = Callable[[list[str]], tuple[list[str], int]]
"""From the first lines of a file to its column names and the count of lines before the data."""

_HEAD: Final = 5
# Byte order marks of what spreadsheet and terminal programs on Windows write.
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class FileTable:
    """The rows of one file as they stand there.

    Attributes:
        path: of the file, for messages.
        frame: columns as the file names them; all text if the file is text, null where empty.
        unit: how a place is called: ``line`` (from 1) of a text file, ``row`` (from 0) of Parquet.
        places: int64, shape (n_rows,), the place of each row.
    """

    path: Path
    frame: pl.DataFrame
    unit: str
    places: np.ndarray

    def where(self, row: int) -> str:
        """File and place of a row, as the start of a message."""
        return f"{self.path}: {self.unit} {self.places[row]}"

    def take(self, rows: np.ndarray) -> FileTable:
        """Some of the rows, or all in another order."""
        return FileTable(self.path, self.frame[rows], self.unit, self.places[rows])


def read_bytes(path: Path) -> bytes:
    """The content of a file as UTF-8 with line feeds; decompressed by its suffix.

    Raises:
        DataError: the file cannot be decompressed, holds several tables, or is not text.
    """
    try:
        data = _decompressed(path)
    except (OSError, EOFError, zipfile.BadZipFile, pa.ArrowException) as error:
        kind = f" as {path.suffix}" if path.suffix in COMPRESSIONS else ""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: the file is not readable{kind} ({reason})") from None
    try:
        if data.startswith(_UTF16):
            data = data.decode("utf-16").encode()
        else:
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line}: the text is not UTF-8") from None
    return data.removeprefix(_UTF8_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def head(data: bytes) -> list[str]:
    """The first lines of a text, for the recognition of its layout."""
    return [line.decode() for line in data.split(b"\n", _HEAD)[:_HEAD] if line]


def text_table(
    path: Path, data: bytes, separator: str, header: Header, missing: tuple[str, ...] = ()
) -> FileTable:
    """The rows of a text file.

    Args:
        path: of the file, for messages.
        data: what :func:`read_bytes` returned.
        separator: one character.
        header: reads the names of the columns off the first lines.
        missing: texts that stand for no value, besides the empty one.

    Raises:
        DataError: the file is empty, or a line has another number of fields than the header.
    """
    if not data.strip():
        raise DataError(f"{path}: the file is empty; at least one row is required")
    names, skipped = header(head(data))
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: column '{name}' is there {names.count(name)} times")
    if b'"' in data:
        rows, places = _quoted(path, data, separator, len(names), skipped)
        frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    else:
        data, places = _plain(path, data, separator, len(names), skipped)
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        if data:
            frame = pl.read_csv(
                io.BytesIO(data),
                separator=separator,
                has_header=False,
                new_columns=names,
                infer_schema=False,
                quote_char=None,
            )
    cells = pl.all().str.strip_chars()
    filled = (cells != "") & ~cells.is_in(missing) if missing else cells != ""
    frame = frame.select(pl.when(filled).then(cells))
    return FileTable(path, frame, "line", places)


def parquet_table(path: Path) -> FileTable:
    """The rows of a Parquet file.

    Raises:
        DataError: the file cannot be read as Parquet.
    """
    try:
        # Through an open file, so that no part of the path is read as a partition column.
        with path.open("rb") as file:
            frame = pl.from_arrow(pq.ParquetFile(file).read())
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path}: the file is not readable as Parquet ({str(error).splitlines()[0]})"
        ) from None
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a Series
    return FileTable(path, frame, "row", np.arange(frame.height))


def _decompressed(path: Path) -> bytes:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.namelist() if not each.endswith("/")]
            # Vendors put a report of gaps or a licence beside the one table.
            tables = [each for each in inside if each.lower().endswith(".csv")] or inside
            if len(tables) != 1:
                raise DataError(
                    f"{path}: the archive holds {len(tables)} tables ({', '.join(tables)}); "
                    "allowed: one file, or one .csv"
                )
            return archive.read(tables[0])
    if path.suffix in (".gz", ".zst"):
        codec = "gzip" if path.suffix == ".gz" else "zstd"
        with pa.input_stream(str(path), compression=codec) as stream:
            return stream.read()
    return path.read_bytes()


def _plain(
    path: Path, data: bytes, separator: str, width: int, skipped: int
) -> tuple[bytes, np.ndarray]:
    """The data lines without blank ones, and their line numbers; their widths are checked."""
    data = data.rstrip(b"\n") + b"\n"
    content = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(content == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    marks = np.flatnonzero(content == ord(separator))
    fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    filled = ends > starts
    lines = np.arange(1, len(ends) + 1)
    wrong = filled & (fields != width) & (lines > skipped)
    if wrong.any():
        _refuse_width(path, int(lines[wrong][0]), int(fields[wrong][0]), width)
    keep = filled & (lines > skipped)
    if keep[skipped:].all():
        return data[starts[skipped] if len(starts) > skipped else len(data) :], lines[keep]
    text = data.split(b"\n")
    return b"\n".join(text[line - 1] for line in lines[keep]), lines[keep]


def _quoted(
    path: Path, data: bytes, separator: str, width: int, skipped: int
) -> tuple[list[list[str]], np.ndarray]:
    rows: list[list[str]] = []
    places: list[int] = []
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator)
    for row in reader:
        if not row or reader.line_num <= skipped:
            continue
        if len(row) != width:
            _refuse_width(path, reader.line_num, len(row), width)
        rows.append(row)
        places.append(reader.line_num)
    return rows, np.array(places, dtype=np.int64)


def _refuse_width(path: Path, line: int, fields: int, width: int) -> None:
    raise DataError(
        f"{path}: line {line} has {fields} field{'s' if fields != 1 else ''}; every line must have "
        f"{width}, as the first one"
    )
