"""Volatility, and whether it is low, middling or high for the instrument."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.kernels import moving
from hf_plugins.kernels.returns import log_returns
from hf_plugins.registry import features


class VolatilityRegimeParams(Params):
    """Parameters of the volatility regime."""

    window: Annotated[
        int, Field(ge=2, le=100_000, description="Returns of which the volatility is taken.")
    ] = 20
    rank_window: Annotated[
        int, Field(ge=2, le=100_000, description="Bars before the current one to rank it among.")
    ] = 252
    min_history: Annotated[
        int,
        Field(
            ge=2,
            validate_default=True,
            description="Known volatilities needed among them; at most rank_window.",
        ),
    ] = 126
    low: Annotated[
        float, Field(gt=0, lt=1, description="Quantile up to which volatility is low.")
    ] = 0.33
    high: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            validate_default=True,
            description="Quantile from which on volatility is high; more than low.",
        ),
    ] = 0.67

    @field_validator("min_history")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("rank_window")
        if window is not None and value > window:
            raise ValueError(f"must not exceed rank_window ({window})")
        return value

    @field_validator("high")
    @classmethod
    def _is_above_low(cls, value: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and value <= low:
            raise ValueError(f"must be more than low ({low})")
        return value


@features.register("statistical.volatility_regime")
class VolatilityRegime(BaseFeature):
    r"""Realised volatility, and its regime among the volatilities before it.

    .. math::
        v_t^2 = \frac{1}{w - 1} \sum_{i=0}^{w-1} (r_{t-i} - \bar r_t)^2, \quad
        r_t = \ln \frac{C_t}{C_{t-1}}

    and the regime is 0 (low) where :math:`v_t \le q_{low}`, 2 (high) where
    :math:`v_t \ge q_{high}`, else 1, with the quantiles (interpolated linearly) of the known
    volatilities of the ``rank_window`` bars *before* t: the thresholds are known before the value
    that they judge.

    Shape: two columns, ``realised_volatility_{window}`` (unit: log return per bar; not annualised,
    because that takes the calendar and the timeframe) and ``volatility_regime_{window}_
    {rank_window}`` (0, 1 or 2).

    Null: the volatility in the first ``window`` bars and while a close of the window is null or not
    positive; the regime where the volatility is null, where fewer than ``min_history`` are known
    before it, and where it is low and high at once (all of them are equal). Gaps are not filled.

    Source: the volatility is the deviation of a sample of log returns, as in Hull, "Options,
    Futures, and Other Derivatives"; the regimes are terciles by default.
    """

    Params: ClassVar[type[Params]] = VolatilityRegimeParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def _typed(self) -> VolatilityRegimeParams:
        return cast(VolatilityRegimeParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Volatility and regime."""
        window, ranked = self._typed.window, self._typed.rank_window
        return f"realised_volatility_{window}", f"volatility_regime_{window}_{ranked}"

    @property
    def memory(self) -> Memory:
        """The closes of the oldest volatility that the current one is ranked among, and on."""
        return Memory.finite(self._typed.window + 1 + self._typed.rank_window)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute both; see the class."""
        params = self._typed
        returns = log_returns(np.array(data["close"], dtype=np.float64))
        volatility = pd.Series(moving.moments(returns, params.window, 1)[1])
        # Order statistics are exact: no sum runs along, so a tail equals the whole.
        before = volatility.shift(1).rolling(params.rank_window, min_periods=params.min_history)
        low = volatility <= before.quantile(params.low)
        high = volatility >= before.quantile(params.high)
        known = before.count().ge(params.min_history) & volatility.notna() & ~(low & high)
        regime = np.where(known, 1.0 - low + high, np.nan)
        values = np.column_stack([volatility, regime])
        return pd.DataFrame(values, columns=list(self.outputs), index=data.index)
