"""Positions from predictions by two thresholds."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import BaseSignalGenerator, Memory, Params
from hf_plugins.errors import DataError
from hf_plugins.registry import signals


class ThresholdParams(Params):
    """Parameters of ``signal.threshold``."""

    unit: Annotated[
        Literal["raw", "quantile", "sigma"],
        Field(
            description="What buy and sell mean: the prediction itself, a quantile of the past "
            "predictions, or standard deviations from their mean."
        ),
    ] = "quantile"
    window: Annotated[int, Field(ge=2, description="Past bars of quantile and sigma.")] = 252
    min_history: Annotated[
        int, Field(ge=2, validate_default=True, description="Predictions needed among these.")
    ] = 60
    buy: Annotated[float, Field(validate_default=True, description="Buy above this threshold.")] = (
        0.6
    )
    sell: Annotated[
        float, Field(validate_default=True, description="Sell below this threshold.")
    ] = 0.4
    short: Annotated[
        bool, Field(description="Below sell go short (-1); otherwise leave the market (0).")
    ] = True
    neutral: Annotated[
        Literal["flat", "hold"],
        Field(description="Between the thresholds: no position, or the previous one."),
    ] = "flat"

    @field_validator("min_history")
    @classmethod
    def _fits_the_window(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("window")
        if window is not None and value > window:
            raise ValueError(f"must not exceed window ({window})")
        return value

    @field_validator("buy", "sell")
    @classmethod
    def _is_a_threshold(cls, value: float, info: ValidationInfo) -> float:
        if not np.isfinite(value):
            raise ValueError("must be a finite number")
        if info.data.get("unit") == "quantile" and not 0.0 < value < 1.0:
            raise ValueError("must lie between 0 and 1, both excluded, when unit is 'quantile'")
        buy = info.data.get("buy")
        if info.field_name == "sell" and buy is not None and value >= buy:
            raise ValueError(f"must be below buy ({buy})")
        return value


@signals.register("signal.threshold")
class ThresholdSignal(BaseSignalGenerator):
    r"""Long above one threshold, short or flat below another.

    With :math:`p_t` the prediction and :math:`W_t` the known predictions among the ``window`` bars
    *before* t (bar t excluded), the thresholds are

    * ``raw``: :math:`buy` and :math:`sell` themselves;
    * ``quantile``: the quantiles :math:`Q_{buy}(W_t)` and :math:`Q_{sell}(W_t)`, linear between
      order statistics;
    * ``sigma``: :math:`\bar W_t + buy \cdot s(W_t)` and :math:`\bar W_t + sell \cdot s(W_t)`, with
      the sample standard deviation (n - 1).

    Target is 1 for :math:`p_t` above the first, -1 (0 without ``short``) below the second, and what
    ``neutral`` says otherwise. Column ``signal`` is BUY, SELL or HOLD accordingly. Null policy: a
    null prediction, fewer than ``min_history`` predictions in the window, or no dispersion under
    ``sigma`` give target 0 and HOLD, and end a position that was held on to.
    """

    Params = ThresholdParams
    libraries = ("numba", "numpy", "pandas")

    @property
    def memory(self) -> Memory:
        """The window and the bar itself; all of history when positions are held on to."""
        params = self._typed
        if params.neutral == "hold":
            return Memory.cumulative()
        return Memory.finite(1 if params.unit == "raw" else params.window + 1)

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Columns ``target`` (float64) and ``signal`` (text), the index of ``predictions``."""
        params = self._typed
        if "prediction" not in predictions:
            raise DataError(f"{self.key}: the predictions lack the column 'prediction'")
        value = pd.Series(predictions["prediction"].to_numpy(np.float64), predictions.index)
        if np.isinf(value.to_numpy()).any():
            raise DataError(f"{self.key}: a prediction is infinite")
        upper, lower = self._thresholds(value)
        decided = (value.notna() & upper.notna() & lower.notna()).to_numpy()
        buy = decided & (value > upper).to_numpy()
        sell = decided & (value < lower).to_numpy()
        below = -1.0 if params.short else 0.0
        target = pd.Series(np.where(buy, 1.0, np.where(sell, below, 0.0)), index=value.index)
        if params.neutral == "hold":
            target = target.mask(decided & ~buy & ~sell).ffill().fillna(0.0)
        text = np.where(buy, "BUY", np.where(sell, "SELL", "HOLD"))
        return pd.DataFrame(
            {"target": target, "signal": pd.Series(text, index=value.index, dtype="str")},
            index=predictions.index,
        )

    @property
    def _typed(self) -> ThresholdParams:
        return cast(ThresholdParams, self.params)

    def _thresholds(self, value: pd.Series) -> tuple[pd.Series, pd.Series]:
        params = self._typed
        if params.unit == "raw":
            return pd.Series(params.buy, value.index), pd.Series(params.sell, value.index)
        if params.unit == "quantile":
            # Order statistics are exact: no sum runs along, so a tail equals the whole.
            past = value.shift(1).rolling(params.window, min_periods=params.min_history)
            return pd.Series(past.quantile(params.buy)), pd.Series(past.quantile(params.sell))
        from hf_plugins.kernels import trailing

        moments = trailing.past_moments(
            np.ascontiguousarray(value.to_numpy(np.float64)), params.window, params.min_history
        )
        mean, deviation = (pd.Series(moment, value.index) for moment in moments)
        return mean + params.buy * deviation, mean + params.sell * deviation
