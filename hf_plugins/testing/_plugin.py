"""Checks that all kinds share: declarations and parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from hf_plugins.base import Memory, Plugin
from hf_plugins.errors import ConfigurationError
from hf_plugins.testing._compare import call
from hf_plugins.testing._report import Violation
from hf_plugins.versioning import code_version, implementation_of

P = TypeVar("P", bound=Plugin)

# A name that no plugin has, close to none, so that its refusal is a refusal of unknown names.
UNKNOWN_PARAMETER = "no_such_parameter_xyz"


class Case(Generic[P]):
    """A plugin class under test, with the parameters that it is tested with."""

    def __init__(self, plugin: type[P], params: dict[str, Any]) -> None:
        self.plugin = plugin
        self.params = params
        self.key = plugin.key or plugin.__name__

    def new(self, **options: Any) -> P:
        """A fresh instance."""
        return self.plugin(**{**self.params, **options})


def check_libraries(plugin: type[Plugin]) -> None:
    """Raise unless every declared library is installed, so that its version is known."""
    versions = implementation_of(plugin).libraries
    missing = sorted(name for name, version in versions.items() if version == "not installed")
    if missing:
        raise Violation(
            f"declares the libraries {', '.join(missing)}, which are not installed under these "
            "names: install them, or correct the names (of distributions, not of modules)"
        )


def check_names(what: str, first: Sequence[str], second: Sequence[str]) -> None:
    """Raise unless declared columns are distinct names and the same for equal parameters."""
    names = tuple(first)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Violation(f"{what} must be names of columns, at least one; they are {names!r}")
    if len(set(names)) != len(names):
        raise Violation(f"{what} names a column twice: {names!r}")
    if names != tuple(second):
        raise Violation(f"{what} differ between equal instances: {names!r} and {tuple(second)!r}")


def check_memory(memory: object) -> None:
    """Raise unless the memory is well formed."""
    if not isinstance(memory, Memory):
        raise Violation(f"memory is {memory!r}; use Memory.finite, .fading or .cumulative")
    lookback = memory.lookback
    if memory.kind == "cumulative":
        if lookback is not None:
            raise Violation(f"a cumulative memory has no look-back, this one has {lookback}")
    elif not isinstance(lookback, int) or lookback < 1:
        raise Violation(f"the look-back of a {memory.kind} memory is {lookback!r}, not 1 or more")


def round_trip(case: Case[P]) -> tuple[P, P]:
    """Check parameters there and back; return the instance and the one rebuilt from it."""
    original = case.new()
    parameters = original.parameters()
    try:
        text = json.dumps(parameters)
    except TypeError as error:
        raise Violation(f"parameters() is not JSON: {error}") from None
    rebuilt = call(f"rebuilding from parameters() = {text}", case.plugin, **json.loads(text))
    if rebuilt.parameters() != parameters:
        raise Violation(f"parameters change on the way: {parameters} became {rebuilt.parameters()}")
    implementation = implementation_of(case.plugin)
    versions = [
        code_version(case.key, each.parameters(), implementation, case.plugin.schema_version)
        for each in (original, rebuilt)
    ]
    if versions[0] != versions[1]:
        raise Violation(f"the code version changes on the way: {versions[0]}, {versions[1]}")
    return original, rebuilt


def check_unknown_parameter(case: Case[P]) -> None:
    """Raise unless an unknown parameter is refused by name."""
    try:
        case.new(**{UNKNOWN_PARAMETER: 1})
    except ConfigurationError as error:
        if UNKNOWN_PARAMETER not in str(error):
            raise Violation(
                f"the error for an unknown parameter does not name it: {error}"
            ) from None
        return
    except Exception as error:
        raise Violation(
            f"an unknown parameter raises {type(error).__name__} instead of a ConfigurationError: "
            f"{error}"
        ) from None
    raise Violation("an unknown parameter is accepted, so a misspelt one would be ignored")
