"""Indicators that compare a fast exponential average of the close with a slow one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, cast

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import Memory, Params
from hf_plugins.features.technical.carried import CarriedFeature, column, rows_to_forget
from hf_plugins.kernels import exponential
from hf_plugins.registry import features

_LONGEST: Final = 10_000

Fast = Annotated[int, Field(ge=2, le=_LONGEST, description="Bars of the fast average.")]
Slow = Annotated[
    int,
    Field(
        ge=3,
        le=_LONGEST,
        validate_default=True,
        description="Bars of the slow average; more than fast.",
    ),
]


class FastSlowParams(Params):
    """Parameters of two averages."""

    fast: Fast = 12
    slow: Slow = 26

    @field_validator("slow")
    @classmethod
    def _is_the_slower(cls, value: int, info: ValidationInfo) -> int:
        fast = info.data.get("fast")
        if fast is not None and value <= fast:
            raise ValueError(f"must be more than fast ({fast})")
        return value


class MacdParams(FastSlowParams):
    """Parameters of the moving average convergence/divergence."""

    signal: Annotated[
        int, Field(ge=1, le=_LONGEST, description="Bars of the average of the line.")
    ] = 9


class EmaCrossParams(FastSlowParams):
    """Parameters of the crossing of two averages."""


def _rows_of_an_average(length: int) -> int:
    """Rows until an average has forgotten its start: its seed, then decay."""
    return length + rows_to_forget(2.0 / (length + 1))


@features.register("technical.macd")
class Macd(CarriedFeature):
    r"""Moving average convergence/divergence of the close.

    .. math:: M_t = E^{fast}_t - E^{slow}_t, \quad S_t = E^{signal}_t(M), \quad H_t = M_t - S_t

    with :math:`E^n` the exponential average of weight 2 / (n + 1), started by the mean of n values.
    Unit: that of the price; 0 where the price does not move. Shape: three columns
    ``macd_{fast}_{slow}_{signal}`` (M), ``macd_signal_...`` (S) and ``macd_histogram_...`` (H).

    Null: M in the first ``slow - 1`` bars, S and H in the ``signal - 1`` bars after these too; at a
    bar whose close is null, after which the averages start anew.

    Source: Appel (1979), "The Moving Average Convergence-Divergence Trading Method"; seeded and
    rounded as TA-Lib does.
    """

    Params: ClassVar[type[Params]] = MacdParams
    state_names: ClassVar[tuple[str, ...]] = exponential.MACD_STATE

    @property
    def _typed(self) -> MacdParams:
        return cast(MacdParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Line, signal and histogram."""
        suffix = f"{self._typed.fast}_{self._typed.slow}_{self._typed.signal}"
        return tuple(f"{name}_{suffix}" for name in ("macd", "macd_signal", "macd_histogram"))

    @property
    def memory(self) -> Memory:
        """Fading: the slow average forgets, and then the average of the line does."""
        slow, signal = map(_rows_of_an_average, (self._typed.slow, self._typed.signal))
        return Memory.fading(slow + signal)

    def begin(self) -> np.ndarray:
        """No value seen."""
        return exponential.empty_macd()

    def proceed(self, data: pd.DataFrame, state: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Compute the three; see the class."""
        lengths = (self._typed.fast, self._typed.slow, self._typed.signal)
        *values, after = exponential.macd_continue(column(data, "close"), *lengths, state)
        return values, after


@features.register("technical.ema_cross")
class EmaCross(CarriedFeature):
    r"""Crossings of two exponential averages of the close.

    .. math::
        X_t = \begin{cases}
            +1 & E^{fast}_t > E^{slow}_t \text{ and } E^{fast}_{t-1} \le E^{slow}_{t-1} \\
            -1 & E^{fast}_t < E^{slow}_t \text{ and } E^{fast}_{t-1} \ge E^{slow}_{t-1} \\
            0 & \text{otherwise}
        \end{cases}

    with :math:`E^n` the exponential average of weight 2 / (n + 1), started by the mean of the first
    n values. Averages that differ by at most 1e-12 of the slow one are equal: a price that does not
    move crosses nothing. Shape: three columns ``ema_{fast}`` and ``ema_{slow}`` (unit: that of the
    price) and ``ema_cross_{fast}_{slow}`` (no unit).

    Null: each average until it has its number of bars, the crossing one bar longer than the slow
    one; at a bar whose close is null, after which the averages start anew.

    Source: the two rules are the usual definition of a crossover and a crossunder of two series;
    the averages are seeded and rounded as TA-Lib does.
    """

    Params: ClassVar[type[Params]] = EmaCrossParams
    state_names: ClassVar[tuple[str, ...]] = exponential.CROSS_STATE

    @property
    def _typed(self) -> EmaCrossParams:
        return cast(EmaCrossParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Fast average, slow average and crossing."""
        fast, slow = self._typed.fast, self._typed.slow
        return f"ema_{fast}", f"ema_{slow}", f"ema_cross_{fast}_{slow}"

    @property
    def memory(self) -> Memory:
        """Fading: as the slow average does, and the bar before for the crossing."""
        return Memory.fading(_rows_of_an_average(self._typed.slow) + 1)

    def begin(self) -> np.ndarray:
        """No value seen."""
        return exponential.empty_cross()

    def proceed(self, data: pd.DataFrame, state: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Compute the three; see the class."""
        lengths = (self._typed.fast, self._typed.slow)
        *values, after = exponential.cross_continue(column(data, "close"), *lengths, state)
        return values, after
