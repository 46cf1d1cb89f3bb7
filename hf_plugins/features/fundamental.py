"""Ratios of what a company reports and what it costs, by what had been filed at the time.

Which filings there are, and what the trailing twelve months of a company are, is the business of
the side table; nothing here sums up quarters or looks for restatements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, cast, get_args

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from hf_plugins.base import AGE, BaseFeature, Memory, Params, Side
from hf_plugins.errors import listing, nearest
from hf_plugins.registry import features

Ratio = Literal[
    "price_to_earnings",
    "price_to_book",
    "price_to_sales",
    "earnings_yield",
    "dividend_yield",
    "return_on_equity",
    "return_on_assets",
    "debt_to_equity",
    "net_margin",
]
MARKET: Final = "market_value"
SPLIT: Final = "cumulative_split"
PARTS: Final[Mapping[str, tuple[str, str]]] = {
    "price_to_earnings": (MARKET, "net_income_ttm"),
    "price_to_book": (MARKET, "equity"),
    "price_to_sales": (MARKET, "revenue_ttm"),
    "earnings_yield": ("net_income_ttm", MARKET),
    "dividend_yield": ("dividends_ttm", MARKET),
    "return_on_equity": ("net_income_ttm", "equity"),
    "return_on_assets": ("net_income_ttm", "total_assets"),
    "debt_to_equity": ("total_debt", "equity"),
    "net_margin": ("net_income_ttm", "revenue_ttm"),
}
"""Numerator and denominator of each ratio; null unless the denominator is above 0."""
COLUMNS: Final = (
    "net_income_ttm",
    "revenue_ttm",
    "dividends_ttm",
    "equity",
    "total_assets",
    "total_debt",
    "shares_outstanding",
    SPLIT,
)
"""What a table of filings may tell, see :class:`Ratios`."""
_NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"


class RatiosParams(Params):
    """Parameters of the ratios."""

    ratios: Annotated[
        tuple[Ratio, ...], Field(min_length=1, description="Which ones, in the order of columns.")
    ] = get_args(Ratio)
    table: Annotated[
        str, Field(pattern=_NAME, description="Name of the side table of filings, as in YAML.")
    ] = "filings"
    splits: Annotated[
        str,
        Field(
            pattern=r"^([a-z][a-z0-9_]{0,63})?$",
            description="Name of the side table of splits; empty where the table of filings has a "
            "row with the new number of shares at each split.",
        ),
    ] = "splits"
    columns: Annotated[
        dict[str, str],
        Field(
            description="Columns of the table of filings that are called otherwise: "
            "{net_income_ttm: ProfitLoss}."
        ),
    ] = {}  # noqa: RUF012  (pydantic copies it)
    max_age_days: Annotated[
        float, Field(gt=0, le=3650, description="Days after which a filing no longer counts.")
    ] = 200.0
    lag_minutes: Annotated[
        int,
        Field(ge=0, le=10_080, description="Minutes after its acceptance at which it can be had."),
    ] = 0

    @field_validator("ratios")
    @classmethod
    def _each_once(cls, value: tuple[Ratio, ...]) -> tuple[Ratio, ...]:
        if twice := sorted({each for each in value if value.count(each) > 1}):
            raise ValueError(f"names {listing(twice)} twice")
        return value

    @field_validator("columns")
    @classmethod
    def _are_known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in COLUMNS:
                raise ValueError(
                    f"there is no '{name}'; allowed: {listing(COLUMNS)}.{nearest(name, COLUMNS)}"
                )
        if len(set(value.values())) != len(value):
            raise ValueError("gives two amounts the same column")
        return value


@features.register("fundamental.ratios")
class Ratios(BaseFeature):
    r"""Ratios of price, earnings, assets and debt, as of the last filing that was known.

    A row of the table of filings is known from the instant at which the filing was accepted (and
    the declared lag). Its columns are amounts in the currency in which the instrument is quoted:

    * ``net_income_ttm``, ``revenue_ttm``, ``dividends_ttm``: of the twelve months to the end of the
      reported period; dividends are those of all shares together, as a positive number;
    * ``equity`` (of the shareholders), ``total_assets``, ``total_debt``: at the end of it;
    * ``shares_outstanding``: a count of shares, and ``cumulative_split``, the product of the split
      ratios (2 for 2:1) that had taken effect on the day for which they were counted.

    The value of the company is

    .. math:: V_t = \text{raw close}_t \times \text{shares} \times \frac{c_t}{c_f}

    with c the cumulative split as of the close (the last row of the table ``splits``, whose column
    ``cumulative_split`` begins with a row of 1 and has a row at the first instant at which a split
    is in the price) and as of the count of shares: a split between the filing and the bar
    changes no ratio. The adjusted close would not do, for it contains reinvested dividends.

    ===================== ============================= =====================
    ``price_to_earnings`` V / net_income_ttm            years of earnings
    ``price_to_book``     V / equity                    ratio
    ``price_to_sales``    V / revenue_ttm               years of sales
    ``earnings_yield``    net_income_ttm / V            fraction a year
    ``dividend_yield``    dividends_ttm / V             fraction a year
    ``return_on_equity``  net_income_ttm / equity       fraction a year
    ``return_on_assets``  net_income_ttm / total_assets fraction a year
    ``debt_to_equity``    total_debt / equity           ratio
    ``net_margin``        net_income_ttm / revenue_ttm  fraction
    ===================== ============================= =====================

    Equity and assets are those at the end of the period, not averages over it. Shape: one column
    for each of ``ratios``.

    Null: where the denominator is not above 0 (a company that loses money has no price to earnings;
    its earnings yield is negative, and defined); where an amount, the price or the number of shares
    is null, or the two latter are not above 0; before the first filing; while the last filing is
    older than ``max_age_days`` at the close of the bar.

    Source: Penman, "Financial Statement Analysis and Security Valuation", for the ratios.
    """

    Params: ClassVar[type[Params]] = RatiosParams

    @property
    def _typed(self) -> RatiosParams:
        return cast(RatiosParams, self.params)

    @property
    def _amounts(self) -> tuple[str, ...]:
        """Amounts that the ratios take, in the order of :data:`COLUMNS`."""
        used = {part for ratio in self._typed.ratios for part in PARTS[ratio]}
        if MARKET in used:
            used |= {"shares_outstanding"} | ({SPLIT} if self._typed.splits else set())
        return tuple(name for name in COLUMNS if name in used)

    @property
    def _priced(self) -> bool:
        return "shares_outstanding" in self._amounts

    @property
    def reads(self) -> tuple[str, ...]:
        """The close as traded, where a ratio takes the price."""
        return ("raw_close",) if self._priced else ()

    @property
    def sides(self) -> tuple[Side, ...]:
        """The last filing, and the splits so far where they are needed."""
        params = self._typed
        filed = Side(
            "filed",
            tuple(params.columns.get(name, name) for name in self._amounts),
            table=params.table,
            lag_minutes=params.lag_minutes,
            age=True,
        )
        if not (self._priced and params.splits):
            return (filed,)
        return filed, Side("now", (SPLIT,), table=params.splits)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the ratios."""
        return self._typed.ratios

    @property
    def memory(self) -> Memory:
        """The bar alone: what was filed is joined to it."""
        return Memory.finite(1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Divide; see the class."""
        params = self._typed

        def column(name: str) -> np.ndarray:
            return data[name].to_numpy(dtype=np.float64)

        amounts = {
            name: column(f"filed_{params.columns.get(name, name)}") for name in self._amounts
        }
        if self._priced:
            splits = _ratio(column(f"now_{SPLIT}"), amounts[SPLIT]) if params.splits else 1.0
            shares = _above_zero(amounts["shares_outstanding"])
            price = _above_zero(column("raw_close"))
            amounts[MARKET] = _above_zero(price * shares * splits)
        recent = column(f"filed_{AGE}") <= params.max_age_days
        values = {}
        for ratio in params.ratios:
            over, under = (amounts[part] for part in PARTS[ratio])
            values[ratio] = np.where(recent, _ratio(over, under), np.nan)
        return pd.DataFrame(values, index=data.index)


def _above_zero(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0.0, values, np.nan)


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Null where the denominator is not above 0, or so small that the ratio is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = over / _above_zero(under)
    return np.where(np.isfinite(found), found, np.nan)
