"""The contract of models."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tempfile
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.base import BaseModel
from hf_plugins.testing import _plugin
from hf_plugins.testing._compare import (
    call,
    check_unchanged,
    describe_index,
    difference,
    place,
)
from hf_plugins.testing._plugin import Case
from hf_plugins.testing._report import Check, Violation, run_checks
from hf_plugins.testing._samples import sample_bars

_ROWS, _TRAINED = 240, 180
_SEED = 7
# Predictions of a part against those of the whole: libraries may sum in another order.
_ROUNDING = 1e-9


class ModelCase(Case[BaseModel]):
    """A model, trained once for all checks that only look at it."""

    def __init__(self, plugin: type[BaseModel], params: dict[str, Any]) -> None:
        super().__init__(plugin, params)
        rng = np.random.default_rng(11)
        index = sample_bars("flat", _ROWS).index
        values = rng.normal(size=(_ROWS, 4))
        self.X = pd.DataFrame(values, columns=["momentum", "range", "trend", "noise"], index=index)
        noise = rng.normal(0.0, 0.002, _ROWS)
        self.y = pd.Series(
            0.01 * values[:, 0] - 0.005 * values[:, 1] + noise, index=index, name="label"
        )

    def fit(self, model: BaseModel) -> BaseModel:
        """Train on the first rows."""
        call("train", model.train, self.X.iloc[:_TRAINED].copy(), self.y.iloc[:_TRAINED].copy())
        return model

    def predict(self, model: BaseModel, X: pd.DataFrame) -> pd.DataFrame:
        """Predict, as a frame of one column."""
        result = call("predict", model.predict, X.copy())
        if not isinstance(result, pd.Series):
            raise Violation(f"predict yields a {type(result).__name__}, not a Series")
        return result.to_frame("prediction")

    @property
    def unseen(self) -> pd.DataFrame:
        """Rows after the training rows."""
        return self.X.iloc[_TRAINED:]

    @cached_property
    def trained(self) -> BaseModel:
        """A trained instance."""
        return self.fit(self.new(seed=_SEED))

    @cached_property
    def predicted(self) -> pd.DataFrame:
        """Its predictions of unseen rows."""
        return self.predict(self.trained, self.unseen)


def model_checks(case: ModelCase) -> list[Check]:
    """All checks of a model."""
    return run_checks(
        case,
        [
            declarations,
            parameters,
            untrained,
            index_alignment,
            determinism,
            input_untouched,
            causality,
            saved_and_loaded,
            safe_file,
        ],
    )


def declarations(case: ModelCase) -> None:
    """Suffix and libraries are well formed."""
    suffix = case.plugin.suffix
    if not (suffix.startswith(".") and len(suffix) > 1):
        raise Violation(f"suffix is {suffix!r}; it must be a file suffix such as '.json'")
    _plugin.check_libraries(case.plugin)


def parameters(case: ModelCase) -> None:
    """Parameters survive the way through JSON with an equal code version, unknown ones fail."""
    _plugin.round_trip(case)
    _plugin.check_unknown_parameter(case)


def untrained(case: ModelCase) -> None:
    """To predict before training is a RuntimeError."""
    try:
        case.new(seed=_SEED).predict(case.unseen)
    except RuntimeError:
        return
    except Exception as error:
        raise Violation(
            f"predict before train raises {type(error).__name__}, not RuntimeError: {error}"
        ) from None
    raise Violation("predict before train yields numbers")


def index_alignment(case: ModelCase) -> None:
    """Predictions are float64 and finite, with the index of the rows, down to a single one."""
    for X in (case.unseen, case.unseen.iloc[::3], case.unseen.iloc[:1]):
        predicted = case.predict(case.trained, X)
        if not predicted.index.equals(X.index):
            raise Violation(
                f"the index of the predictions is not that of the rows: "
                f"{describe_index(predicted.index)} against {describe_index(X.index)}"
            )
        column = predicted["prediction"]
        if column.dtype != np.float64:
            raise Violation(f"predictions have type {column.dtype}, not float64")
        wrong = np.flatnonzero(~np.isfinite(column.to_numpy()))
        if wrong.size:
            raise Violation(f"the prediction of {place(X.index, int(wrong[0]))} is not finite")


def determinism(case: ModelCase) -> None:
    """The same seed and rows give the same bits, also when an instance is trained again."""
    other = case.fit(case.new(seed=_SEED))
    if found := difference(case.predicted, case.predict(other, case.unseen)):
        raise Violation(f"training twice with the same seed gives two models: {found}")
    if found := difference(case.predicted, case.predict(case.fit(other), case.unseen)):
        raise Violation(f"an instance that is trained again remembers the first time: {found}")


def input_untouched(case: ModelCase) -> None:
    """Features and labels are not changed in place."""
    X, y = case.X.iloc[:_TRAINED].copy(), case.y.iloc[:_TRAINED].copy()
    model = case.new(seed=_SEED)
    call("train", model.train, X, y)
    check_unchanged("X of train", case.X.iloc[:_TRAINED], X)
    check_unchanged("y of train", case.y.iloc[:_TRAINED].to_frame(), y.to_frame())
    X = case.unseen.copy()
    call("predict", model.predict, X)
    check_unchanged("X of predict", case.unseen, X)


def causality(case: ModelCase) -> None:
    """The prediction of a row does not depend on the rows after it."""
    n = len(case.unseen)
    for cut in (1, n // 3, n - 1):
        for how, X in (
            ("are cut off", case.unseen.iloc[:cut]),
            (
                "take absurd values",
                pd.concat([case.unseen.iloc[:cut], case.unseen.iloc[cut:] * 1e6]),
            ),
        ):
            seen = case.predict(case.trained, X).iloc[:cut]
            if found := difference(case.predicted.iloc[:cut], seen, tolerance=_ROUNDING):
                raise Violation(
                    f"looks into the future: {found} (before and after the rows behind row "
                    f"{cut - 1} {how})"
                )


def saved_and_loaded(case: ModelCase) -> None:
    """A loaded model predicts the same bits, also after it is saved once more."""
    with tempfile.TemporaryDirectory() as folder:
        model = case.trained
        for generation in (1, 2):
            path = Path(folder) / f"model{generation}{case.plugin.suffix}"
            call("save", model.save, path)
            if not path.exists():
                raise Violation(f"save wrote nothing to the path that it was given ({path.name})")
            model = case.new(seed=_SEED)
            call("load", model.load, path)
            if found := difference(case.predicted, case.predict(model, case.unseen)):
                raise Violation(f"the loaded model predicts other values: {found}")


def safe_file(case: ModelCase) -> None:
    """The saved file holds no pickle, not even compressed or inside an archive."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{case.plugin.suffix}"
        call("save", case.trained.save, path)
        files = sorted(each for each in path.rglob("*") if each.is_file()) or [path]
        for file in files:
            if where := find_pickle(file.read_bytes(), file.name):
                raise Violation(f"{where} is a pickle, which executes code when it is loaded")


