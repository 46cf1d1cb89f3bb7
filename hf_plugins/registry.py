"""Registries: plugin keys to classes, filled by discovery.

A module dropped into the registry's package is imported by itself; third parties ship plugins
through an entry point group of the same dotted name as the package (``hf_plugins.features`` and so
on) whose value is a module. Discovery happens once, on first use.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from hf_plugins.base import (
    BaseBacktestEngine,
    BaseFeature,
    BaseModel,
    BaseScorer,
    BaseSignalGenerator,
    Plugin,
)
from hf_plugins.errors import ConfigurationError, UnknownPluginError, unknown

P = TypeVar("P", bound=Plugin)
C = TypeVar("C", bound=type)

_KEY = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")


class PluginRegistry(Generic[P]):
    """One kind of plugin, by key."""

    def __init__(self, kind: str, base: type[P], package: str) -> None:
        self.kind = kind
        self.base = base
        self.package = package
        self._plugins: dict[str, type[P]] = {}
        self._discovered = False

    def register(self, key: str) -> Callable[[C], C]:
        """Class decorator that puts a plugin under ``key`` (``vendor.category.name``).

        Raises:
            TypeError: the class does not derive from the registry's base.
            ValueError: the key is malformed or taken.
        """

        def decorate(cls: C) -> C:
            if not (isinstance(cls, type) and issubclass(cls, self.base)):
                raise TypeError(
                    f"{self.kind} plugin '{key}' must be a subclass of {self.base.__name__}, "
                    f"{cls!r} is not"
                )
            if not _KEY.match(key):
                raise ValueError(
                    f"{self.kind} plugin key '{key}' must be lower-case words joined by dots, "
                    "such as 'technical.rsi'"
                )
            taken = self._plugins.get(key)
            if taken is not None:
                raise ValueError(
                    f"{self.kind} plugin key '{key}' is registered twice: by "
                    f"{_place(taken)} and by {_place(cls)}"
                )
            cls.key = key
            self._plugins[key] = cls
            return cls  # pyright: ignore[reportReturnType]  (narrowed by issubclass above)

        return decorate

    def get(self, key: str) -> type[P]:
        """The class under ``key``.

        Raises:
            UnknownPluginError: names the nearest keys.
        """
        self.discover()
        try:
            return self._plugins[key]
        except KeyError:
            raise UnknownPluginError(unknown(f"{self.kind} plugin", key, self._plugins)) from None

    def create(self, key: str, **params: Any) -> P:
        """An instance of the plugin under ``key``; parameters are validated."""
        return self.get(key)(**params)

    def keys(self) -> list[str]:
        """All keys, sorted."""
        self.discover()
        return sorted(self._plugins)

    def discover(self) -> None:
        """Import every module of the package and every entry point, once."""
        if self._discovered:
            return
        self._discovered = True
        try:
            self._import_all()
        except BaseException:
            self._discovered = False  # or the next caller would take a part for the whole
            raise

    def _import_all(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        for entry in entry_points(group=self.package):
            try:
                entry.load()
            except (ImportError, AttributeError) as error:
                raise ConfigurationError(
                    f"the {self.kind} plugins of entry point '{entry.name}' ({entry.value}) "
                    f"cannot be imported: {error}"
                ) from error


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


features: PluginRegistry[BaseFeature] = PluginRegistry(
    "feature", BaseFeature, "hf_plugins.features"
)
scorers: PluginRegistry[BaseScorer] = PluginRegistry("scorer", BaseScorer, "hf_plugins.scorers")
models: PluginRegistry[BaseModel] = PluginRegistry("model", BaseModel, "hf_plugins.models")
signals: PluginRegistry[BaseSignalGenerator] = PluginRegistry(
    "signal", BaseSignalGenerator, "hf_plugins.signals"
)
engines: PluginRegistry[BaseBacktestEngine] = PluginRegistry(
    "engine", BaseBacktestEngine, "hf_plugins.engines"
)

ALL: tuple[PluginRegistry[Any], ...] = (features, scorers, models, signals, engines)
