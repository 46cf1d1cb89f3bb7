"""The gold features as feature plugins: ``gold.features107``, and one ``gold.<family>`` each.

Input is one frame of joined bars, a column per instrument and field (``xau_close``, ``xag_close``,
...: :data:`~hf_plugins.features.gold.join.COLUMNS`). Windows count its rows. A row without a usable
price is no joined bar: its values are null, and the rows after it are computed as if the data began
there, so nothing ever looks across it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.features.gold.compute import fill
from hf_plugins.features.gold.families import FAMILIES, INVERTED, families, memory
from hf_plugins.features.gold.join import COLUMNS, Bars
from hf_plugins.features.gold.tape import Tape
from hf_plugins.registry import features

Invert = Annotated[
    bool, Field(description="Multiply the inverted features (data, not estimated) by -1.")
]


class InvertParams(Params):
    """Parameters of a family with inverted features."""

    invert: Invert = True


class AllParams(Params):
    """Parameters of the whole."""

    alpha101: Annotated[
        bool, Field(description="With alpha024 and alpha083: 107 columns, else 105.")
    ] = True
    invert: Invert = True


class GoldFeature(BaseFeature):
    """Columns of some families; what plugins of this module share."""

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def families(self) -> tuple[str, ...]:
        """Families whose columns this yields."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[str, ...]:
        """What the families read; gold's close at least: a row without it is no bar."""
        found = tuple(COLUMNS[name] for name in Tape(self.families, 0).reads)
        return found or (COLUMNS["close"],)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the families, in the official order."""
        return tuple(name for family in self.families for name in FAMILIES[family].names)

    @property
    def memory(self) -> Memory:
        """The longest window of the families."""
        return memory(self.families)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the families; see the class."""
        invert = bool(getattr(self.params, "invert", True))
        series = {
            name: np.array(data[column], dtype=np.float64)
            for name, column in COLUMNS.items()
            if column in self.reads
        }
        index = cast(pd.DatetimeIndex, data.index)
        values = np.full((len(self.outputs), len(data)), np.nan)
        runs = list(_runs(_usable(series)))
        tape = Tape(self.families, max((stop - start for start, stop in runs), default=0))
        for start, stop in runs:
            part = {name: values[start:stop] for name, values in series.items()}
            fill(tape, Bars(index[start:stop], part), invert=invert)
            values[:, start:stop] = tape.features[:, : stop - start]
        return pd.DataFrame(values.T, index=data.index, columns=list(self.outputs), copy=False)


@features.register("gold.features107")
class Features107(GoldFeature):
    """All features of "107 Features for Gold", in the official order.

    Formulas, units, nulls and sources stand with the plugin of each family. Look-back: 8,698 joined
    bars, and what is left of Wilder's averages beyond them.
    """

    Params: ClassVar[type[Params]] = AllParams

    @property
    def families(self) -> tuple[str, ...]:
        """All, with or without Alpha101."""
        return families(alpha101=cast(AllParams, self.params).alpha101)


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
    body: dict[str, Any] = {
        "__doc__": "\n\n".join(dict.fromkeys(texts)),
        "__module__": __name__,
        "families": property(lambda self: (family,)),
    }
    if set(names) & set(INVERTED):
        body["Params"] = InvertParams
    name = "Gold" + family.title().replace("_", "")
    features.register(f"gold.{family}")(type(name, (GoldFeature,), body))


def _function(kernel: Any) -> Any:
    return getattr(kernel, "py_func", kernel)


for _family in FAMILIES:
    _register(_family)
