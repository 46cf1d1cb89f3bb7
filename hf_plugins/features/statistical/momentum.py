"""Returns over a number of bars."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.registry import features


class MomentumParams(Params):
    """Parameters of the momentum."""

    window: Annotated[
        int, Field(ge=1, le=100_000, description="Bars from the base to the current one.")
    ] = 20


@features.register("statistical.momentum")
class Momentum(BaseFeature):
    r"""Return of the close over a number of bars.

    .. math:: M_t = \frac{C_t}{C_{t-w}} - 1

    Unit: a fraction (0.05 is five per cent). Shape: one column ``momentum_{window}``.

    Null: the first ``window`` bars; where either close is null or the base is zero. Gaps are not
    filled, and ``window`` counts bars, not time.
    """

    Params: ClassVar[type[Params]] = MomentumParams

    @property
    def window(self) -> int:
        """Bars from the base to the current one."""
        return cast(MomentumParams, self.params).window

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``momentum_{window}``."""
        return (f"momentum_{self.window}",)

    @property
    def memory(self) -> Memory:
        """The base, the current bar and those between them."""
        return Memory.finite(self.window + 1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the return; see the class."""
        close = data["close"].to_numpy(dtype=np.float64)
        values = np.full(len(close), np.nan)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values[self.window :] = close[self.window :] / close[: -self.window] - 1.0
        values[~np.isfinite(values)] = np.nan
        return pd.DataFrame({self.outputs[0]: values}, index=data.index)