def find_pickle(content: bytes, name: str) -> str | None:
    """Where in ``content`` a pickle is, or None; looks into archives and compressed data."""
    if _is_pickle(content):
        return name
    if content.startswith(b"\x93NUMPY") and b"'|O" in content[:256]:
        return f"{name} (an array of objects)"
    if content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                if found := find_pickle(archive.read(member), f"{name}/{member}"):
                    return found
        return None
    for magic, expand in (
        (b"\x1f\x8b", gzip.decompress),
        (b"x", zlib.decompress),
        (b"BZh", bz2.decompress),
        (b"\xfd7zXZ", lzma.decompress),
    ):
        if content.startswith(magic):
            try:
                return find_pickle(expand(content), f"{name}, expanded,")
            except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
                return None
    return None


class _ObjectRefusedError(Exception):
    """A pickle asked for a class or function."""


class _RefusingUnpickler(pickle.Unpickler):
    """Recognises a pickle: interprets the stream without importing or calling anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise _ObjectRefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _ObjectRefusedError(str(pid))


def _is_pickle(content: bytes) -> bool:
    try:
        _RefusingUnpickler(io.BytesIO(content)).load()
    except _ObjectRefusedError:
        return True
    except Exception:  # whatever bytes that are no pickle provoke
        # A stream that announces its protocol is meant as a pickle, even one that fails here.
        return content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05"
    return True
