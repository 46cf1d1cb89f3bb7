"""Momentum and volatility by Wilder's smoothing."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Memory, Params
from hf_plugins.features.technical.carried import CarriedFeature, column, rows_to_forget
from hf_plugins.kernels import wilder
from hf_plugins.registry import features


def _wilder_memory(length: int) -> Memory:
    """Rows until Wilder's smoothing has forgotten its start: first change, seed, then decay."""
    return Memory.fading(1 + length + rows_to_forget(1.0 / length))


class RsiParams(Params):
    """Parameters of the relative strength index."""

    length: Annotated[int, Field(ge=2, le=10_000, description="Bars of the smoothing.")] = 14


@features.register("technical.rsi")
class Rsi(CarriedFeature):
    r"""Relative strength index of the close, by Wilder's smoothing.

    .. math:: RSI_t = 100 \cdot \frac{G_t}{G_t + L_t}

    with G and L the smoothed gains and losses of the close from bar to bar. Unit: none, in
    [0, 100]; 100 where there are no losses, 0 where there are no gains. Shape: one column
    ``rsi_{length}``.

    Null: the first ``length`` bars; where the series is flat (gains plus losses average at most
    1e-12 of the price: the index of a series that does not move is undefined, not 50); at a bar
    whose close is null and at the ``length`` bars after it, because the smoothing starts anew.

    Source: Wilder (1978), seeded as TA-Lib does.
    """

    Params: ClassVar[type[Params]] = RsiParams
    state_names: ClassVar[tuple[str, ...]] = wilder.STATE

    @property
    def length(self) -> int:
        """Bars of the smoothing."""
        return cast(RsiParams, self.params).length

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``rsi_{length}``."""
        return (f"rsi_{self.length}",)

    @property
    def memory(self) -> Memory:
        """Fading: all past bars, with weights that shrink by 1 - 1/length a bar."""
        return _wilder_memory(self.length)

    def begin(self) -> np.ndarray:
        """No value seen."""
        return wilder.empty_state()

    def proceed(self, data: pd.DataFrame, state: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Compute the index; see the class."""
        values, after = wilder.rsi_continue(column(data, "close"), self.length, state)
        return [values], after


class AtrParams(Params):
    """Parameters of the average true range."""

    length: Annotated[int, Field(ge=1, le=10_000, description="Bars of the smoothing.")] = 14


@features.register("technical.atr")
class Atr(CarriedFeature):
    r"""Average true range, by Wilder's smoothing.

    .. math:: TR_t = \max(H_t - L_t,\; |H_t - C_{t-1}|,\; |L_t - C_{t-1}|)

    smoothed over ``length`` bars. Unit: that of the price. Shape: one column ``atr_{length}``.

    Null: the first ``length`` bars (the first one has no previous close); where the high, the low
    or the previous close is null and at the ``length - 1`` bars after such a bar, because the
    smoothing starts anew.

    Source: Wilder (1978), seeded as TA-Lib does.
    """

    Params: ClassVar[type[Params]] = AtrParams
    state_names: ClassVar[tuple[str, ...]] = wilder.STATE

    @property
    def length(self) -> int:
        """Bars of the smoothing."""
        return cast(AtrParams, self.params).length

    @property
    def reads(self) -> tuple[str, ...]:
        """High, low and close."""
        return ("high", "low", "close")

    @property
    def outputs(self) -> tuple[str, ...]:
        """``atr_{length}``."""
        return (f"atr_{self.length}",)

    @property
    def memory(self) -> Memory:
        """Fading: all past bars, with weights that shrink by 1 - 1/length a bar."""
        return _wilder_memory(self.length)

    def begin(self) -> np.ndarray:
        """No value seen."""
        return wilder.empty_state()

    def proceed(self, data: pd.DataFrame, state: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Compute the range; see the class."""
        high, low, close = (column(data, name) for name in self.reads)
        values, after = wilder.atr_continue(high, low, close, self.length, state)
        return [values], after
