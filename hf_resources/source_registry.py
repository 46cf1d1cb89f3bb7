"""What every kind of source is: typed parameters, and a key to find it by.

What sources of bars and sources of side tables have in common; what they are asked is in
:mod:`hf_resources.sources.base` and :mod:`hf_resources.side_sources.base`.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.params import parse_params


class AnySource(ABC):  # noqa: B024  (its subclasses are the contracts)
    """A vendor, a folder of files or a sample; parameters are typed like those of a plugin."""

    key: ClassVar[str] = ""
    """Set by the registry at registration."""
    Params: ClassVar[type[Params]] = Params

    def __init__(self, **params: Any) -> None:
        self.params = parse_params(f"source '{self.key}'", self.Params, params)

    def parameters(self) -> dict[str, Any]:
        """The parameters that decide what a fetch yields, after defaults, as JSON-ready values."""
        return self.params.model_dump(mode="json")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"


S = TypeVar("S", bound=AnySource)
C = TypeVar("C", bound="type[AnySource]")


class SourceRegistry(Generic[S]):
    """One kind of source, by key. Modules of its package are discovered on first use."""

    def __init__(self, kind: str, base: type[S], package: str) -> None:
        self.kind = kind
        self.base = base
        self.package = package
        self._sources: dict[str, type[S]] = {}

    def register(self, key: str) -> Callable[[C], C]:
        """Class decorator that puts a source under ``key``.

        Raises:
            TypeError: the class does not derive from the registry's base.
            ValueError: the key is taken.
        """

        def decorate(cls: C) -> C:
            if not issubclass(cls, self.base):
                raise TypeError(
                    f"source '{key}' must be a subclass of {self.base.__name__}, {cls!r} is not"
                )
            if key in self._sources:
                raise ValueError(
                    f"source key '{key}' is registered twice: by "
                    f"{self._sources[key].__module__} and by {cls.__module__}"
                )
            cls.key = key
            self._sources[key] = cls
            return cls

        return decorate

    def keys(self) -> list[str]:
        """The keys of all sources, sorted."""
        self._discover()
        return sorted(self._sources)

    def get(self, key: str) -> type[S]:
        """The class under ``key``.

        Raises:
            ConfigurationError: there is no such source; names the nearest one.
        """
        self._discover()
        try:
            return self._sources[key]
        except KeyError:
            raise ConfigurationError(unknown(self.kind, key, self._sources)) from None

    def _discover(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
