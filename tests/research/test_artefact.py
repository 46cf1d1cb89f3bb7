from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import BaseModel
from hf_plugins.errors import DataError, UnknownPluginError
from hf_plugins.models.artefact import pack, unpack
from hf_plugins.registry import models
from hf_plugins.versioning import canonical_json, sha256_hex
from tests.research.frames import days
from tests.research.test_tree_models import KEYS, data, fitted


def packed(model: BaseModel, **changes: Any) -> bytes:
    index = days(300)
    settings: dict[str, Any] = {
        "columns": list("abcd"),
        "horizon": 5,
        "label": "forward_return",
        "train_start": index[0],
        "train_end": index[-1],
    }
    return pack(model, **{**settings, **changes})


def rewritten(data: bytes, change: Callable[[dict[str, Any], bytes], bytes]) -> bytes:
    """The archive with its manifest changed in place by ``change``, which returns the new body."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        name = manifest["native"]
        body = change(manifest, archive.read(name))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr(name, body)
    return buffer.getvalue()


@pytest.mark.parametrize("key", KEYS)
def test_round_trip(key: str) -> None:
    model = fitted(key, seed=3)
    result = unpack(packed(model, extra={"version_hash": "abc"}))
    assert result.columns == tuple("abcd")
    assert (result.horizon, result.label) == (5, "forward_return")
    assert result.train_start == pd.Timestamp("2020-01-01", tz="UTC")
    assert result.train_end == days(300)[-1]
    assert result.plugin_key == key
    assert result.params == model.parameters()
    assert result.seed == 3
    assert set(result.libraries) == set(model.libraries)
    assert result.libraries["pandas"] == pd.__version__
    assert result.extra == {"version_hash": "abc"}
    X = data()[0]
    assert result.predict(X).to_numpy().tobytes() == model.predict(X).to_numpy().tobytes()


@pytest.mark.parametrize("key", KEYS)
def test_equal_models_give_equal_bytes(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(fitted(key))
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert packed(fitted(key)) == first
    assert packed(fitted(key, seed=9, n_estimators=21)) != first


def test_the_manifest_is_readable() -> None:
    with zipfile.ZipFile(io.BytesIO(packed(fitted("ml.lightgbm")))) as archive:
        assert archive.namelist() == ["manifest.json", "model.txt"]
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["train_start"] == "2020-01-01T00:00:00+00:00"
        assert manifest["sha256"] == sha256_hex(archive.read("model.txt"))
        assert manifest["columns"] == ["a", "b", "c", "d"]


def test_times_are_stored_as_utc() -> None:
    local = pd.Timestamp("2020-01-01 19:00", tz="America/New_York")
    result = unpack(packed(fitted("ml.lightgbm"), train_start=local))
    assert result.train_start == local
    assert str(result.train_start.tz) == "UTC"
    with pytest.raises(DataError, match="no time zone"):
        packed(fitted("ml.lightgbm"), train_start=pd.Timestamp("2020-01-01"))


@pytest.mark.parametrize("key", KEYS)
def test_columns_are_matched_by_name(key: str) -> None:
    model, (X, _) = unpack(packed(fitted(key))), data()
    expected = model.predict(X)
    assert model.predict(X.loc[:, ["d", "b", "a", "c"]]).equals(expected)
    assert model.predict(X.assign(other="text").loc[:, ["other", "c", "d", "b", "a"]]).equals(
        expected
    )
    with pytest.raises(DataError, match="needs 4 columns, missing: b, d"):
        model.predict(X.loc[:, ["a", "c"]])
    with pytest.raises(DataError, match="same name: b"):
        model.predict(pd.concat([X, X[["b"]]], axis=1))


def test_a_model_that_goes_by_position_gets_the_order_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, (X, _) = unpack(packed(fitted("ml.lightgbm"))), data()
    seen: list[list[str]] = []

    def positional(self: BaseModel, X: pd.DataFrame) -> pd.Series:
        seen.append(list(X.columns))
        return X.iloc[:, 0]

    monkeypatch.setattr(models.get("ml.lightgbm"), "predict", positional)
    result = model.predict(X.assign(other=1.0).loc[:, ["d", "other", "c", "b", "a"]])
    assert seen == [list("abcd")]
    assert result.tolist() == X["a"].tolist()


@pytest.mark.parametrize("key", KEYS)
def test_rows_with_a_null_feature_have_no_prediction(key: str) -> None:
    model, (X, _) = unpack(packed(fitted(key))), data()
    holes = X.copy()
    holes.iloc[0, 1] = math.nan
    holes.iloc[7, 3] = math.inf
    result = model.predict(holes)
    assert np.flatnonzero(result.isna()).tolist() == [0, 7]
    assert result.drop(X.index[[0, 7]]).equals(model.predict(X).drop(X.index[[0, 7]]))
    assert model.predict(holes.iloc[:1]).isna().all()
    assert model.predict(X.iloc[:0]).empty


def test_a_changed_native_file_never_reaches_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: BaseModel, path: Path) -> None:
        raise AssertionError("loaded before the digest was checked")

    original = packed(fitted("ml.lightgbm"))
    monkeypatch.setattr(models.get("ml.lightgbm"), "load", never)
    forged = rewritten(original, lambda _, body: body.replace(b"leaf_value=", b"leaf_value=9", 1))
    assert forged != original
    with pytest.raises(DataError, match="altered: the SHA-256 of its native file"):
        unpack(forged)


def test_a_changed_manifest_is_noticed() -> None:
    original = packed(fitted("ml.lightgbm"))

    def swap(manifest: dict[str, Any], body: bytes) -> bytes:
        manifest["columns"] = manifest["columns"][::-1]
        return body

    with pytest.raises(DataError, match="manifest does not match"):
        unpack(rewritten(original, swap))

    def forge(manifest: dict[str, Any], body: bytes) -> bytes:
        swap(manifest, body)
        del manifest["digest"]
        manifest["digest"] = sha256_hex(canonical_json(manifest))
        return body

    forged = rewritten(original, forge)
    assert unpack(forged).columns == tuple("dcba")  # consistent in itself, hence the outer digest
    with pytest.raises(DataError, match="not the one recorded"):
        unpack(forged, sha256=sha256_hex(original))
    assert unpack(original, sha256=sha256_hex(original)).columns == tuple("abcd")


def test_every_cut_and_every_flipped_byte_is_noticed() -> None:
    original = packed(fitted("ml.random_forest", n_estimators=1, max_depth=2))
    for cut in (0, 1, 100, len(original) // 2, len(original) - 1):
        with pytest.raises(DataError, match="corrupt"):
            unpack(original[:cut])
    expected = unpack(original)
    X = data()[0].iloc[:20]
    for place in range(0, len(original), 97):
        broken = bytearray(original)
        broken[place] ^= 0x10
        try:
            result = unpack(bytes(broken))
        except DataError:
            continue
        # Bytes that carry nothing, such as the date of an entry.
        assert result.columns == expected.columns
        assert result.predict(X).equals(expected.predict(X))


@pytest.mark.parametrize("content", [b"", b"not a zip archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_artefact_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="corrupt"):
        unpack(content)


def test_manifests_that_cannot_be_served() -> None:
    original = packed(fitted("ml.lightgbm"))

    def with_changes(**changes: Any) -> bytes:
        def change(manifest: dict[str, Any], body: bytes) -> bytes:
            del manifest["digest"]
            for name, value in changes.items():
                if value is None:
                    del manifest[name]
                else:
                    manifest[name] = value
            manifest["digest"] = sha256_hex(canonical_json(manifest))
            return body

        return rewritten(original, change)

    with pytest.raises(DataError, match="format 2; readable: 1"):
        unpack(with_changes(format=2))
    with pytest.raises(DataError, match="lacks horizon"):
        unpack(with_changes(horizon=None))
    with pytest.raises(UnknownPluginError, match=r"ml.lightgmb.*Did you mean 'ml.lightgbm'"):
        unpack(with_changes(plugin_key="ml.lightgmb"))


def test_an_intact_file_that_its_library_refuses() -> None:
    def nonsense(manifest: dict[str, Any], body: bytes) -> bytes:
        del manifest["digest"]
        manifest["sha256"] = sha256_hex(b"nonsense")
        manifest["digest"] = sha256_hex(canonical_json(manifest))
        return b"nonsense"

    with pytest.raises(DataError, match=r"intact, but cannot be loaded .*installed: lightgbm"):
        unpack(rewritten(packed(fitted("ml.lightgbm")), nonsense))
