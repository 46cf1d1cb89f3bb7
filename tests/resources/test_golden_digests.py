"""Digests and bytes of columns are what they always were: stored data is found by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.versioning import column_digest, frame_digests, sha256_hex
from hf_resources.parquet import canonical_frame, encode

ROWS = 1_000


def columns() -> dict[str, Any]:
    """One column of each kind that a dataset may have, with what is hard about it."""
    draw = np.random.default_rng(0)
    floats = draw.normal(size=ROWS)
    holes = np.where(draw.random(ROWS) < 0.3, np.nan, floats)
    whole = draw.integers(-(2**40), 2**40, ROWS)
    said = draw.integers(0, 4, ROWS)
    words = np.array([None, "repeats an earlier row", 'Zürich "quoted" \\ \n', ""], dtype=object)
    stamps = pd.DatetimeIndex(whole * 1_000, tz="UTC")
    gone = draw.random(ROWS) < 0.2
    return {
        "float": floats,
        "float_holes": holes,
        "float_null": np.full(ROWS, np.nan),
        "float_zeros": np.where(draw.random(ROWS) < 0.5, -0.0, 0.0),
        "float_extreme": np.where(gone, np.inf, 5e-324),
        "float32": floats.astype("float32"),
        "strided": np.stack([floats, holes], axis=1)[:, 1],
        "int": whole,
        "int32": (whole % 1000).astype("int32"),
        "int_holes": pd.arrays.IntegerArray(whole, gone),
        "bool": floats > 0,
        "bool_holes": pd.arrays.BooleanArray(floats > 0, gone),
        "text": pd.array(words[said], dtype="str"),
        "text_full": pd.array(words[1 + said % 3], dtype="str"),
        "text_null": pd.array([None] * ROWS, dtype="str"),
        "text_object": words[said],
        "time": stamps,
        "time_holes": stamps.where(~gone),
        "time_us": stamps.as_unit("us"),
        "time_zone": stamps.tz_convert("America/New_York"),
    }


def frame() -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="UTC", name="timestamp")
    return pd.DataFrame(columns(), index=index)


GOLDEN = {
    "timestamp": "693dba23256ef831",
    "float": "a323123abf28b9c3",
    "float_holes": "e53f9acd0998ba9a",
    "float_null": "9e672ded4f4e83c4",
    "float_zeros": "67e8d8e9687d17c1",
    "float_extreme": "55ef8e15802c2c99",
    "float32": "b927a9ef1a7da6af",
    "strided": "fadf0fdd482f35d7",
    "int": "7519145211a5dcb8",
    "int32": "78ae23f2f1d1b346",
    "int_holes": "113bc880c1264ce4",
    "bool": "644a8c4460b2837e",
    "bool_holes": "bb7389efd319a6e1",
    "text": "a5c64aa13fc8e984",
    "text_full": "c3039b074d493906",
    "text_null": "305b4218de01cb73",
    "text_object": "aeadae2a54b25cf0",
    "time": "1150725324b89626",
    "time_holes": "7e26e1ede07ae62a",
    "time_us": "d5cb308dba0abe65",
    "time_zone": "78fe29af8aba2a60",
}


def test_digests_are_what_they_always_were() -> None:
    assert {name: digest[:16] for name, digest in frame_digests(frame()).items()} == GOLDEN


def test_a_part_of_a_frame_has_the_digests_of_a_copy_of_it() -> None:
    part = canonical_frame(frame()).iloc[100:900]
    assert frame_digests(part) == frame_digests(part.copy(deep=True))
    assert frame_digests(part) == frame_digests(frame().iloc[100:900])


def test_the_canonical_frame_has_the_digests_of_the_frame_and_its_bytes_are_the_same() -> None:
    canonical = canonical_frame(frame())
    assert frame_digests(canonical) == frame_digests(frame())
    assert {str(kind) for kind in canonical.dtypes} == {
        "float64", "int64", "Int64", "bool", "boolean", "str", "datetime64[ns, UTC]",
    }  # fmt: skip
    assert sha256_hex(encode(canonical, "zstd")) == sha256_hex(
        encode(canonical.copy(deep=True), "zstd")
    )


def test_the_canonical_frame_does_not_change_with_its_source() -> None:
    source = frame()
    canonical = canonical_frame(source)
    before = frame_digests(canonical)
    source.iloc[5, 0] = 1.0
    source["int"] += 1
    source.loc[source.index[3], "text"] = "changed"
    assert frame_digests(canonical) == before


@pytest.mark.parametrize("values", [["a", 1], ["a", True], [b"a"], [1.5, "b"]])
def test_what_is_no_text_is_refused(values: list[Any]) -> None:
    column = pd.Series(values, dtype=object)
    with pytest.raises(ValueError, match="mixes types"):
        column_digest("notes", column)
