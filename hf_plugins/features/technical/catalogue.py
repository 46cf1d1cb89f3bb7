"""The wide catalogue of technical indicators, computed by pandas-ta-classic behind one plugin."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field, create_model

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.features.technical.catalogue_table import (
    INDICATORS,
    LOOK_AHEAD,
    NOT_OFFERED,
    Choice,
    Indicator,
    Parameter,
    Whole,
)
from hf_plugins.params import parse_params
from hf_plugins.registry import features

_UNNAMED = ("drift", "mamode")
"""Parameters that are part of a column's name only where they are not at their default."""

_FIXED: dict[str, dict[str, Any]] = {"msw": {"tulipy": False}}
"""What keeps the library from using another one where that is installed, for other numbers."""


class TaParams(Params):
    """Parameters of the catalogue, beside which those of the indicator stand."""

    indicator: Annotated[
        str,
        Field(
            description="Indicator by its name in pandas-ta-classic; its own parameters, under the "
            "library's names, stand beside this one."
        ),
    ] = "aroon"


@features.register("technical.ta")
class TechnicalAnalysis(BaseFeature):
    """Any of about 180 technical indicators, by the formulas of pandas-ta-classic.

    ``{indicator: adx, length: 20}`` is the average directional index over 20 bars. Parameters are
    those that change the library's numbers, with its defaults; an unknown one is an error, and so
    is one out of range, which the library would silently replace. What looks ahead is refused.

    Shape: one column a component, ``ta_{component}_{parameters}``, for instance ``ta_adx_20``,
    ``ta_dmp_20`` and ``ta_dmn_20``: the library's names in lower case, with the values of the
    parameters in their order (``drift`` and ``mamode`` only where they are not the usual ones).
    Columns are a function of the parameters alone. Unit: as the library defines it.

    Null: at a bar where a column that is read is null or infinite, after which the indicator is
    computed as if the history began there; in the bars before its first value (where the library
    yields a zero or a flag that does not rest on its whole window, too); where the library yields
    null or an infinity. The library's own conventions for a denominator of zero stand.

    Memory is declared for each indicator in the table of the module
    :mod:`~hf_plugins.features.technical.catalogue_table`. Source: the documentation of each
    function in pandas-ta-classic, which names its own.
    """

    Params: ClassVar[type[Params]] = TaParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas", "pandas-ta-classic")

    def __init__(self, **params: Any) -> None:
        owner = self.key or type(self).__name__
        chosen = parse_params(
            owner, TaParams, {k: v for k, v in params.items() if k == "indicator"}
        )
        self.indicator: str = cast(TaParams, chosen).indicator
        reason = LOOK_AHEAD.get(self.indicator)
        if reason is not None:
            raise ConfigurationError(f"{owner}: '{self.indicator}' looks ahead: {reason}")
        reason = NOT_OFFERED.get(self.indicator)
        if reason is not None:
            raise ConfigurationError(f"{owner}: '{self.indicator}' is not offered: {reason}")
        if self.indicator not in INDICATORS:
            raise ConfigurationError(f"{owner}: {unknown('indicator', self.indicator, INDICATORS)}")
        # The base would check them against the class's own model, which knows no indicator.
        self.params = parse_params(owner, parameters_of(self.indicator), params)

    @property
    def _line(self) -> Indicator:
        return INDICATORS[self.indicator]

    @property
    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self.params, name) for name in self._line.parameters}

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the indicator is a function of."""
        return self._line.reads

    @property
    def outputs(self) -> tuple[str, ...]:
        """The components of the indicator, each with the parameters."""
        values = []
        for name, parameter in self._line.parameters.items():
            value = self._arguments[name]
            if name not in _UNNAMED:
                values.append(f"{value:.15g}" if isinstance(value, float) else str(value))
            elif value != parameter.default:
                values.append(f"{name}{value}" if name == "drift" else str(value))
        return tuple("_".join(["ta", name, *values]) for name in self._line.components)

    @property
    def memory(self) -> Memory:
        """As the table declares it."""
        line = self._line
        if line.kind == "cumulative":
            return Memory.cumulative()
        lookback = line.rows(self._arguments)
        return Memory.finite(lookback) if line.kind == "finite" else Memory.fading(lookback)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the indicator; see the class."""
        bars = data.loc[:, list(self.reads)].astype(np.float64)
        if isinstance(bars.index, pd.DatetimeIndex):
            bars.index = bars.index.tz_localize(None)  # the library knows no time zones; it is UTC
        values = np.full((len(bars), len(self.outputs)), np.nan)
        for start, stop in _runs(np.isfinite(bars.to_numpy()).all(axis=1)):
            values[start:stop] = self._unbroken(bars.iloc[start:stop])
        values[~np.isfinite(values)] = np.nan
        return pd.DataFrame(values, columns=list(self.outputs), index=data.index)

    def _unbroken(self, bars: pd.DataFrame) -> np.ndarray:
        """Values of bars without nulls: shape (n_rows, n_components)."""
        import pandas_ta_classic as library

        series = {"open_" if name == "open" else name: bars[name] for name in bars}
        with np.errstate(all="ignore"):
            found = getattr(library, self.indicator)(
                **series, **self._arguments, **_FIXED.get(self.indicator, {})
            )
        shape = len(bars), len(self._line.components)
        if found is None:  # fewer rows than a window
            return np.full(shape, np.nan)
        values = np.array(found, dtype=np.float64).reshape(len(found), -1)
        if values.shape != shape:
            raise DataError(
                f"technical.ta: pandas-ta-classic yields {values.shape[1]} columns and "
                f"{values.shape[0]} rows for '{self.indicator}', not {shape[1]} and {shape[0]}"
            )
        values[: self._line.warm_up(self._arguments) - 1] = np.nan
        return values


@cache
def parameters_of(indicator: str) -> type[TaParams]:
    """The parameters of an indicator of the table: typed, with defaults and ranges."""
    line = INDICATORS[indicator]
    fields: dict[str, Any] = {
        "indicator": (Literal[indicator], Field(indicator, description="The indicator."))  # pyright: ignore[reportInvalidTypeForm]
    }
    for name, parameter in line.parameters.items():
        fields[name] = _field(indicator, name, parameter)
    return create_model(f"TaParams_{indicator}", __base__=TaParams, **fields)


def _field(indicator: str, name: str, parameter: Parameter) -> tuple[Any, Any]:
    described = f"'{name}' of '{indicator}' in pandas-ta-classic."
    if isinstance(parameter, Choice):
        return Literal[parameter.options], Field(parameter.default, description=described)
    if isinstance(parameter, Whole):
        field = Field(parameter.default, ge=parameter.least, le=10_000, description=described)
        return int, field
    field = Field(
        parameter.default, gt=0, lt=parameter.below, allow_inf_nan=False, description=described
    )
    return float, field


def _runs(known: np.ndarray) -> list[tuple[int, int]]:
    """First row and row after the last of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
