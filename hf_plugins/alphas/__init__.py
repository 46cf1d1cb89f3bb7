"""The 101 formulaic alphas of Kakushadze (2016), on a cross-section or on one instrument.

The formulas are data (:mod:`~hf_plugins.alphas.formulas`) over a small set of operators
(:mod:`~hf_plugins.alphas.operators` along time, :mod:`~hf_plugins.alphas.sections` across a
cross-section). Every value at a bar uses that bar and earlier ones only; every alpha knows the
fields, the classifications and the number of bars that it needs.

Two remarks on the paper's own words. ``adv{d}`` is the average *dollar* volume; alphas 7 and 21
compare it with a volume in shares, which makes them nearly constant wherever a share costs more
than a dollar. A panel with ``dollar_volume`` set to the volume in shares gives the other reading.
And prices enter many formulas as levels: their values depend on the unit of the price and on how it
was adjusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from hf_plugins.alphas.expression import Expression
from hf_plugins.alphas.formulas import FORMULAS
from hf_plugins.alphas.panel import FIELDS, Panel
from hf_plugins.alphas.sections import AcrossInstruments, AcrossTime, Section
from hf_plugins.errors import ConfigurationError

__all__ = [
    "ALPHAS",
    "AcrossInstruments",
    "AcrossTime",
    "Alpha",
    "Panel",
    "Section",
    "across_instruments",
    "across_time",
]


@dataclass(frozen=True)
class Alpha:
    """One of the 101: its number in the paper and its formula."""

    number: int
    expression: Expression

    @property
    def name(self) -> str:
        """``alpha001`` to ``alpha101``."""
        return f"alpha{self.number:03d}"


ALPHAS: Final[Mapping[int, Alpha]] = {
    number: Alpha(number, Expression(text)) for number, text in FORMULAS.items()
}
"""All alphas by number."""


def across_instruments(panel: Panel, number: int) -> pd.DataFrame:
    """One alpha on a cross-section.

    Returns:
        float64, one row per bar, one column per instrument; null where not defined.

    Raises:
        ConfigurationError: there is no such alpha.
        DataError: the panel lacks a field or a classification that the alpha reads.
    """
    values = _alpha(number).expression.evaluate(panel, AcrossInstruments())
    return pd.DataFrame(values, index=panel.index, columns=panel.instruments)


def across_time(
    bars: pd.DataFrame, numbers: Iterable[int] = tuple(FORMULAS), *, window: int = 60
) -> pd.DataFrame:
    """Alphas on one instrument, whose last ``window`` bars stand for the cross-section.

    Args:
        bars: those of the columns open, high, low, close, volume that the alphas need, optionally
            vwap and cap; see :meth:`Panel.of_one_instrument`.
        numbers: of the alphas.
        window: bars of the stand-in cross-section, the current one included.

    Returns:
        float64, indexed like ``bars``, one column ``alpha{number:03d}`` per alpha.

    Raises:
        ConfigurationError: there is no such alpha, or the window is too short.
        DataError: a column is missing, or the bars are out of order.
    """
    if window < 2:
        raise ConfigurationError(f"the window is {window} bars; allowed: 2 or more")
    section = AcrossTime(window)
    wanted = [_alpha(number) for number in numbers]
    fields = {name for alpha in wanted for name in alpha.expression.inputs}
    panel = Panel.of_one_instrument(bars, [name for name in FIELDS if name in fields])
    columns = {alpha.name: alpha.expression.evaluate(panel, section)[:, 0] for alpha in wanted}
    return pd.DataFrame(columns, index=bars.index)


def _alpha(number: int) -> Alpha:
    try:
        return ALPHAS[number]
    except KeyError:
        raise ConfigurationError(f"there is no alpha {number}; allowed: 1 to 101") from None
