"""The adjusted view of raw market data.

Raw bars are kept as they traded, with the factor of the corporate actions so far in a column of its
own; what features and backtests see is derived here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, listing

PRICES = ("open", "high", "low", "close")
ADJUSTMENT_DIGITS = 12
"""Significant digits to which an adjustment is kept."""
OUTPUTS = (*OHLCV, "raw_close")


def adjusted_bars(raw: pd.DataFrame) -> pd.DataFrame:
    r"""Bars on a total-return basis, anchored at the first bar.

    With the adjustment :math:`a_t` of bar t, :math:`p'_t = a_t p_t` for open, high, low and close,
    and :math:`v'_t = v_t / a_t`, so that traded value is kept. A split of 2:1 doubles :math:`a`
    from its first bar on, a dividend raises it by the dividend's yield: prices are those of a
    holding that began as one share at the first bar and reinvested its dividends. The anchor is the
    first bar and not the last one, so history never changes when a later dividend arrives; the
    price of today is in ``raw_close``. Because a dividend moves :math:`a` too, adjusted volume
    drifts down with reinvested dividends; it counts shares of that holding, not of the issue.

    Args:
        raw: shape (n_bars, 5 or 6), columns open, high, low, close, volume as traded, and
            ``adjustment`` (positive, 1.0 at the first bar of the history). Without that column
            nothing is adjusted.

    Returns:
        shape (n_bars, 6), float64 columns open, high, low, close, volume, raw_close; the index of
        ``raw``. Null where an input is null.

    Raises:
        DataError: a column is missing.
    """
    missing = [name for name in OHLCV if name not in raw.columns]
    if missing:
        raise DataError(f"adjusted bars need the columns {listing(missing)}, which are not there")
    bars = raw.loc[:, list(OHLCV)].astype("float64")
    bars["raw_close"] = bars["close"]
    if "adjustment" in raw.columns:
        factor = raw["adjustment"].astype("float64")
        for name in PRICES:
            bars[name] = bars[name] * factor
        bars["volume"] = bars["volume"] / factor
    return bars


def cumulated_adjustment(
    close: np.ndarray,
    split_factor: np.ndarray,
    dividend: np.ndarray,
    *,
    previous_close: float | None = None,
    previous: float = 1.0,
) -> np.ndarray:
    r"""The adjustment of each bar from the splits and dividends that take effect with it.

    .. math:: a_t = a_{t-1} \frac{s_t}{1 - d_t s_t / C_{t-1}}

    with the split factor s (new shares for an old one), the dividend d of a new share and the raw
    close before: the holding is multiplied by the split, and grows by the dividend reinvested at
    the last price with it. The reciprocal of the factor that CRSP applies backwards.

    Args:
        close: raw closes, shape (n_bars,).
        split_factor: shape (n_bars,); null counts as no split.
        dividend: shape (n_bars,), per share; null counts as none.
        previous_close: raw close before the first bar; None if there is none, and what takes
            effect with the first bar then changes nothing, for nobody held it before.
        previous: adjustment before the first bar.

    Returns:
        shape (n_bars,), float64, rounded to :data:`ADJUSTMENT_DIGITS`.

    Raises:
        DataError: a dividend is not below the price that it is paid from.
    """
    before = np.concatenate(([np.nan if previous_close is None else previous_close], close[:-1]))
    split = np.where(np.isnan(split_factor), 1.0, split_factor)
    paid = np.where(np.isnan(dividend), 0.0, dividend)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = split / (1.0 - paid * split / before)
    growth = np.where((split == 1.0) & (paid == 0.0), 1.0, growth)
    if previous_close is None and len(growth):
        growth[0] = 1.0
    wrong = ~((growth > 0) & np.isfinite(growth))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"a dividend of {paid[row]:g} is not below the close of {before[row]:g} before it"
        )
    # Rounded at each step, so that it is the same wherever the series is split.
    events = np.flatnonzero(growth != 1.0)
    factors = np.full(len(growth), previous, dtype=np.float64)
    for row in events:
        previous = float(f"{previous * growth[row]:.{ADJUSTMENT_DIGITS}g}")
        factors[row:] = previous
    return factors
