from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hf_plugins.errors import DataError
from hf_plugins.versioning import frame_digests
from hf_resources import parquet
from tests.resources import samples

MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
KINDS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "float": (st.floats(allow_nan=True, allow_infinity=True, width=64), "float64"),
    "int": (st.integers(-(2**63), 2**63 - 1), "int64"),
    "nullable_int": (st.none() | st.integers(-(2**63), 2**63 - 1), "Int64"),
    "flag": (st.booleans(), "bool"),
    "nullable_flag": (st.none() | st.booleans(), "boolean"),
    "text": (st.none() | st.text(st.characters(codec="utf-8"), max_size=6), "str"),
    "moment": (st.none() | MOMENTS, "datetime64[ns, UTC]"),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    stamps = draw(st.lists(MOMENTS, max_size=12, unique=True))
    index = pd.DatetimeIndex(sorted(stamps), name="timestamp").as_unit("ns").tz_localize("UTC")
    columns = {}
    for name, (values, dtype) in KINDS.items():
        drawn = draw(st.lists(values, min_size=len(index), max_size=len(index)))
        if name == "moment":
            array = pd.to_datetime(pd.Series(drawn, dtype="datetime64[ns]")).dt.tz_localize("UTC")
            columns[name] = pd.Series(array.array, index=index)
        else:
            columns[name] = pd.Series(drawn, index=index, dtype=dtype)
    return pd.DataFrame(columns, index=index)


def restored(frame: pd.DataFrame, columns: list[str] | None = None) -> pd.DataFrame:
    dtypes = [(str(name), str(column.dtype)) for name, column in frame.items()]
    wanted = [pair for pair in dtypes if columns is None or pair[0] in columns]
    data = parquet.encode(frame, "lz4")
    return parquet.to_frame([parquet.decode(data, columns)], wanted)


@given(frames())
def test_a_frame_comes_back_with_the_same_values_and_types(frame: pd.DataFrame) -> None:
    frame = parquet.canonical_frame(frame)
    back = restored(frame)
    assert_frame_equal(back, frame, check_exact=True, check_freq=False)
    assert isinstance(back.index, pd.DatetimeIndex)
    assert str(back.index.dtype) == "datetime64[ns, UTC]"
    assert back.index.name == "timestamp"
    assert frame_digests(back) == frame_digests(frame)


@given(frames())
def test_the_same_frame_gives_the_same_bytes(frame: pd.DataFrame) -> None:
    first = parquet.canonical_frame(frame)
    again = parquet.canonical_frame(frame.copy())
    assert parquet.encode(first, "zstd") == parquet.encode(again, "zstd")


def test_what_is_equal_by_digest_is_stored_alike() -> None:
    index = samples.frame(3).index
    texts = pd.array(["x", None, "y"], dtype="str")
    one = pd.DataFrame({"n": [1, 2, 3], "z": [0.0, -0.0, 1.5], "t": texts}, index=index)
    other = pd.DataFrame(
        {
            "n": np.array([1, 2, 3], "int32"),
            "z": np.array([-0.0, 0.0, 1.5], "float32"),
            "t": pd.Series(["x", None, "y"], dtype=object, index=index),
        },
        index=index.as_unit("s").tz_convert("UTC"),
    )
    assert frame_digests(one) == frame_digests(other)
    left, right = parquet.canonical_frame(one), parquet.canonical_frame(other)
    assert parquet.encode(left, "lz4") == parquet.encode(right, "lz4")
    assert list(map(str, right.dtypes)) == ["int64", "float64", "str"]


def test_columns_are_read_in_the_order_asked_for() -> None:
    frame = samples.frame(4)
    table = parquet.decode(parquet.encode(frame, "lz4"), ["b", "a"])
    assert table.column_names == ["timestamp", "b", "a"]
    assert restored(frame, []).shape == (4, 0)
    with pytest.raises(DataError, match=r"lacks the columns \['c'\]"):
        parquet.decode(parquet.encode(frame, "lz4"), ["a", "c"])


def test_damaged_bytes_are_an_error_of_the_data() -> None:
    data = parquet.encode(samples.frame(100), "lz4")
    with pytest.raises(DataError, match="not readable as Parquet"):
        parquet.decode(data[: len(data) // 2])


def reindexed(index: Any) -> pd.DataFrame:
    return samples.frame(3).set_axis(index)


DAYS = pd.date_range("2020-01-01", periods=3, tz="UTC", name="timestamp")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (reindexed(DAYS.tz_localize(None)), "must be a DatetimeIndex in UTC"),
        (reindexed(DAYS.tz_convert("America/New_York")), "must be a DatetimeIndex in UTC"),
        (reindexed(pd.RangeIndex(3, name="timestamp")), "must be a DatetimeIndex in UTC"),
        (reindexed(DAYS.rename("date")), "must be named 'timestamp', not 'date'"),
        (reindexed(DAYS[::-1]), "strictly increasing"),
        (reindexed(DAYS[[0, 1, 1]]), "strictly increasing"),
        (samples.frame(3).set_axis(["a", "a"], axis=1), "unique text names"),
        (samples.frame(3).set_axis(["a", 1], axis=1), "unique text names"),
        (samples.frame(3).set_axis(["a", "timestamp"], axis=1), "unique text names"),
        (samples.frame(3).astype({"a": "complex128"}), "column 'a' has type complex128"),
        (samples.frame(3).astype({"b": "category"}), "column 'b' has type category"),
        (samples.frame(3).assign(a=np.array([1, 2, 2**64 - 1], "uint64")), "beyond 64 bits"),
        (samples.frame(3).assign(a=np.array(["x", 1, None], object)), "column 'a' mixes types"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parquet.canonical_frame(frame)
