"""Distance from the mean of a moving window, in its standard deviations."""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.kernels import moving
from hf_plugins.registry import features


class MeanReversionParams(Params):
    """Parameters of the distance from the mean."""

    window: Annotated[
        int, Field(ge=2, le=100_000, description="Bars of the window, the current one included.")
    ] = 20


class ZScoreParams(MeanReversionParams):
    """Parameters of the standard score."""

    column: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9_]*$",
            description="Column of the bars: a price, the volume, or one of the enriched data.",
        ),
    ] = "close"


class StandardScore(BaseFeature):
    """What the two features of this module share: one column, one window, one formula."""

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")

    @property
    def window(self) -> int:
        """Bars of the window."""
        return cast(MeanReversionParams, self.params).window

    @property
    def memory(self) -> Memory:
        """The window."""
        return Memory.finite(self.window)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the score; see the class."""
        values = np.array(data[self.reads[0]], dtype=np.float64)
        mean, deviation = moving.moments(values, self.window, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(deviation > 0.0, (values - mean) / deviation, np.nan)
        return pd.DataFrame({self.outputs[0]: score}, index=data.index)


@features.register("statistical.mean_reversion")
class MeanReversion(StandardScore):
    r"""Distance of the close from its moving mean, in its moving standard deviations.

    .. math::
        R_t = \frac{C_t - m_t}{s_t}, \quad
        m_t = \frac{1}{w} \sum_{i=0}^{w-1} C_{t-i}, \quad
        s_t^2 = \frac{1}{w - 1} \sum_{i=0}^{w-1} (C_{t-i} - m_t)^2

    Unit: standard deviations; above 0 the price is dear against its recent mean. It cannot exceed
    :math:`(w - 1) / \sqrt{w}`. Shape: one column ``mean_reversion_{window}``.

    Null: the first ``window - 1`` bars; while a close of the window is null; where the window does
    not vary (by more than 1e-12 of its largest price). Source: the standard score; same numbers as
    ``statistical.z_score`` of the close.
    """

    Params: ClassVar[type[Params]] = MeanReversionParams

    @property
    def reads(self) -> tuple[str, ...]:
        """The close alone."""
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``mean_reversion_{window}``."""
        return (f"mean_reversion_{self.window}",)


@features.register("statistical.z_score")
class ZScore(StandardScore):
    r"""Standard score of a column of the bars against its own recent past.

    .. math::
        Z_t = \frac{x_t - m_t}{s_t}, \quad
        m_t = \frac{1}{w} \sum_{i=0}^{w-1} x_{t-i}, \quad
        s_t^2 = \frac{1}{w - 1} \sum_{i=0}^{w-1} (x_{t-i} - m_t)^2

    Unit: standard deviations; it cannot exceed :math:`(w - 1) / \sqrt{w}`. Shape: one column,
    ``z_score_{window}`` of the close and ``z_score_{column}_{window}`` of any other.

    Null: the first ``window - 1`` bars; while a value of the window is null; where the window does
    not vary (by more than 1e-12 of its largest value). Source: the standard score, with the
    deviation of a sample.
    """

    Params: ClassVar[type[Params]] = ZScoreParams

    @property
    def reads(self) -> tuple[str, ...]:
        """The column alone."""
        return (cast(ZScoreParams, self.params).column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        """``z_score_{window}``, or ``z_score_{column}_{window}``."""
        (column,) = self.reads
        return (f"z_score_{'' if column == 'close' else column + '_'}{self.window}",)
