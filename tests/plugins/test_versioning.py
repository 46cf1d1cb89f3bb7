"""Identity: equal content gives equal hashes, different content different ones."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hf_plugins import versioning
from hf_plugins.errors import DataError
from hf_plugins.registry import features
from hf_plugins.versioning import (
    Identity,
    Implementation,
    InputVersion,
    code_version,
    column_digest,
    frame_digests,
    implementation_of,
    source_fingerprint,
)

# ----------------------------------------------------------------------------------------- data

FLOATS = st.lists(st.floats(allow_infinity=True, allow_nan=True), min_size=1, max_size=20)
TIMES = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20, unique=True).map(sorted)


def digest(values, dtype=None) -> str:
    return column_digest("x", pd.Series(values, dtype=dtype))


def canonical(values: list[float]) -> list[str]:
    return ["null" if np.isnan(value) else repr(value + 0.0) for value in values]


@given(FLOATS)
def test_the_same_values_have_the_same_digest_however_they_are_held(values):
    expected = digest(values, "float64")
    assert digest(list(values), "float64") == expected
    strided = pd.Series(np.array([values, values]).T[:, 0])
    assert column_digest("x", strided) == expected
    assert column_digest("x", pd.Index(values, dtype="float64")) == expected
    shifted = pd.Series([0.0, *values, 0.0], dtype="float64").iloc[1:-1]
    assert column_digest("x", shifted) == expected
    big_endian = pd.Series(np.array(values, dtype="float64"))
    assert digest(big_endian.to_numpy().astype("<f8")) == expected


@given(FLOATS)
def test_null_and_nan_are_one_thing(values):
    nullable = pd.array([None if np.isnan(value) else value for value in values], dtype="Float64")
    assert column_digest("x", pd.Series(nullable)) == digest(values, "float64")


def test_the_bits_of_a_nan_do_not_matter():
    other = np.array([0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0000], dtype="u8").view("f8")
    assert digest(other) == digest([np.nan, np.nan], "float64")


def test_negative_zero_is_zero():
    assert digest([-0.0, 1.0]) == digest([0.0, 1.0])


@given(FLOATS, FLOATS)
def test_different_values_have_different_digests(one, two):
    assume(canonical(one) != canonical(two))
    assert digest(one, "float64") != digest(two, "float64")


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20), st.randoms())
def test_order_matters(values, random):
    other = list(values)
    random.shuffle(other)
    assume(canonical(other) != canonical(values))
    assert digest(other, "float64") != digest(values, "float64")


def test_a_null_is_not_a_zero_and_has_a_place():
    assert digest([0.0, np.nan]) != digest([0.0, 0.0])
    assert digest([0.0, np.nan]) != digest([np.nan, 0.0])


def test_name_type_and_length_matter():
    ones = pd.Series([1.0, 1.0])
    others = [
        column_digest("x", ones),
        column_digest("y", ones),
        column_digest("x", ones.astype("int64")),
        column_digest("x", ones.astype(bool)),
        column_digest("x", ones.astype(str)),
        column_digest("x", ones.iloc[:1]),
    ]
    assert len(set(others)) == len(others)


def test_narrow_types_have_the_digest_of_their_values():
    assert digest([1, 2], "int32") == digest([1, 2], "int64") == digest([1, 2], "uint8")
    assert digest([1, None], "Int64") == digest([1, None], "Int32")
    assert digest([0.5, 2.0], "float32") == digest([0.5, 2.0], "float64")


@settings(deadline=None)
@given(
    TIMES,
    st.sampled_from(["America/New_York", "Asia/Kolkata", "UTC"]),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_zone_and_unit_of_a_timestamp_do_not_matter(seconds, zone, unit):
    stamps = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True), name="timestamp")
    expected = column_digest("timestamp", stamps)
    assert column_digest("timestamp", stamps.tz_convert(zone).as_unit(unit)) == expected
    assert column_digest("timestamp", stamps.as_unit(unit).to_series()) == expected
    later = stamps + pd.Timedelta(seconds=1)
    assert column_digest("timestamp", later) != expected


def test_columns_of_one_frame_are_independent():
    index = pd.date_range("2020-01-01", periods=3, freq="D", tz="UTC")
    frame = pd.DataFrame({"close": [1.0, 2.0, 3.0], "volume": [1.0, 1.0, 1.0]}, index=index)
    before = frame_digests(frame)
    frame.loc[index[1], "volume"] = 2.0
    after = frame_digests(frame.loc[:, ["volume", "close"]])
    assert set(before) == {"timestamp", "close", "volume"}
    assert {name for name in before if before[name] != after[name]} == {"volume"}


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.date_range("2020-01-01", periods=2)),
        pd.Series([1, "a"], dtype=object),
        pd.Series(["a", "b"], dtype="category"),
        pd.Series([1 + 2j]),
        pd.Series([2**64 - 1], dtype="uint64"),
    ],
)
def test_what_has_no_canonical_form_is_refused(values):
    with pytest.raises(DataError, match="column 'x'"):
        column_digest("x", values)


def test_text_is_hashed_with_its_nulls():
    assert digest(["a", None, "b"]) == digest(pd.array(["a", None, "b"], dtype="string"))
    assert digest(["a", "", "b"]) != digest(["a", None, "b"])
    assert digest(["ab", "c"]) != digest(["a", "bc"])


# ----------------------------------------------------------------------------------------- code

KERNEL = """
'''Kernel.'''

