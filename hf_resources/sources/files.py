"""Bars from a folder of Parquet files.

One file ``{symbol}_{timeframe}.parquet`` per partition, with a column ``timestamp`` (the bar's open
time, with time zone UTC), open, high, low, close, volume and perhaps ``adjustment``. A slash in a
symbol is written ``%2F`` in the name of its file.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from hf_plugins.base import OHLCV, Params
from hf_plugins.errors import ConfigurationError, DataError, nearest
from hf_plugins.timeframes import DURATIONS
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, register_source, window
from hf_resources.sources.canonical import COLUMNS

_REQUIRED = ("timestamp", *OHLCV)
_ALLOWED = ("timestamp", *COLUMNS)


class ParquetParams(Params):
    """Parameters of the source ``parquet``."""

    folder: Annotated[
        str, Field(min_length=1, description="Folder with one file per symbol and timeframe.")
    ]


@register_source("parquet")
class ParquetSource(Source):
    """Bars from ``{folder}/{symbol}_{timeframe}.parquet``."""

    Params: ClassVar[type[Params]] = ParquetParams

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return Path(cast(ParquetParams, self.params).folder)

    def path(self, instrument: Instrument, timeframe: str) -> Path:
        """The file of a partition, whether it exists or not."""
        return self.folder / f"{instrument.symbol.replace('/', '%2F')}_{timeframe}.parquet"

    def origin(self, instrument: Instrument, timeframe: str) -> str:
        """The path of the file."""
        return str(self.path(instrument, timeframe))

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Those that have a file."""
        return tuple(each for each in DURATIONS if self.path(instrument, each).is_file())

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that open in ``[start, end)``; the whole file is checked."""
        path = self.path(instrument, timeframe)
        table = _read(path)
        _check_columns(path, table)
        stamps = _timestamps(path, table)
        bars = table.drop_columns("timestamp").to_pandas(ignore_metadata=True)
        return window(bars.set_index(stamps), start, end)


def _read(path: Path) -> pa.Table:
    folder = path.parent
    if not folder.is_dir():
        raise ConfigurationError(
            f"source 'parquet': folder is '{folder}', which does not exist; name an existing folder"
        )
    if not path.is_file():
        present = sorted(each.name for each in folder.glob("*_*.parquet"))
        count = f"{len(present)} file{'s' if len(present) != 1 else ''}"
        raise DataError(
            f"{path}: the file does not exist; the folder has {count} named "
            f"{{symbol}}_{{timeframe}}.parquet.{nearest(path.name, present)}"
        )
    try:
        # Through an open file, so that no part of the path is read as a partition column.
        with path.open("rb") as file:
            return pq.ParquetFile(file).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: the file is not readable as Parquet ({str(error).splitlines()[0]})"
        ) from None


def _check_columns(path: Path, table: pa.Table) -> None:
    names = table.column_names
    for name in names:
        if name not in _ALLOWED:
            raise DataError(
                f"{path}: unknown column '{name}'; allowed: {', '.join(_ALLOWED)}."
                f"{nearest(name, _ALLOWED)}"
            )
    for name in _REQUIRED:
        if name not in names:
            raise DataError(
                f"{path}: column '{name}' is missing; the file has: {', '.join(names) or 'none'}"
            )
    if table.num_rows == 0:
        raise DataError(f"{path}: the file has no bars; at least one is required")


def _timestamps(path: Path, table: pa.Table) -> pd.DatetimeIndex:
    kind = table.schema.field("timestamp").type
    if not pa.types.is_timestamp(kind):
        raise DataError(
            f"{path}: column 'timestamp' is of type {kind}, such as "
            f"{table.column('timestamp')[0].as_py()!r} in row 0; it must be a timestamp in UTC"
        )
    stamps = pd.DatetimeIndex(table.column("timestamp").to_pandas(), name="timestamp")
    if stamps.tz is None:
        raise DataError(
            f"{path}: row 0: timestamp is {stamps[0]}, which has no time zone; it must be in UTC"
        )
    if stamps.hasnans:
        row = int(np.flatnonzero(stamps.isna())[0])
        raise DataError(f"{path}: row {row}: timestamp is null; every bar needs one")
    gaps = np.diff(stamps.as_unit("ns").asi8)
    if (gaps < 0).any():
        row = int(np.flatnonzero(gaps < 0)[0]) + 1
        raise DataError(
            f"{path}: row {row}: timestamp is {stamps[row]}, before {stamps[row - 1]} in the row "
            "above; bars must be sorted by time"
        )
    if (gaps == 0).any():
        row = int(np.flatnonzero(gaps == 0)[0]) + 1
        raise DataError(
            f"{path}: row {row}: timestamp is {stamps[row]}, as in the row above; every bar is "
            "allowed once"
        )
    return stamps
