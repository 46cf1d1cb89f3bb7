"""The contract of a source of side tables, and the registry of these sources.

A source answers one question: which rows there are, and from when on each was known. It knows the
vendor's columns and clocks, and nothing of the lake. What makes a table of its rows is
:mod:`hf_resources.side_tables`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from hf_resources.source_registry import AnySource, SourceRegistry

Kind = Literal["text", "number"]
"""What a column of a side table holds."""

Scope = Literal["symbol", "market"]
"""Whether each symbol has a table of its own, or all have one together."""

DTYPES: Final[dict[Kind, str]] = {"text": "str", "number": "float64"}
STAMP: Final = "datetime64[us, UTC]"


class SideSource(AnySource):
    """A vendor or a folder of files."""

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


_registry = SourceRegistry("source of side tables", SideSource, "hf_resources.side_sources")
register_side_source = _registry.register
side_source_keys = _registry.keys
get_side_source = _registry.get
