"""A frame of raw bars as arrays, after the checks that concern the frame as a whole.

A frame that is not a table of bars at all (a column missing or of the wrong type, no time zone) is
refused here in one sentence: no row of it could be kept, and none could be put aside sensibly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, nearest

PRICES: Final = ("open", "high", "low", "close")
FACTORS: Final = ("adjustment", "split_factor")
AMOUNTS: Final = (
    "volume",
    "trades",
    "taker_buy_volume",
    "taker_sell_volume",
    "open_interest",
    "liquidations_long",
    "liquidations_short",
    "dividend",
)
# May be of either sign, or are ratios that some other rule covers.
_SIGNED: Final = ("vwap", "funding_rate", "long_short_account_ratio", "exchange_inflow")
FINAL: Final = "is_final"
NUMERIC: Final = (*OHLCV, *AMOUNTS[1:], *_SIGNED, *FACTORS)
COLUMNS: Final = (*NUMERIC, FINAL)
"""Columns that raw bars may have; the first five are required."""

NO_TIME: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Batch:
    """Raw bars, in the order in which they arrived.

    Attributes:
        stamps: open times, int64 microseconds UTC, :data:`NO_TIME` where there is none.
        values: float64 array of each numeric column, NaN where null.
        final: whether each bar is marked as finished; all True without such a mark.
    """

    stamps: np.ndarray
    values: dict[str, np.ndarray]
    final: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps)

    def take(self, rows: np.ndarray) -> Batch:
        """The rows at some positions, in that order."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Batch(self.stamps[rows], values, self.final[rows])

    def after(self, earlier: Batch) -> Batch:
        """These rows behind earlier ones; a column that only one side has is null on the other."""
        names = dict.fromkeys([*earlier.values, *self.values])
        values = {
            name: np.concatenate([_or_null(part, name) for part in (earlier, self)])
            for name in names
        }
        return Batch(
            np.concatenate((earlier.stamps, self.stamps)),
            values,
            np.concatenate((earlier.final, self.final)),
        )


def read_batch(frame: pd.DataFrame, owner: str) -> Batch:
    """Check the frame as a whole and take it apart.

    Args:
        frame: columns out of :data:`COLUMNS`, indexed by open time in UTC.
        owner: what to call it in a message.

    Raises:
        DataError: a column is unknown, missing, there twice or not numeric, or the index is not
            made of instants in UTC.
    """
    _check_columns(frame, owner)
    index = _check_index(frame, owner)
    stamps = index.as_unit("us").asi8  # NaT is the least int64, which is NO_TIME
    numeric = [name for name in frame.columns if name != FINAL]
    values = {str(name): frame[name].to_numpy("float64", na_value=np.nan) for name in numeric}
    final = (
        frame[FINAL].to_numpy("bool", na_value=False)
        if FINAL in frame.columns
        else np.ones(len(frame), dtype=bool)
    )
    return Batch(stamps, values, final)


def _check_columns(frame: pd.DataFrame, owner: str) -> None:
    present = [str(name) for name in frame.columns]
    for name in present:
        if name not in COLUMNS:
            raise DataError(
                f"{owner}: unknown column '{name}'; allowed: {', '.join(COLUMNS)}."
                f"{nearest(name, COLUMNS)}"
            )
        if present.count(name) > 1:
            raise DataError(f"{owner}: column '{name}' is there {present.count(name)} times")
    for name in OHLCV:
        if name not in present:
            raise DataError(
                f"{owner}: column '{name}' is missing; the bars have: "
                f"{', '.join(present) or 'none'}"
            )
    for name in present:
        kind = frame[name].dtype
        boolean = pd.api.types.is_bool_dtype(kind)
        if name == FINAL and not boolean:
            raise DataError(f"{owner}: column '{name}' is of type {kind}; it must be true or false")
        if name != FINAL and (boolean or not pd.api.types.is_numeric_dtype(kind)):
            raise DataError(f"{owner}: column '{name}' is of type {kind}; it must be numbers")


def _check_index(frame: pd.DataFrame, owner: str) -> pd.DatetimeIndex:
    index = frame.index
    rule = "bars must be indexed by their open time in UTC"
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"{owner}: the bars are indexed by {index.dtype}; {rule}")
    if index.tz is None:
        raise DataError(f"{owner}: the timestamps have no time zone; {rule}")
    if str(index.tz) != "UTC":
        raise DataError(f"{owner}: the timestamps are in time zone {index.tz}; {rule}")
    return index


def _or_null(part: Batch, name: str) -> np.ndarray:
    return part.values[name] if name in part.values else np.full(len(part), np.nan)
