"""The precision that bars are kept in: that of their instrument.

Only rounding belongs here; nothing is fixed, filled or dropped. What a bar must satisfy, and what
becomes of one that does not, is in :mod:`hf_plugins.bar_quality`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, nearest
from hf_plugins.market_data import ADJUSTMENT_DIGITS
from hf_resources.instruments import Instrument

PRICES: Final = ("open", "high", "low", "close")
ADJUSTMENT: Final = "adjustment"
RAW_DECIMALS: Final = {
    **dict.fromkeys(PRICES, ("price", 0)),
    "volume": ("size", 0),
    "vwap": ("price", 4),
    "trades": ("none", 0),
    "taker_buy_volume": ("size", 0),
    "open_interest": ("size", 0),
    "funding_rate": ("none", 10),
    "liquidations_long": ("price", 0),
    "liquidations_short": ("price", 0),
    "long_short_account_ratio": ("none", 6),
    "split_factor": ("significant", 0),
    "dividend": ("none", 8),
    ADJUSTMENT: ("significant", 0),
}
"""Decimals of each column: those of the instrument's prices or sizes (or none), and some more."""
# Above this a float64 has no decimals left to round.
_EXACT: Final = 2.0**53


def rounded_bars(frame: pd.DataFrame, instrument: Instrument, owner: str) -> pd.DataFrame:
    """Round bars to the instrument's precision, and change nothing else.

    Vendors resend history with noise in the last bits; after this the same bar has the same bytes
    each time. What is wrong with a row is told by :mod:`hf_plugins.bar_quality`.

    Args:
        frame: columns out of :data:`RAW_DECIMALS` and ``is_final``, indexed by open time.
        instrument: whose precision applies.
        owner: what to call the bars in a message.

    Raises:
        DataError: a column is unknown or not made of numbers.
    """
    rounded = {}
    for label, column in frame.items():
        name = str(label)
        kind = column.dtype
        if name == "is_final":
            rounded[name] = column
            continue
        if name not in RAW_DECIMALS:
            raise DataError(
                f"{owner}: unknown column '{name}'; allowed: {', '.join(RAW_DECIMALS)}, is_final."
                f"{nearest(name, RAW_DECIMALS)}"
            )
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise DataError(f"{owner}: column '{name}' is of type {kind}; it must be numbers")
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        base, extra = RAW_DECIMALS[name]
        precision = {"price": instrument.price_precision, "size": instrument.size_precision}
        with np.errstate(invalid="ignore"):
            rounded[name] = (
                _significant(values)
                if base == "significant"
                else _decimals(values, precision.get(base, 0) + extra)
            )
    return pd.DataFrame(rounded, index=frame.index)


def _decimals(values: np.ndarray, precision: int) -> np.ndarray:
    small = np.abs(values) * 10.0**precision < _EXACT
    rounded = np.where(small, np.round(np.where(small, values, 0.0), precision), values)
    return rounded + 0.0  # -0.0 becomes 0.0


def _significant(values: np.ndarray) -> np.ndarray:
    # Through text, because that is the one way that is right in every decade; the factor is
    # piecewise constant, so there are few distinct values.
    distinct, inverse = np.unique(values, return_inverse=True)
    rounded = [float(f"{value:.{ADJUSTMENT_DIGITS}g}") for value in distinct]
    return np.array(rounded, dtype="float64")[inverse]
