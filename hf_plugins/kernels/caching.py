"""Numba's disk cache for kernels that call kernels of other modules.

Numba stores a compiled function with the functions that it calls inlined or linked, under a stamp
of the one source file in which it is defined. If a callee in another module changes, the caller on
disk keeps the old one and yields the old numbers. Here the stamp covers the modules that the
function's module imports too, by the digest that its code version is made of: what runs is what the
code version says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from numba.core.caching import CacheImpl

from hf_plugins.versioning import implementation_of

_PROJECT: Final = "hf_plugins."


def install() -> None:
    """Let functions of this project that are compiled from now on have the wider stamp."""
    locators: list[Any] = CacheImpl._locator_classes  # numba offers no public way
    if not any(hasattr(each, "covers_imports") for each in locators):
        CacheImpl._locator_classes = [*map(_covering_imports, locators), *locators]


@cache
def digest(module: str) -> str:
    """Digest of a module and of what it imports from this project."""
    return implementation_of(module).digest


def _covering_imports(locator: Any) -> Any:
    """A locator that puts functions of this project where ``locator`` would, better stamped."""

    def from_function(cls: Any, function: Callable[..., Any], file: str) -> Any:
        if not function.__module__.startswith(_PROJECT):
            return None
        found = super(covering, cls).from_function(function, file)
        if found is not None:
            found.module = function.__module__
        return found

    def get_source_stamp(self: Any) -> tuple[Any, str]:
        return super(covering, self).get_source_stamp(), digest(self.module)

    covering = type(
        f"{locator.__name__}CoveringImports",
        (locator,),
        {
            "covers_imports": True,
            "from_function": classmethod(from_function),
            "get_source_stamp": get_source_stamp,
        },
    )
    return covering
