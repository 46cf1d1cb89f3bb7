"""Indicators that are the mean of a moving window and its deviation."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.features.technical.carried import column
from hf_plugins.kernels import moving
from hf_plugins.registry import features


class BbandsParams(Params):
    """Parameters of the Bollinger bands."""

    length: Annotated[int, Field(ge=2, le=100_000, description="Bars of the window.")] = 20
    deviations: Annotated[
        float,
        Field(gt=0, le=100, description="Standard deviations from the middle band to the others."),
    ] = 2.0


@features.register("technical.bbands")
class Bbands(BaseFeature):
    r"""Bollinger bands of the close.

    .. math::
        m_t = \frac{1}{n} \sum_{i=0}^{n-1} C_{t-i}, \quad
        s_t^2 = \frac{1}{n} \sum_{i=0}^{n-1} (C_{t-i} - m_t)^2, \quad
        U_t, L_t = m_t \pm k s_t

    Shape: five columns, each followed by ``_{length}_{deviations}``: ``bbands_lower`` (L),
    ``bbands_middle`` (m) and ``bbands_upper`` (U) in the unit of the price; ``bbands_width``, which
    is (U - L) / m, and ``bbands_percent``, which is (C - L) / (U - L), without unit.

    Null: the first ``length - 1`` bars; while a close of the window is null; the width where the
    middle is 0; the percentage where the window does not vary (by more than 1e-12 of its largest
    price), because the bands are one line then. Each window is summed anew, so nothing outside of
    it leaves a trace.

    Source: Bollinger (2001), "Bollinger on Bollinger Bands"; deviation of a population, as there
    and in TA-Lib.
    """

    Params: ClassVar[type[Params]] = BbandsParams
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def _typed(self) -> BbandsParams:
        return cast(BbandsParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Lower, middle and upper band, their width, and where the close lies between them."""
        suffix = f"{self._typed.length}_{self._typed.deviations:.15g}"
        names = ("lower", "middle", "upper", "width", "percent")
        return tuple(f"bbands_{name}_{suffix}" for name in names)

    @property
    def memory(self) -> Memory:
        """The window."""
        return Memory.finite(self._typed.length)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the bands; see the class."""
        close = column(data, "close")
        middle, deviation = moving.moments(close, self._typed.length, 0)
        reach = self._typed.deviations * deviation
        values = np.empty((5, len(close)))
        lower, upper, width, percent = values[0], values[2], values[3], values[4]
        values[1] = middle
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            np.subtract(middle, reach, out=lower)
            np.add(middle, reach, out=upper)
            between = upper - lower
            np.divide(between, middle, out=width)
            np.divide(close - lower, between, out=percent)
        percent[deviation == 0.0] = np.nan
        values[~np.isfinite(values)] = np.nan
        return pd.DataFrame(values.T, columns=list(self.outputs), index=data.index, copy=False)
