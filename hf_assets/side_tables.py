"""Side tables as they are declared: what they are made of, who has one, which columns they have.

What a feature may read of them is checked in :mod:`hf_assets.project`; how they are made is in
:mod:`hf_assets.side_data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hf_assets.components import Scores, SideData
from hf_plugins.base import BaseScorer
from hf_resources.side_sources.base import Kind, Scope, SideSource


@dataclass(frozen=True)
class SideTable:
    """One side table.

    Attributes:
        component: the document.
        maker: the source that it comes from, or the scorer of another table's texts.
        scope: whether each symbol has one, or all have one together.
        symbols: that have one; None for all.
        columns: what each holds.
    """

    component: SideData | Scores
    maker: SideSource | BaseScorer
    scope: Scope
    symbols: tuple[str, ...] | None
    columns: Mapping[str, Kind]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that a feature can read."""
        return tuple(name for name, kind in self.columns.items() if kind == "number")

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns that a scorer can read."""
        return tuple(name for name, kind in self.columns.items() if kind == "text")
