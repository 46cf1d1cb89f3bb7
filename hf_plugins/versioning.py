"""Identity: what a dataset is, as a hash of what it was made from.

Three hashes, all SHA-256 over canonical bytes: the *code version* of a plugin with its parameters,
the *digest* of a column of data, and the *version hash* of a dataset. Storage, lookup and the
explanation of a miss live elsewhere; nothing here does I/O beyond reading Python source.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.base import Plugin
from hf_plugins.errors import DataError

# Contracts, registration, wording and hashing: they hold no arithmetic that reaches a dataset, so a
# better error message does not recompute the lake.
INFRASTRUCTURE: Final = frozenset(
    {
        "hf_plugins",
        "hf_plugins.base",
        "hf_plugins.errors",
        "hf_plugins.params",
        "hf_plugins.registry",
        "hf_plugins.testing",
        "hf_plugins.versioning",
    }
)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, ``str`` for what JSON has not."""
    return json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))


def sha256_hex(data: str | bytes) -> str:
    """SHA-256 of text (UTF-8) or bytes, as 64 hex digits."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


# --------------------------------------------------------------------------------------- code


@dataclass(frozen=True)
class Implementation:
    """What a plugin's numbers depend on besides its parameters.

    ``modules``: digest of each module's AST without docstrings and comments. ``libraries``: version
    of each declared distribution.
    """

    modules: Mapping[str, str]
    libraries: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One hash over all modules and library versions."""
        return sha256_hex(canonical_json({"modules": self.modules, "libraries": self.libraries}))


def implementation_of(
    plugin: type[Plugin] | str,
    libraries: Iterable[str] = (),
    *,
    excluding: Collection[str] = (),
) -> Implementation:
    """Implementation of a plugin class, or of a module given by name with its libraries.

    Covers the defining module and, transitively, the modules of the same top-level package and of
    ``hf_plugins`` that it imports, wherever in the file the import stands. A base class that lives
    in another such module is covered because its module is imported. ``excluding`` names modules
    that decide where values come from or are kept, and not what they are.
    """
    if isinstance(plugin, str):
        module = plugin
    else:
        module, libraries = plugin.__module__, plugin.libraries
    modules: dict[str, str] = {}
    queue = [module]
    roots = {module.partition(".")[0], "hf_plugins"}
    while queue:
        name = queue.pop()
        if name in modules or name in INFRASTRUCTURE or name in excluding:
            continue
        digest, imports = _parse_module(name)
        modules[name] = digest
        queue.extend(found for found in imports if found.partition(".")[0] in roots)
    return Implementation(
        dict(sorted(modules.items())), {name: _library_version(name) for name in sorted(libraries)}
    )


def code_version(
    plugin_key: str, parameters: Mapping[str, Any], implementation: Implementation, schema: int
) -> str:
    """First 16 hex digits of SHA-256 over plugin key, parameters, implementation and schema."""
    payload = {
        "plugin_key": plugin_key,
        "params": parameters,
        "implementation": implementation.digest,
        "schema": schema,
    }
    return sha256_hex(canonical_json(payload))[:16]


@cache
def _parse_module(name: str) -> tuple[str, tuple[str, ...]]:
    """Digest and imports of a module's source; read once a process, when its code is loaded."""
    path = _source_path(name)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = tuple(sorted(_imported_modules(tree, package)))
    return sha256_hex(ast.dump(_without_docstrings(tree))), imports


def _source_path(name: str) -> Path:
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if origin is None:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
    if origin is None or not origin.endswith(".py"):
        raise DataError(f"module '{name}' has no Python source, so its code version is unknown")
    return Path(origin)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        # A bare string is a docstring wherever it stands: attributes are documented that way too.
        node.body = [
            statement
            for statement in node.body
            if not (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            )
        ]
    return tree


