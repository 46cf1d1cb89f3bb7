"""The adjusted view of raw market data.

Raw bars are kept as they traded, with the factor of the corporate actions so far in a column of its
own; what features and backtests see is derived here.
"""

from __future__ import annotations

import pandas as pd

from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, listing

PRICES = ("open", "high", "low", "close")
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
