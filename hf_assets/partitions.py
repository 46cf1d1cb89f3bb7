"""Partitions and every partition mapping of the graph.

The dimension names ``symbol`` and ``timeframe`` are part of every stored event and stay for ever.
No dependency anywhere else may rely on Dagster's inferred mapping: for definitions that do not
match it maps to nothing, silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import dagster as dg

SYMBOL: Final = "symbol"
TIMEFRAME: Final = "timeframe"
WHOLE_UNIVERSE: Final = "*"
"""The symbol of datasets that look across symbols."""

SAME: Final = dg.IdentityPartitionMapping()
"""Symbol and timeframe of the parent are those of the child."""

SAME_WITHIN_UNIVERSE: Final = dg.MultiPartitionMapping(
    {
        SYMBOL: dg.DimensionPartitionMapping(SYMBOL, dg.IdentityPartitionMapping()),
        TIMEFRAME: dg.DimensionPartitionMapping(TIMEFRAME, dg.IdentityPartitionMapping()),
    }
)
"""As :data:`SAME`, for a child that covers only some symbols or timeframes of the parent."""


def beside(
    child: dg.MultiPartitionsDefinition,
    parent: dg.MultiPartitionsDefinition,
    sides: Iterable[tuple[str | None, str | None]],
) -> dg.PartitionMapping:
    """A child that reads other symbols or timeframes of a parent; None stands for its own.

    Dagster maps each dimension by itself: where one side has another symbol and another side
    another timeframe, the other symbol in the other timeframe counts as read, too.
    """
    pairs = list(sides)
    return dg.MultiPartitionMapping(
        {
            name: dg.DimensionPartitionMapping(
                name, _dimension(child, parent, name, [pair[place] for pair in pairs])
            )
            for place, name in enumerate((SYMBOL, TIMEFRAME))
        }
    )


def _dimension(
    child: dg.MultiPartitionsDefinition,
    parent: dg.MultiPartitionsDefinition,
    name: str,
    read: Iterable[str | None],
) -> dg.PartitionMapping:
    own = child.get_partitions_def_for_dimension(name).get_partition_keys()
    others = parent.get_partitions_def_for_dimension(name).get_partition_keys()
    if not any(read):
        return dg.IdentityPartitionMapping()
    children: dict[str, set[str]] = {}
    for one in read:
        for key in own:
            children.setdefault(one or key, set()).add(key)
    return dg.StaticPartitionMapping(
        {key: sorted(children[key]) for key in others if key in children}
    )


ALL_SYMBOLS: Final = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name=TIMEFRAME)
"""A child by timeframe reads all symbols of its timeframe."""

EVERYTHING: Final = dg.AllPartitionMapping()
"""A child by day reads all symbols in all timeframes; any child reads all of a market's table."""


def by_symbol(symbols: Iterable[str], timeframes: Iterable[str]) -> dg.MultiPartitionsDefinition:
    """Partitions symbol x timeframe."""
    return dg.MultiPartitionsDefinition(
        {
            SYMBOL: dg.StaticPartitionsDefinition(list(symbols)),
            TIMEFRAME: dg.StaticPartitionsDefinition(list(timeframes)),
        }
    )


def by_timeframe(timeframes: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """Partitions by timeframe alone, for whatever looks across symbols."""
    return dg.StaticPartitionsDefinition(list(timeframes))


def by_day(first: str) -> dg.DailyPartitionsDefinition:
    """Partitions by UTC day, for daily aggregates."""
    return dg.DailyPartitionsDefinition(start_date=first, timezone="UTC")


def partition_key(symbol: str, timeframe: str) -> str:
    """The Dagster key of a dataset's symbol and timeframe."""
    if symbol == WHOLE_UNIVERSE:
        return timeframe
    return dg.MultiPartitionKey({SYMBOL: symbol, TIMEFRAME: timeframe})


def symbol_and_timeframe(key: str) -> tuple[str, str]:
    """The inverse of :func:`partition_key`."""
    if isinstance(key, dg.MultiPartitionKey):
        dimensions: Mapping[str, str] = key.keys_by_dimension
        return dimensions[SYMBOL], dimensions[TIMEFRAME]
    symbol, separator, timeframe = key.partition("|")
    return (symbol, timeframe) if separator else (WHOLE_UNIVERSE, key)
