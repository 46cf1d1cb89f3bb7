"""Frames as Parquet bytes and back, without loss.

The canonical types of a stored frame, their check, and the codec belong here. How a frame is cut
into chunks and where the bytes go does not.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hf_plugins.errors import DataError

INDEX: Final = "timestamp"
_STAMP: Final = "datetime64[ns, UTC]"
_ARROW: Final[dict[str, pa.DataType]] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "Int64": pa.int64(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
    "str": pa.string(),
    _STAMP: pa.timestamp("ns", "UTC"),
}


def canonical_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Check a frame and bring its columns to the stored types.

    Floats become float64, integers int64 (or Int64, if nullable), truth values bool (or boolean),
    text str, times UTC nanoseconds. Equal digests then mean equal frames, whatever they came from.

    Raises:
        DataError: the index is not strictly increasing UTC named ``timestamp``, or a column has no
            unique text name or no stored type.
    """
    index = _checked_index(frame.index)
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names) or len({*names, INDEX}) != len(names) + 1:
        raise DataError(f"columns must have unique text names other than '{INDEX}', not {names}")
    columns = {str(name): _canonical_column(str(name), item) for name, item in frame.items()}
    # Each column by itself: laid side by side they would be copied once more.
    return pd.DataFrame(columns, index=index, columns=pd.Index(names), copy=False)


def encode(frame: pd.DataFrame, compression: str) -> bytes:
    """Parquet bytes of a canonical frame; the same frame gives the same bytes.

    No pandas metadata is written: it names the writer's library versions.
    """
    arrays = [pa.array(_naive(frame.index), type=pa.timestamp("ns")).cast(_ARROW[_STAMP])]
    fields = [pa.field(INDEX, _ARROW[_STAMP], nullable=False)]
    for name, column in frame.items():
        kind = _ARROW[str(column.dtype)]
        arrays.append(pa.array(column, type=kind, from_pandas=True))
        fields.append(pa.field(str(name), kind))
    # The stubs of pyarrow do not know that this may be a list of columns.
    texts: Any = [field.name for field in fields if field.type == pa.string()]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        sink,
        compression=compression,
        compression_level=1 if compression == "zstd" else None,
        use_dictionary=texts,  # prices hardly repeat
        store_schema=False,
    )
    return sink.getvalue()


def decode(data: bytes | Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Arrow table with ``timestamp`` first, then ``columns`` (all of them by default).

    Args:
        data: Parquet bytes, or the file that holds them; of a file only what the columns take up
            is read.
        columns: in the order wanted.

    Raises:
        DataError: the bytes are not Parquet, or a column is missing.
    """
    wanted = None if columns is None else [INDEX, *columns]
    try:
        # Only the columns that are asked for are decompressed; unknown ones are passed over.
        source = pa.BufferReader(data) if isinstance(data, bytes) else pa.OSFile(str(data))
        with source, pq.ParquetFile(source) as file:
            table = file.read(columns=wanted, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"is not readable as Parquet ({error})") from None
    others = [name for name in table.column_names if name != INDEX]
    names = wanted if wanted is not None else [INDEX, *others]
    if missing := [name for name in names if name not in table.column_names]:
        raise DataError(f"lacks the columns {missing}")
    return table.select(names)


def to_frame(tables: Sequence[pa.Table], dtypes: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Pandas frame of the concatenated tables, with the given types and column order.

    Its values are the caller's own.
    """
    # A column by itself could come as Arrow's own memory, which nobody may write to.
    if tables and len(dtypes) > 1 and all(dtype == "float64" for _, dtype in dtypes):
        return _floats(tables, [name for name, _ in dtypes])
    table = pa.concat_tables(tables) if tables else _empty(dtypes)
    index = pd.DatetimeIndex(_to_pandas(table[INDEX], _STAMP), name=INDEX)
    return pd.DataFrame(
        {name: pd.Series(_to_pandas(table[name], dtype), index=index) for name, dtype in dtypes},
        index=index,
        columns=pd.Index([name for name, _ in dtypes]),
    )


def _floats(tables: Sequence[pa.Table], names: Sequence[str]) -> pd.DataFrame:
    """As :func:`to_frame`, of two columns at least, which Arrow lays into one block of memory."""
    table = pa.concat_tables(tables)
    frame: pd.DataFrame = table.select(names).to_pandas(ignore_metadata=True)
    frame.index = pd.DatetimeIndex(_to_pandas(table[INDEX], _STAMP), name=INDEX)
    return frame


def _checked_index(index: pd.Index) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None or str(index.tz) != "UTC":
        raise DataError(f"the index must be a DatetimeIndex in UTC, not {index.dtype}")
    if index.name != INDEX:
        raise DataError(f"the index must be named '{INDEX}', not '{index.name}'")
    if index.hasnans or not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("the index must be strictly increasing, without NaT")
    return index.tz_convert("UTC").as_unit("ns")


def _canonical_column(name: str, column: pd.Series) -> Any:
    """The values as an array that shares no memory with the column, if that may still change."""
    dtype = column.dtype
    types = pd.api.types
    if types.is_float_dtype(dtype):
        # One zero: digests do not tell -0.0 from 0.0, so neither may the stored values.
        return np.asarray(column, dtype="float64") + 0.0
    if isinstance(dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").astype(_STAMP).array.copy()
    if types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return column.astype("bool" if isinstance(dtype, np.dtype) else "boolean").array.copy()
    if types.is_integer_dtype(dtype):
        if str(dtype).lower() == "uint64" and (column.dropna() > np.iinfo("int64").max).any():
            raise DataError(f"column '{name}' holds integers beyond 64 bits")
        return column.astype("int64" if isinstance(dtype, np.dtype) else "Int64").array.copy()
    if types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype):
        if not all(isinstance(item, str) for item in pd.unique(column.dropna())):
            raise DataError(f"column '{name}' mixes types; only text may have type {dtype}")
        return column.astype("str").array.copy()
    raise DataError(f"column '{name}' has type {dtype}; allowed: {', '.join(_ARROW)}")


def _naive(index: pd.Index) -> np.ndarray:
    return pd.DatetimeIndex(index).tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]")


def _to_pandas(column: pa.ChunkedArray, dtype: str) -> Any:
    if dtype == _STAMP:
        return pd.DatetimeIndex(column.cast(pa.timestamp("ns")).to_numpy()).tz_localize("UTC")
    if dtype == "str":
        return pd.array(column.to_pylist(), dtype="str")
    if dtype in ("Int64", "boolean"):
        return pd.array(column.to_pylist(), dtype=dtype)
    return column.to_numpy().astype(dtype, copy=False)


def _empty(dtypes: Sequence[tuple[str, str]]) -> pa.Table:
    fields = [(INDEX, _ARROW[_STAMP]), *((name, _ARROW[dtype]) for name, dtype in dtypes)]
    return pa.schema(fields).empty_table()
