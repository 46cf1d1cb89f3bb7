"""The 101 formulaic alphas as features of one instrument: ``alpha101.alpha001`` to ``alpha101``.

One plugin per formula, registered by one loop; formulas and operators are in
:mod:`hf_plugins.alphas`. The alphas were made to rank a cross-section of stocks. A single
instrument has none, so its own last bars stand for it; see
:class:`~hf_plugins.alphas.sections.AcrossTime`. The typical price (high + low + close) / 3 stands
for ``vwap``, the close for ``cap``.

Each yields one column, named like the formula; null while the look-back is not there, where a
window has a null in it, and where a value is not defined (zero denominators, a correlation with a
constant). Prices enter as they are, so that values depend on the unit of the price.

Source: Kakushadze (2016), "101 Formulaic Alphas".
"""

from __future__ import annotations

import textwrap
from typing import Annotated, ClassVar, cast

import pandas as pd
from pydantic import Field

from hf_plugins.alphas import ALPHAS, Alpha, across_time
from hf_plugins.alphas.panel import STAND_INS
from hf_plugins.alphas.sections import AcrossTime
from hf_plugins.base import OHLCV, BaseFeature, Memory, Params
from hf_plugins.registry import features


class AlphaParams(Params):
    """Parameters of an alpha."""

    window: Annotated[
        int, Field(ge=2, le=5000, description="Bars that stand for the cross-section.")
    ] = 60


class AlphaFeature(BaseFeature):
    """One alpha; what the plugins of this module share."""

    Params: ClassVar[type[Params]] = AlphaParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")
    alpha: ClassVar[Alpha]

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of bars that the formula needs."""
        return columns_of(self.alpha)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The name of the alpha."""
        return (self.alpha.name,)

    @property
    def memory(self) -> Memory:
        """What the formula looks back on; every window is computed from its own numbers."""
        return Memory.finite(self.alpha.expression.lookback(AcrossTime(self._window)))

    @property
    def _window(self) -> int:
        return cast(AlphaParams, self.params).window

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the alpha; see the class."""
        return across_time(data, (self.alpha.number,), window=self._window)


def columns_of(alpha: Alpha) -> tuple[str, ...]:
    """Columns of bars of one instrument that an alpha reads, in the order of the bars' own."""
    needed = {column for name in alpha.expression.inputs for column in STAND_INS.get(name, (name,))}
    return tuple(name for name in OHLCV if name in needed)


def _document(alpha: Alpha) -> str:
    """What the plugin of an alpha says of itself."""
    expression = alpha.expression
    how = (
        "Where the formula ranks, scales or neutralises across instruments, the last ``window`` "
        "bars stand for them, the current one included. Operators have the paper's names; "
        "``x ** y`` is its power, ``a if c else b`` its choice; windows with a fraction are "
        "rounded down. Prices enter as they are, so that values depend on the unit of the price."
    )
    if "vwap" in expression.inputs:
        how += " The typical price (high + low + close) / 3 stands for ``vwap``."
    if "cap" in expression.inputs:
        how += " The close stands for ``cap``: the number of shares counts as constant."
    nulls = (
        "Null while the look-back is not there, where a window has a null in it, and where a value "
        "is not defined (zero denominators, a correlation with a constant). Look-back: "
        f"{expression.lookback(AcrossTime())} bars with the default window."
    )
    title = f'Alpha {alpha.number} of "101 Formulaic Alphas" (Kakushadze, 2016), on one instrument.'
    prose = [textwrap.fill(part, 100) for part in (how, nulls)]
    return "\n\n".join([title, f"    {expression.text}", *prose])


for _alpha in ALPHAS.values():
    features.register(f"alpha101.{_alpha.name}")(
        type(
            _alpha.name.title(),
            (AlphaFeature,),
            {"__doc__": _document(_alpha), "__module__": __name__, "alpha": _alpha},
        )
    )
