"""Which symbols and timeframes each declared item is computed for.

A feature covers the whole universe unless it says otherwise, and no more than the features and the
side tables that it reads; a model covers what all of its features do, a signal what its model does.
What the partitions of that look like in Dagster belongs in :mod:`hf_assets.partitions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hf_assets.components import Feature
from hf_assets.partitions import WHOLE_UNIVERSE
from hf_assets.side_tables import SideTable
from hf_plugins.base import BaseFeature
from hf_plugins.timeframes import EVENT
from hf_plugins.versioning import sha256_hex
from hf_resources.instruments import Universe

NAMED: Final = 5
"""Symbols or timeframes that the name of a step tells; more are counted."""


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

    @property
    def empty(self) -> bool:
        """Whether there is no partition in it."""
        return not self.symbols or not self.timeframes


def whole(universe: Universe) -> Coverage:
    """Everything there is."""
    return Coverage(universe.symbols, universe.timeframes)


def of_table(universe: Universe, table: SideTable) -> Coverage:
    """The partitions of a side table; one of the market has a single one."""
    if table.scope == "market":
        return Coverage((WHOLE_UNIVERSE,), (EVENT,))
    return replace(whole(universe), timeframes=(EVENT,)).within(table.symbols, None)


def of_features(
    universe: Universe,
    tables: Mapping[str, SideTable],
    features: Mapping[str, tuple[Feature, BaseFeature]],
    names: Iterable[str],
) -> Coverage:
    """What all of some features cover; features that read each other in a circle never end here."""
    found = whole(universe)
    for name in names:
        component, plugin = features[name]
        read = [side.feature for side in plugin.sides if side.feature]
        found &= of_features(universe, tables, features, read).within(
            component.item.symbols, component.item.timeframes
        )
        for side in plugin.sides:
            if side.table and side.symbol is None:
                found = found.within(tables[side.table].symbols, None)
    return found


def step_label(
    universe: Universe,
    tables: Mapping[str, SideTable],
    features: Mapping[str, tuple[Feature, BaseFeature]],
    name: str,
) -> str:
    """What tells the step of a feature from that of other features; empty for most.

    Dagster wants the assets of a step to have the same partitions and to read the same partitions
    of what they share. Features that read features are one level further down, so that steps never
    wait for each other in a circle.
    """
    plugin = features[name][1]
    covered = of_features(universe, tables, features, [name])
    parts = []
    if covered != whole(universe):
        parts += [_names(covered.symbols), _names(covered.timeframes)]
    beside = sorted(
        {
            each
            for side in plugin.sides
            for each in (side.symbol, side.timeframe)
            if each and not side.table
        }
    )
    if beside:
        parts += ["with", _names(beside)]
    read = sorted({f"{side.table}_{side.symbol or ''}" for side in plugin.sides if side.table})
    if read:
        parts += ["beside", _names(read)]
    level = _level(features, name)
    if level > 1:
        parts.append(f"level_{level}")
    return re.sub(r"[^A-Za-z0-9]", "_", "_".join(parts))


def _names(names: Sequence[str]) -> str:
    shown = "_".join(names)
    return shown if len(names) <= NAMED else f"{len(names)}_of_{sha256_hex(shown)[:8]}"


def _level(features: Mapping[str, tuple[Feature, BaseFeature]], name: str) -> int:
    read = [side.feature for side in features[name][1].sides if side.feature]
    return 1 + max((_level(features, each) for each in read), default=0)