def _imported_modules(tree: ast.Module, package: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                parent = ".".join([*base, parent] if parent else base)
            found.add(parent)
            found.update(
                child
                for alias in node.names
                if (child := f"{parent}.{alias.name}").partition(".")[0]
                in (package.partition(".")[0], "hf_plugins")
                and _is_module(child)
            )
    return found


def _is_module(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@cache
def _library_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


# --------------------------------------------------------------------------------------- data


def column_digest(name: str, values: pd.Series | pd.Index) -> str:
    """SHA-256 of a column: name, type, row count, null mask and little-endian values in order.

    Nulls and NaN are one thing, -0.0 is 0.0, time zones and units of timestamps do not matter
    (UTC nanoseconds are hashed), nor does the storage that the column came from.
    """
    kind, mask, body = _canonical_column(name, values)
    digest = hashlib.sha256()
    digest.update(canonical_json([name, kind, len(values)]).encode())
    digest.update(np.packbits(mask).tobytes())
    digest.update(body)
    return digest.hexdigest()


def frame_digests(frame: pd.DataFrame) -> dict[str, str]:
    """Digest of each column, the index under ``timestamp``."""
    digests = {"timestamp": column_digest("timestamp", frame.index)}
    digests.update({str(name): column_digest(str(name), column) for name, column in frame.items()})
    return digests


def combine_digests(parts: Iterable[str]) -> str:
    """Digest of a sequence of digests: how chunks make a column, and columns a dataset."""
    return sha256_hex(canonical_json(list(parts)))


def _canonical_column(
    name: str, values: pd.Series | pd.Index
) -> tuple[str, np.ndarray, bytes | memoryview]:
    dtype = values.dtype
    # Numbers without a null are the rule, and need no more than a look.
    if dtype == np.float64:
        array = np.asarray(values, dtype="<f8") + 0.0
        mask = np.isnan(array)
        if mask.any():
            array[mask] = 0.0
        return "float64", mask, array.data
    if dtype == np.bool_:
        return "bool", np.zeros(len(values), dtype=bool), np.asarray(values, dtype="u1").data
    if pd.api.types.is_datetime64_any_dtype(dtype):
        stamps = pd.DatetimeIndex(values)
        if stamps.tz is None:
            raise DataError(f"column '{name}' has timestamps without a time zone; UTC is required")
        naive = stamps.tz_convert("UTC").tz_localize(None).as_unit("ns")
        mask = np.asarray(naive.isna())
        return "timestamp", mask, np.where(mask, 0, naive.asi8).astype("<i8").tobytes()
    if pd.api.types.is_bool_dtype(dtype):
        mask = np.asarray(values.isna())
        return "bool", mask, np.asarray(values.fillna(False), dtype="u1").tobytes()
    if pd.api.types.is_integer_dtype(dtype):
        mask = np.asarray(values.isna())
        filled = values.fillna(0) if mask.any() else values
        if (np.asarray(filled) > np.iinfo(np.int64).max).any():
            raise DataError(f"column '{name}' has integers beyond the range of int64")
        return "int64", mask, np.asarray(filled, dtype="<i8").tobytes()
    if pd.api.types.is_float_dtype(dtype):
        array = np.asarray(values, dtype="<f8")
        mask = np.isnan(array)
        return "float64", mask, np.where(mask, 0.0, array + 0.0).tobytes()
    if pd.api.types.is_string_dtype(dtype) or pd.api.types.is_object_dtype(dtype):
        mask = np.asarray(values.isna())
        if mask.all():
            return "string", mask, f"[{','.join(['null'] * len(mask))}]".encode()
        # Each text once: notes repeat, and most rows have none.
        places, distinct = pd.factorize(values)
        if not all(isinstance(item, str) for item in distinct):
            raise DataError(f"column '{name}' mixes types; only text may have type {dtype}")
        texts = np.array([*map(canonical_json, distinct), canonical_json(None)], dtype=object)
        return "string", mask, f"[{','.join(texts[places])}]".encode()
    raise DataError(f"column '{name}' has type {dtype}, which has no canonical form")


# ------------------------------------------------------------------------------------ identity


@dataclass(frozen=True)
class InputVersion:
    """One upstream dataset as it was read: its version and the digests of the columns read."""

    version_hash: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Identity:
    """Everything that decides the content of a dataset.

    The first eight fields are hashed (see :attr:`version_hash`); the others explain a miss.
    ``start_date`` and ``end_date`` are ISO 8601 UTC times of the first and last input row.
    """

    plugin_key: str
    params: Mapping[str, Any]
    symbol: str
    timeframe: str
    start_date: str
    end_date: str
    source_fingerprint: str
    code_version: str
    implementation: Implementation = field(compare=False)
    schema_version: int = field(default=1, compare=False)
    inputs: Mapping[str, InputVersion] = field(default_factory=dict, compare=False)

    def payload(self) -> dict[str, Any]:
        """The hashed part, as plain values."""
        return {
            "plugin_key": self.plugin_key,
            "params": dict(self.params),
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "source_fingerprint": self.source_fingerprint,
            "code_version": self.code_version,
        }

    @property
    def version_hash(self) -> str:
        """SHA-256 of the canonical JSON of :meth:`payload`."""
        return sha256_hex(canonical_json(self.payload()))

    def explanation(self) -> dict[str, Any]:
        """All parts as plain JSON values, kept with the dataset to explain a later miss."""
        return {
            **self.payload(),
            "modules": dict(self.implementation.modules),
            "libraries": dict(self.implementation.libraries),
            "schema_version": self.schema_version,
            "inputs": {
                name: {"version_hash": used.version_hash, "columns": dict(used.columns)}
                for name, used in self.inputs.items()
            },
        }


def source_fingerprint(inputs: Mapping[str, InputVersion]) -> str:
    """SHA-256 over the digests of the columns read, by input.

    Content only: an upstream rebuilt to the same values leaves it unchanged.
    """
    return sha256_hex(canonical_json({name: dict(used.columns) for name, used in inputs.items()}))
