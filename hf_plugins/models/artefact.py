"""The artefact of a fitted model: its native file and a manifest, in one deterministic archive.

The manifest says what the model needs (columns), what it predicts (label, horizon), what it was
trained on (interval), how it was made (plugin, parameters, seed, library versions) and what its
bytes are (SHA-256). A native file is handed to its library only after its digest matched.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from hf_plugins.base import BaseModel
from hf_plugins.errors import DataError, HfError
from hf_plugins.registry import models
from hf_plugins.versioning import canonical_json, sha256_hex

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_FIELDS: Final = frozenset(
    {
        "format",
        "native",
        "sha256",
        "columns",
        "horizon",
        "label",
        "train_start",
        "train_end",
        "plugin_key",
        "params",
        "seed",
        "libraries",
        "extra",
    }
)


@dataclass(frozen=True)
class FittedModel:
    """A model that was unpacked, with what its manifest says.

    ``train_start`` is the first training row, ``train_end`` the last bar that any training label
    covers; both UTC. ``libraries`` are the versions that it was trained with.
    """

    model: BaseModel
    columns: tuple[str, ...]
    horizon: int
    label: str
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    plugin_key: str
    params: Mapping[str, Any]
    seed: int
    libraries: Mapping[str, str]
    extra: Mapping[str, Any]
    sha256: str

    def predict(self, X: pd.DataFrame) -> pd.Series:
        """Predict float64 of shape (n_rows,), indexed like ``X``; null where a feature is null.

        Columns are matched by name: their order does not matter, others are ignored.

        Raises:
            DataError: columns are missing (all are named) or occur twice.
        """
        present = set(X.columns)
        missing = [name for name in self.columns if name not in present]
        if missing:
            raise DataError(
                f"the model of '{self.plugin_key}' needs {len(self.columns)} columns, missing: "
                f"{', '.join(missing)}"
            )
        aligned = X.loc[:, list(self.columns)]
        if aligned.shape[1] != len(self.columns):
            twice = sorted(set(aligned.columns[aligned.columns.duplicated()]))
            raise DataError(f"the features have columns of the same name: {', '.join(twice)}")
        aligned = aligned.astype("float64")
        complete = np.isfinite(aligned.to_numpy()).all(axis=1)
        result = pd.Series(np.nan, index=X.index, dtype="float64", name="prediction")
        if complete.any():
            result[complete] = self.model.predict(aligned[complete]).to_numpy(np.float64)
        return result


def pack(
    model: BaseModel,
    *,
    columns: Sequence[str],
    horizon: int,
    label: str,
    train_start: pd.Timestamp,
    train_end: pd.Timestamp,
    plugin_key: str | None = None,
    params: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """Archive of a fitted model; equal models give equal bytes.

    Args:
        model: fitted.
        columns: features in the order of training.
        horizon: bars that a label covers.
        label: name of the label.
        train_start: first training row, UTC.
        train_end: last bar that any training label covers, UTC.
        plugin_key: that of the model, unless given.
        params: those of the model, unless given.
        extra: further plain JSON values, such as a version hash.
    """
    native = f"model{model.suffix}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / native
        model.save(path)
        body = path.read_bytes()
    manifest = {
        "format": FORMAT,
        "native": native,
        "sha256": sha256_hex(body),
        "columns": list(columns),
        "horizon": horizon,
        "label": label,
        "train_start": _iso(train_start),
        "train_end": _iso(train_end),
        "plugin_key": plugin_key or model.key,
        "params": dict(model.parameters() if params is None else params),
        "seed": model.seed,
        "libraries": {name: _version(name) for name in sorted(model.libraries)},
        "extra": dict(extra or {}),
    }
    manifest["digest"] = sha256_hex(canonical_json(manifest))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in ((MANIFEST, json.dumps(manifest, indent=1).encode()), (native, body)):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the same archive on every operating system
            archive.writestr(entry, content)
    return buffer.getvalue()


def unpack(data: bytes, *, sha256: str | None = None) -> FittedModel:
    """Verify an artefact and load its model.

    Args:
        data: what :func:`pack` gave.
        sha256: digest of ``data`` as recorded elsewhere. Only this protects against somebody who
            rewrites the file together with its manifest.

    Raises:
        DataError: the artefact is corrupt, was altered, or its library cannot read it.
        UnknownPluginError: no model plugin has the recorded key.
    """
    if sha256 is not None and sha256_hex(data) != sha256:
        raise DataError("the model artefact is not the one recorded: its SHA-256 differs")
    manifest, body = _verified(data)
    key = manifest["plugin_key"]
    model = models.get(key)(seed=manifest["seed"], **manifest["params"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{model.suffix}"
        path.write_bytes(body)
        try:
            model.load(path)
        except HfError:
            raise
        except Exception as error:
            then = ", ".join(f"{name} {used}" for name, used in manifest["libraries"].items())
            now = ", ".join(f"{name} {_version(name)}" for name in sorted(model.libraries))
            raise DataError(
                f"the model artefact of '{key}' is intact, but cannot be loaded ({error}); "
                f"trained with {then}; installed: {now}"
            ) from error
    return FittedModel(
        model=model,
        columns=tuple(manifest["columns"]),
        horizon=manifest["horizon"],
        label=manifest["label"],
        train_start=cast(pd.Timestamp, pd.Timestamp(manifest["train_start"])),
        train_end=cast(pd.Timestamp, pd.Timestamp(manifest["train_end"])),
        plugin_key=key,
        params=manifest["params"],
        seed=manifest["seed"],
        libraries=manifest["libraries"],
        extra=manifest["extra"],
        sha256=manifest["sha256"],
    )


def _verified(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Manifest and native file, both proven unaltered."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            body = archive.read(manifest["native"])
        digest = manifest.pop("digest")
    # zipfile reports damage in half a dozen ways, by where the damage is.
    except Exception as error:
        raise DataError(f"the model artefact is corrupt: {error}") from error
    if digest != sha256_hex(canonical_json(manifest)):
        raise DataError("the model artefact was altered: its manifest does not match its digest")
    if manifest.get("format") != FORMAT:
        raise DataError(
            f"the model artefact has format {manifest.get('format')!r}; readable: {FORMAT}"
        )
    missing = sorted(_FIELDS - manifest.keys())
    if missing:
        raise DataError(f"the manifest of the model artefact lacks {', '.join(missing)}")
    if manifest["sha256"] != sha256_hex(body):
        raise DataError(
            "the model artefact was altered: the SHA-256 of its native file is not the one in "
            "its manifest"
        )
    return manifest, body


def _iso(moment: pd.Timestamp) -> str:
    if moment.tz is None:
        raise DataError(f"the training interval needs UTC times, {moment} has no time zone")
    return moment.tz_convert("UTC").isoformat()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
