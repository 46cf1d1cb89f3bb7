"""Indicators of the whole economy, as of their release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, cast, get_args

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import AGE, BaseFeature, Memory, Params, Side
from hf_plugins.errors import listing
from hf_plugins.kernels.moving import FLAT
from hf_plugins.registry import features

Indicator = Literal["yield_curve_slope", "vix_level", "pmi", "cpi_surprise"]
SERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "yield_curve_slope": ("long_yield", "short_yield"),
    "vix_level": ("vix",),
    "pmi": ("pmi",),
    "cpi_surprise": ("cpi", "cpi_consensus"),
}
"""What each indicator is made of: fields of the parameters."""

_SERIES = r"^[a-z][a-z0-9_]{0,63}\.\S+$"
_WHERE: Final = "Table and column, as table.column, of "


class IndicatorsParams(Params):
    """Parameters of the indicators."""

    indicators: Annotated[
        tuple[Indicator, ...],
        Field(min_length=1, description="Which ones, in the order of the columns."),
    ] = get_args(Indicator)
    long_yield: Annotated[
        str,
        Field(pattern=_SERIES, description=f"{_WHERE}the long end of the yield curve."),
    ] = "yields.long"
    short_yield: Annotated[
        str,
        Field(pattern=_SERIES, description=f"{_WHERE}its short end, in the same unit."),
    ] = "yields.short"
    vix: Annotated[str, Field(pattern=_SERIES, description=f"{_WHERE}the VIX.")] = "vix.level"
    pmi: Annotated[
        str, Field(pattern=_SERIES, description=f"{_WHERE}the purchasing managers' index.")
    ] = "pmi.level"
    cpi: Annotated[
        str,
        Field(pattern=_SERIES, description=f"{_WHERE}the inflation that was released."),
    ] = "cpi.actual"
    cpi_consensus: Annotated[
        str,
        Field(
            pattern=_SERIES,
            validate_default=True,
            description=f"{_WHERE}what had been expected of it: of the same table, in the same "
            "row and unit.",
        ),
    ] = "cpi.consensus"
    surprise_window: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Releases before the last one in whose surprises' deviation it is given; 0 "
            "for its own unit.",
        ),
    ] = 0
    min_surprises: Annotated[
        int,
        Field(
            ge=2,
            le=1000,
            validate_default=True,
            description="Surprises needed for that; at most surprise_window.",
        ),
    ] = 6
    max_age_days: Annotated[
        float, Field(gt=0, le=3650, description="Days after which a release no longer counts.")
    ] = 45.0
    lag_minutes: Annotated[
        int,
        Field(ge=0, le=10_080, description="Minutes after its release at which it can be had."),
    ] = 0

    @field_validator("indicators")
    @classmethod
    def _each_once(cls, value: tuple[Indicator, ...]) -> tuple[Indicator, ...]:
        if twice := sorted({each for each in value if value.count(each) > 1}):
            raise ValueError(f"names {listing(twice)} twice")
        return value

    @field_validator("cpi_consensus")
    @classmethod
    def _is_in_the_same_table(cls, value: str, info: ValidationInfo) -> str:
        table = str(info.data.get("cpi", value)).partition(".")[0]
        if value.partition(".")[0] != table:
            raise ValueError(f"must be a column of the table of the release, '{table}'")
        return value

    @field_validator("surprise_window")
    @classmethod
    def _has_a_table_of_its_own(cls, value: int, info: ValidationInfo) -> int:
        table = str(info.data.get("cpi")).partition(".")[0]
        for name in ("long_yield", "short_yield", "vix", "pmi"):
            if value and str(info.data.get(name)).partition(".")[0] == table:
                raise ValueError(
                    f"each row of the table '{table}' would count as a release of the cpi, and it "
                    f"holds {name}, too; give the cpi a table of its own"
                )
        return value

    @field_validator("min_surprises")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("surprise_window")
        if window and value > window:
            raise ValueError(f"must not exceed surprise_window ({window})")
        return value


@features.register("macro.indicators")
class Indicators(BaseFeature):
    r"""State of the economy by what had been released at the close of the bar.

    * ``yield_curve_slope``: long minus short yield, in their unit;
    * ``vix_level``: the last value of the index, in per cent a year;
    * ``pmi``: the last release of the index; 50 is no change on the month before;
    * ``cpi_surprise``: :math:`s = \text{actual} - \text{consensus}` of the last release, in its
      unit; with a ``surprise_window`` :math:`w` it is

      .. math:: \frac{s_k}{d_k}, \quad d_k^2 = \frac{1}{m - 1} \sum_{j=k-m}^{k-1} (s_j - \bar s)^2

      with the :math:`m \le w` surprises before release k: none that came later, and not itself.

    Tables are those of the whole market, and a row is known from its release on (and the declared
    lag). A revision is a row of its own, known when it was published. The age of a value is that
    of the row it stands in, so a table that carries several series forward says nothing of the age
    of each: what is released at other times belongs into another table, and so does the CPI where
    its surprises are standardised, for each of its rows with a value counts as a release.

    Shape: one column for each of ``indicators``.

    Null: before the first release; where the value is null; while it is older than
    ``max_age_days`` at the close of the bar. A standardised surprise also where fewer than
    ``min_surprises`` are known from before it (counted from the first bar on; of two releases
    within one bar only the last counts), or these do not differ.

    Source: Balduzzi, Elton and Green (2001), "Economic News and Bond Prices", Journal of Financial
    and Quantitative Analysis 36, for the standardised surprise; they divide by the deviation of the
    whole sample, here it is that of the past.
    """

    Params: ClassVar[type[Params]] = IndicatorsParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def _typed(self) -> IndicatorsParams:
        return cast(IndicatorsParams, self.params)

    @property
    def _series(self) -> dict[str, tuple[str, str]]:
        """Table and column of each series that is read."""
        found = {}
        for indicator in self._typed.indicators:
            for name in SERIES[indicator]:
                table, _, column = getattr(self._typed, name).partition(".")
                found[name] = table, column
        return found

    @property
    def _standardised(self) -> bool:
        return "cpi_surprise" in self._typed.indicators and self._typed.surprise_window > 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Nothing of the own bars but when they are."""
        return ()

    @property
    def sides(self) -> tuple[Side, ...]:
        """The last value of each series with its age; of the CPI also whether it is new."""
        lag = self._typed.lag_minutes
        found = [
            Side(name, (column,), table=table, lag_minutes=lag, age=True)
            for name, (table, column) in self._series.items()
        ]
        if self._standardised:
            table, column = self._series["cpi"]
            new = Side("new", (column,), table=table, lag_minutes=lag, join="count")
            found.append(new)
        return tuple(found)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the indicators."""
        return self._typed.indicators

    @property
    def memory(self) -> Memory:
        """The bar alone; all releases before it where a surprise is standardised."""
        return Memory.cumulative() if self._standardised else Memory.finite(1)

    @property
    def context(self) -> int | None:
        """No rows before the appended ones: what is needed of the past is in the state."""
        return 0 if self._standardised else None

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the indicators; see the class."""
        return self._values(data, Surprises(self._typed))

    def advance(
        self, data: pd.DataFrame, appended: int, state: Mapping[str, Any] | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Go on from the surprises so far."""
        surprises = Surprises(self._typed, state)
        values = self._values(data.iloc[len(data) - appended :], surprises)
        return values, surprises.state

    def _values(self, data: pd.DataFrame, surprises: Surprises) -> pd.DataFrame:
        series = {}
        for name, (_, column) in self._series.items():
            recent = data[f"{name}_{AGE}"].to_numpy(np.float64) <= self._typed.max_age_days
            given = data[f"{name}_{column}"].to_numpy(np.float64)
            series[name] = np.where(recent, given, np.nan)
        values = {}
        for indicator in self._typed.indicators:
            first, *second = (series[name] for name in SERIES[indicator])
            values[indicator] = first - second[0] if second else first
        if self._standardised:
            cpi, consensus = (data[f"{n}_{self._series[n][1]}"] for n in SERIES["cpi_surprise"])
            new = data[f"new_{self._series['cpi'][1]}"].to_numpy(np.float64)
            scale = surprises.scales((cpi - consensus).to_numpy(np.float64), new)
            values["cpi_surprise"] = values["cpi_surprise"] / scale
        return pd.DataFrame(values, index=data.index)


class Surprises:
    """The surprises so far, and the deviation of those before the last one.

    Args:
        params: window and count.
        state: that of an earlier one, to go on from.
    """

    def __init__(self, params: IndicatorsParams, state: Mapping[str, Any] | None = None) -> None:
        self._window, self._needed = params.surprise_window, params.min_surprises
        self._seen: list[float] = list(state["surprises"]) if state else []
        self._scale: float | None = state["scale"] if state else None

    @property
    def state(self) -> dict[str, Any]:
        """What :class:`Surprises` goes on from, as JSON values."""
        return {"surprises": self._seen, "scale": self._scale}

    def scales(self, surprise: np.ndarray, new: np.ndarray) -> np.ndarray:
        """The deviation that each row's surprise is divided by, null where there is none.

        Args:
            surprise: of the last release of each row, shape (n_rows,).
            new: number of releases that became known with it, shape (n_rows,).
        """
        found = np.empty(len(surprise))
        for row in range(len(surprise)):
            if new[row] > 0:
                self._scale = deviation(self._seen, self._needed)
                if np.isfinite(surprise[row]):
                    self._seen = [*self._seen, float(surprise[row])][-self._window :]
            found[row] = np.nan if self._scale is None else self._scale
        return found


def deviation(values: Sequence[float], needed: int) -> float | None:
    """Sample deviation; None of fewer than ``needed`` values, or where they do not differ."""
    if len(values) < needed:
        return None
    found = float(np.std(np.array(values), ddof=1))
    # 0.3 - 0.2 and 0.4 - 0.3 differ by a rounding.
    return found if FLAT * max(map(abs, values)) < found < np.inf else None
