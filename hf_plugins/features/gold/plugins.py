"""The gold features as feature plugins: ``gold.features107``, and one ``gold.<family>`` each.

A plugin reads the bars of gold, which are those of its own partition, and beside them the close of
each other instrument that its families look at, of the minutes in which all of these have a bar.
Windows count those minutes: all six instruments' for the whole, and for a family alone those of the
instruments that it reads. The names of the other instruments are parameters, as brokers differ.

A row without a usable price is no joined bar: its values are null, and the rows after it are
computed as if the data began there, so nothing ever looks across it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, cast

import numpy as np
import pandas as pd
from pydantic import Field, create_model

from hf_plugins.base import BaseFeature, Memory, Params, Side
from hf_plugins.features.gold.families import FAMILIES, families, memory
from hf_plugins.features.gold.inversion import INVERTED, invert
from hf_plugins.features.gold.join import COLUMNS, GOLD, PREFIXES, SERIES, Bars
from hf_plugins.features.gold.tape import Tape
from hf_plugins.registry import features

TIMEFRAME: Final = "1m"
"""Of the bars of the other instruments."""

_OTHERS: Final = {
    "XAGUSD": "silver",
    "DXY": "the dollar index",
    "NAS100": "the Nasdaq 100",
    "US500": "the S&P 500",
    "VIX": "the volatility index of the S&P 500",
}
_TOGGLES: Final[dict[str, Any]] = {
    "alpha101": "With alpha024 and alpha083: 107 columns, else 105.",
    "invert": "Multiply the inverted features (data, not estimated) by -1.",
}


class GoldFeature(BaseFeature):
    """Columns of some families; what plugins of this module share."""

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def families(self) -> tuple[str, ...]:
        """Families whose columns this yields."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[str, ...]:
        """What the families read of gold; the close at least: a row without it is no bar."""
        own = tuple(COLUMNS[name] for name in self._series if SERIES[name][0] == GOLD)
        return own or (COLUMNS["close"],)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The close of the other instruments, in the minutes that they share with gold."""
        return tuple(
            Side(
                prefix=PREFIXES[symbol],
                columns=(column,),
                symbol=getattr(self.params, PREFIXES[symbol]),
                timeframe=TIMEFRAME,
                join="inner",
            )
            for symbol, column in (SERIES[name] for name in self._series)
            if symbol != GOLD
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the families, in the official order."""
        return tuple(name for family in self.families for name in FAMILIES[family].names)

    @property
    def memory(self) -> Memory:
        """The longest window of the families."""
        return memory(self.families)

    @property
    def context(self) -> int | None:
        """Rows that appended ones look back on, where Wilder's averages are carried besides."""
        return Tape(self.families, 0).context if self.memory.kind == "fading" else None

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the families; see the class."""
        return self.advance(data, len(data), None)[0]

    def advance(
        self, data: pd.DataFrame, appended: int, state: Mapping[str, Any] | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Compute appended rows; the state holds Wilder's averages by name, null where none are.

        One row takes milliseconds: besides it, only the rows of the series that it looks back on
        are computed, by the kernels of the whole history.
        """
        first = 0 if state is None else len(data) - appended
        carried = {name: value for name, value in (state or {}).items() if value is not None}
        # Where only the clock counts, a row without a close is no bar all the same.
        series = {
            name: np.array(data[COLUMNS[name]], dtype=np.float64)
            for name in self._series or ("close",)
        }
        index = cast(pd.DatetimeIndex, data.index)
        values = np.full((len(self.outputs), len(data) - first), np.nan)
        after: dict[str, float] = {}
        for start, stop in _runs(_usable(series)):
            if stop <= first:
                continue
            tape = Tape(self.families, stop - start)
            part = {name: array[start:stop] for name, array in series.items()}
            tape.put(Bars(index[start:stop], part))
            new = max(first - start, 0)
            # What was carried along is of the bars that lead up to the appended ones.
            tape.resume(new, stop - start, carried if start == 0 < new else {})
            values[:, start + new - first : stop - first] = tape.features[:, new:]
            after = tape.carry(stop - start) if stop == len(data) else {}
        if getattr(self.params, "invert", True):
            invert(values, self.outputs)
        frame = pd.DataFrame(values.T, index=index[first:], columns=list(self.outputs), copy=False)
        return frame, {name: after.get(name) for name in Tape(self.families, 0).carried}

    @cached_property
    def _series(self) -> tuple[str, ...]:
        return Tape(self.families, 0).reads


def _parameters(name: str, chosen: Iterable[str], toggles: Iterable[str]) -> type[Params]:
    """The parameters of some families: toggles, and the symbols of the instruments they read."""
    fields: dict[str, Any] = {
        toggle: (Annotated[bool, Field(description=_TOGGLES[toggle])], True) for toggle in toggles
    }
    for series in Tape(chosen, 0).reads:
        symbol = SERIES[series][0]
        if symbol != GOLD:
            described = Field(min_length=1, description=f"Symbol of {_OTHERS[symbol]}.")
            fields[PREFIXES[symbol]] = (Annotated[str, described], symbol)
    return create_model(name, __base__=Params, __module__=__name__, **fields)


@features.register("gold.features107")
class Features107(GoldFeature):
    """All features of "107 Features for Gold", in the official order.

    Formulas, units, nulls and sources stand with the plugin of each family. Look-back: 8,698 joined
    bars, and what is left of Wilder's averages beyond them.
    """

    Params: ClassVar[type[Params]] = _parameters("AllParams", FAMILIES, ("alpha101", "invert"))

    @property
    def families(self) -> tuple[str, ...]:
        """All, with or without Alpha101."""
        return families(alpha101=bool(self.params.model_dump()["alpha101"]))


def _usable(series: dict[str, np.ndarray]) -> np.ndarray:
    """Rows whose prices are finite and positive; a missing volume is made 0."""
    counts = np.ones(next(iter(series.values())).size, dtype=bool)
    for name, values in series.items():
        if name == "volume":
            values[np.isnan(values)] = 0.0
            counts &= (values >= 0.0) & (values < np.inf)
        else:
            counts &= (values > 0.0) & (values < np.inf)
    return counts


def _runs(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """First row and row after the last of each run of rows that count."""
    edges = np.flatnonzero(np.diff(counts, prepend=False, append=False))
    yield from ((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def _register(family: str) -> None:
    """A plugin for a family, described by the modules of its kernels."""
    names = FAMILIES[family].names
    modules = [inspect.getmodule(_function(step.kernel)) for step in FAMILIES[family].steps]
    texts = [inspect.cleandoc(module.__doc__) for module in modules if module and module.__doc__]
    name = "Gold" + family.title().replace("_", "")
    body: dict[str, Any] = {
        "__doc__": "\n\n".join(dict.fromkeys(texts)),
        "__module__": __name__,
        "Params": _parameters(
            f"{name}Params", [family], ("invert",) if set(names) & set(INVERTED) else ()
        ),
        "families": property(lambda self: (family,)),
    }
    features.register(f"gold.{family}")(type(name, (GoldFeature,), body))


def _function(kernel: Any) -> Any:
    return getattr(kernel, "py_func", kernel)


for _family in FAMILIES:
    _register(_family)