def scale(x):
    '''Double.'''
    return x * 2  # twice
"""
PLUGIN = """
'''Plugin.'''

from acme_lab.kernels import maths


class Double:
    '''A class.'''

    factor: int = 1
    '''An attribute.'''

    def compute(self, x):
        '''Compute.'''
        return maths.scale(x) * self.factor  # the formula
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package on the path; yields a function that hashes it as it is now."""
    folder = tmp_path / "acme_lab" / "kernels"
    folder.mkdir(parents=True)
    (tmp_path / "acme_lab" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "maths.py").write_text(KERNEL)
    (folder / "unused.py").write_text("x = 1\n")
    (tmp_path / "acme_lab" / "plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)

    def look(libraries=()) -> Implementation:
        versioning._parse_module.cache_clear()
        versioning._library_version.cache_clear()
        importlib.invalidate_caches()
        return implementation_of("acme_lab.plugin", libraries)

    yield tmp_path / "acme_lab", look
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_lab"]:
        del sys.modules[name]
    versioning._parse_module.cache_clear()
    versioning._library_version.cache_clear()


def edit(path: Path, old: str, new: str) -> None:
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def test_an_implementation_covers_what_is_imported(lab):
    _, look = lab
    assert set(look().modules) == {
        "acme_lab.plugin",
        "acme_lab.kernels",
        "acme_lab.kernels.maths",
    }


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("plugin.py", "# the formula", "# another comment"),
        ("plugin.py", "'''Compute.'''", "'''Compute, explained.'''"),
        ("plugin.py", "'''Compute.'''", ""),
        ("plugin.py", "'''A class.'''", "'''Something\n\n    longer.'''"),
        ("plugin.py", "'''An attribute.'''", ""),
        ("plugin.py", "'''Plugin.'''", "# nothing"),
        (
            "plugin.py",
            "maths.scale(x) * self.factor",
            "(\n            maths.scale( x )*self.factor)",
        ),
        ("kernels/maths.py", "'''Double.'''", "'''Twice.'''"),
        ("kernels/maths.py", "x * 2  # twice", "(x*2)"),
        ("kernels/unused.py", "x = 1", "x = 2"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(lab, file, old, new):
    folder, look = lab
    before = look().digest
    edit(folder / file, old, new)
    assert look().digest == before


@pytest.mark.parametrize(
    ("file", "old", "new", "module"),
    [
        ("plugin.py", "* self.factor", "+ self.factor", "acme_lab.plugin"),
        ("plugin.py", "factor: int = 1", "factor: int = 2", "acme_lab.plugin"),
        ("kernels/maths.py", "x * 2", "x * 3", "acme_lab.kernels.maths"),
        ("kernels/maths.py", "x * 2", "x * 2.0", "acme_lab.kernels.maths"),
    ],
)
def test_a_formula_changes_the_hash_of_its_module(lab, file, old, new, module):
    folder, look = lab
    before = look()
    edit(folder / file, old, new)
    after = look()
    assert after.digest != before.digest
    changed = {name for name in after.modules if after.modules[name] != before.modules.get(name)}
    assert changed == {module}


@pytest.mark.parametrize(
    "statement",
    [
        "from acme_lab.kernels import maths",
        "import acme_lab.kernels.maths as maths",
        "from acme_lab.kernels.maths import scale",
        "from .kernels import maths",
        "from .kernels.maths import scale",
        "def late():\n    from acme_lab.kernels import maths",
    ],
)
def test_imports_are_followed_however_they_are_written(lab, statement):
    folder, look = lab
    edit(folder / "plugin.py", "from acme_lab.kernels import maths", statement)
    assert "acme_lab.kernels.maths" in look().modules


@pytest.mark.parametrize(
    "statement",
    [
        "from hf_plugins.kernels import wilder",
        "from hf_plugins.kernels.wilder import rsi",
        "import hf_plugins.kernels.wilder",
    ],
)
def test_kernels_of_the_platform_count_for_third_parties(lab, statement):
    folder, look = lab
    edit(folder / "plugin.py", "from acme_lab.kernels import maths", statement)
    assert "hf_plugins.kernels.wilder" in look().modules


def test_a_library_version_changes_the_hash(lab, monkeypatch):
    _, look = lab
    before = look(["numpy"])
    assert before.libraries == {"numpy": np.__version__}
    assert look(["numpy", "pandas"]).digest != before.digest
    monkeypatch.setattr(versioning, "version", lambda name: "99.0")
    after = look(["numpy"])
    assert after.libraries == {"numpy": "99.0"}
    assert after.digest != before.digest
    assert after.modules == before.modules


def test_features_depend_on_their_kernels_and_not_on_the_infrastructure():
    modules = set(implementation_of(features.get("technical.rsi")).modules)
    assert {"hf_plugins.features.technical.wilder", "hf_plugins.kernels.wilder"} <= modules
    assert not [name for name in modules if name.startswith("hf_plugins.features.statistical")]
    assert not modules & versioning.INFRASTRUCTURE


def test_code_version_depends_on_each_part():
    code = Implementation({"m": "1"}, {"numpy": "2"})
    versions = [
        code_version("a", {"n": 1}, code, 1),
        code_version("b", {"n": 1}, code, 1),
        code_version("a", {"n": 2}, code, 1),
        code_version("a", {"n": 1}, Implementation({"m": "2"}, {"numpy": "2"}), 1),
        code_version("a", {"n": 1}, Implementation({"m": "1"}, {"numpy": "3"}), 1),
        code_version("a", {"n": 1}, code, 2),
    ]
    assert len(set(versions)) == len(versions)
    assert all(len(version) == 16 for version in versions)
    assert code_version("a", {"x": 1, "y": 2}, code, 1) == code_version(
        "a", {"y": 2, "x": 1}, code, 1
    )


# ------------------------------------------------------------------------------------- identity


def identity(**changes) -> Identity:
    fields = {
        "plugin_key": "technical.rsi",
        "params": {"length": 14},
        "symbol": "AAPL",
        "timeframe": "1d",
        "start_date": "2000-01-03T00:00:00+00:00",
        "end_date": "2013-01-02T00:00:00+00:00",
        "source_fingerprint": "f" * 64,
        "code_version": "c" * 16,
        "implementation": Implementation({}, {}),
    }
    return Identity(**{**fields, **changes})


def test_the_version_hash_is_the_documented_one():
    import hashlib
    import json

    payload = {
        "plugin_key": "technical.rsi",
        "params": {"length": 14},
        "symbol": "AAPL",
        "timeframe": "1d",
        "start_date": "2000-01-03T00:00:00+00:00",
        "end_date": "2013-01-02T00:00:00+00:00",
        "source_fingerprint": "f" * 64,
        "code_version": "c" * 16,
    }
    text = json.dumps(payload, sort_keys=True, default=str, separators=(",", ":"))
    assert identity().version_hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"plugin_key": "technical.atr"},
        {"params": {"length": 21}},
        {"symbol": "MSFT"},
        {"timeframe": "1h"},
        {"start_date": "2000-01-04T00:00:00+00:00"},
        {"end_date": "2013-01-03T00:00:00+00:00"},
        {"source_fingerprint": "e" * 64},
        {"code_version": "d" * 16},
    ],
)
def test_each_field_changes_the_version_hash(change):
    assert identity(**change).version_hash != identity().version_hash


def test_a_source_rebuilt_to_the_same_values_is_the_same_source():
    one = {"bars": InputVersion("v1", {"close": "a", "timestamp": "t"})}
    two = {"bars": InputVersion("v2", {"timestamp": "t", "close": "a"})}
    other = {"bars": InputVersion("v1", {"close": "b", "timestamp": "t"})}
    assert source_fingerprint(one) == source_fingerprint(two)
    assert source_fingerprint(one) != source_fingerprint(other)
