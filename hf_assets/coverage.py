"""Which symbols and timeframes each declared item is computed for.

A feature covers the whole universe unless it says otherwise, and no more than the features that it
reads; a model covers what all of its features do, a signal what its model does. What the partitions
of that look like in Dagster belongs in :mod:`hf_assets.partitions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hf_assets.components import Feature
from hf_plugins.base import BaseFeature
from hf_plugins.versioning import sha256_hex
from hf_resources.instruments import Universe

NAMED: Final = 3
"""Symbols that the name of a step tells; more are counted."""


@dataclass(frozen=True)
class Coverage:
    """A block of partitions: each symbol in each timeframe, both in the order of the universe."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]

    def __and__(self, other: Coverage) -> Coverage:
        """What both cover."""
        return self.within(other.symbols, other.timeframes)

    def within(self, symbols: Iterable[str] | None, timeframes: Iterable[str] | None) -> Coverage:
        """What of this has one of the symbols and one of the timeframes; None stands for all."""
        some = self.symbols if symbols is None else set(symbols)
        others = self.timeframes if timeframes is None else set(timeframes)
        return Coverage(
            tuple(each for each in self.symbols if each in some),
            tuple(each for each in self.timeframes if each in others),
        )

    def label(self, universe: Universe) -> str:
        """A name for the steps of whatever covers this; empty for the whole universe."""
        if self == whole(universe):
            return ""
        symbols = "_".join(self.symbols)
        if len(self.symbols) > NAMED:
            symbols = f"{len(self.symbols)}_symbols_{sha256_hex(symbols)[:8]}"
        return re.sub(r"[^A-Za-z0-9]", "_", "_".join((symbols, *self.timeframes)))

    @property
    def empty(self) -> bool:
        """Whether there is no partition in it."""
        return not self.symbols or not self.timeframes


def whole(universe: Universe) -> Coverage:
    """Everything there is."""
    return Coverage(universe.symbols, universe.timeframes)


def of_features(
    universe: Universe, features: Mapping[str, tuple[Feature, BaseFeature]], names: Iterable[str]
) -> Coverage:
    """What all of some features cover; features that read each other in a circle never end here."""
    found = whole(universe)
    for name in names:
        component, plugin = features[name]
        read = [side.feature for side in plugin.sides if side.feature]
        found &= of_features(universe, features, read).within(
            component.item.symbols, component.item.timeframes
        )
    return found
