"""Persistence of returns."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.kernels import rescaled_range
from hf_plugins.kernels.returns import log_returns
from hf_plugins.registry import features


class HurstExponentParams(Params):
    """Parameters of the Hurst exponent."""

    window: Annotated[
        int,
        Field(
            ge=4 * rescaled_range.SHORTEST,
            le=5_000,
            description="Returns of the window; the longest blocks are half of it.",
        ),
    ] = 100


@features.register("statistical.hurst_exponent")
class HurstExponent(BaseFeature):
    r"""Hurst exponent of the log returns of the close, by calibrated rescaled range analysis.

    .. math::
        H_t = \frac{1}{2} + \text{slope of } \ln \frac{\overline{(R/S)}_n}{E_n} \text{ on } \ln n

    over the blocks of n = 8, 16, 32, ... returns (up to half the window) within the last ``window``
    returns; :math:`E_n` is the expectation of R/S for independent returns, see
    :mod:`~hf_plugins.kernels.rescaled_range`. Unit: none. About 0.5 where returns are independent
    (the price is a random walk), above where they are persistent (it trends), below where they are
    anti-persistent (it reverts). Shape: one column ``hurst_exponent_{window}``.

    It is an estimate from few returns: at a window of 100 its standard deviation is about 0.09 and
    fractional noise of H = 0.3 and 0.7 yields about 0.36 and 0.61 on average. It is not clipped:
    a value outside of [0, 1] is chance.

    Null: the first ``window`` bars; while a close of the window is null or not positive; where
    returns do not vary.

    Source: Anis and Lloyd (1976), Weron (2002).
    """

    Params: ClassVar[type[Params]] = HurstExponentParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def window(self) -> int:
        """Returns of the window."""
        return cast(HurstExponentParams, self.params).window

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``hurst_exponent_{window}``."""
        return (f"hurst_exponent_{self.window}",)

    @property
    def memory(self) -> Memory:
        """The closes of the returns of the window."""
        return Memory.finite(self.window + 1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the exponent; see the class."""
        returns = log_returns(np.array(data["close"], dtype=np.float64))
        sizes = rescaled_range.block_sizes(self.window)
        expected = np.array([rescaled_range.expected_range(int(size)) for size in sizes])
        values = rescaled_range.exponents(returns, self.window, sizes, expected)
        return pd.DataFrame({self.outputs[0]: values}, index=data.index)
