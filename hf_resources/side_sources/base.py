"""The contract of a source of side tables, and the registry of these sources.

A source answers one question: which rows there are, and from when on each was known. It knows the
vendor's columns and clocks, and nothing of the lake. What makes a table of its rows is
:mod:`hf_resources.side_tables`.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
import pandas as pd

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.params import parse_params

S = TypeVar("S", bound="type[SideSource]")

Kind = Literal["text", "number"]
"""What a column of a side table holds."""

Scope = Literal["symbol", "market"]
"""Whether each symbol has a table of its own, or all have one together."""

DTYPES: Final[dict[Kind, str]] = {"text": "str", "number": "float64"}
STAMP: Final = "datetime64[us, UTC]"


class SideSource(ABC):
    """A vendor or a folder of files; parameters are typed like those of a plugin."""

    key: ClassVar[str] = ""
    """Set by :func:`register_side_source`."""
    Params: ClassVar[type[Params]] = Params

    def __init__(self, **params: Any) -> None:
        self.params = parse_params(f"source '{self.key}'", self.Params, params)

    def parameters(self) -> dict[str, Any]:
        """The parameters that decide what the rows are, after defaults, as JSON-ready values."""
        return self.params.model_dump(mode="json")

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Kind]:
        """The columns of the table: a function of the parameters, never of the data."""

    def check_scope(self, scope: Scope) -> None:
        """Refuse a scope that the parameters cannot serve.

        Raises:
            ConfigurationError: says what is missing, or too much.
        """
        del scope

    @property
    def overlap(self) -> timedelta | None:
        """How far before the last known row an incremental fetch begins; None reads all anew.

        A vendor adds late what it had published, a file may change anywhere.
        """
        return None

    @abstractmethod
    def fetch(self, symbol: str | None, now: datetime, since: datetime | None) -> pd.DataFrame:
        """The rows, as the source has them now.

        Args:
            symbol: whose; None for those of the market.
            now: the clock; rows that are known later are an error in the source.
            since: first instant wanted, timezone-aware; None for all. Only where there is an
                :attr:`overlap`.

        Returns:
            shape (n_rows, len(columns)), in the order of :attr:`columns`, indexed by the instant
            from which each row is known (:data:`STAMP`, named ``timestamp``), in time order; rows
            of one instant in the source's own order, oldest first. Text and float64, null where the
            source has no value. No rows where there are none.

        Raises:
            ConfigurationError: the source does not have that symbol.
            DataError: what the source has cannot be read; names file and line.
        """

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"


def frame_of(
    columns: Mapping[str, Kind], stamps: pd.DatetimeIndex, values: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows in the form of :meth:`SideSource.fetch`, put in time order; ties keep their order."""
    index = pd.DatetimeIndex(stamps).tz_convert("UTC").as_unit("us").rename("timestamp")
    made = {
        name: pd.Series(values[name], index=index, dtype=DTYPES[kind])
        for name, kind in columns.items()
    }
    frame = pd.DataFrame(made, index=index, columns=list(columns))
    return frame.iloc[np.argsort(index.asi8, kind="stable")]


_sources: dict[str, type[SideSource]] = {}


def register_side_source(key: str) -> Callable[[S], S]:
    """Class decorator that puts a source under ``key``.

    Raises:
        TypeError: the class does not derive from :class:`SideSource`.
        ValueError: the key is taken.
    """

    def decorate(cls: S) -> S:
        if not issubclass(cls, SideSource):
            raise TypeError(f"source '{key}' must be a subclass of SideSource, {cls!r} is not")
        if key in _sources:
            raise ValueError(
                f"source key '{key}' is registered twice: by {_sources[key].__module__} and by "
                f"{cls.__module__}"
            )
        cls.key = key
        _sources[key] = cls
        return cls

    return decorate


def side_source_keys() -> list[str]:
    """The keys of all sources of side tables, sorted."""
    _discover()
    return sorted(_sources)


def get_side_source(key: str) -> type[SideSource]:
    """The class under ``key``.

    Raises:
        ConfigurationError: there is no such source; names the nearest one.
    """
    _discover()
    try:
        return _sources[key]
    except KeyError:
        raise ConfigurationError(unknown("source of side tables", key, _sources)) from None


def _discover() -> None:
    package = importlib.import_module("hf_resources.side_sources")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
