"""Small frames that the tests of this package share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def days(count: int) -> pd.DatetimeIndex:
    return pd.date_range("2020-01-01", periods=count, freq="D", tz="UTC", name="timestamp")


def bars(opens: Sequence[float] | np.ndarray, closes: Sequence[float] | np.ndarray) -> pd.DataFrame:
    first, last = np.asarray(opens, dtype="float64"), np.asarray(closes, dtype="float64")
    return pd.DataFrame(
        {
            "open": first,
            "high": np.fmax(first, last),
            "low": np.fmin(first, last),
            "close": last,
            "volume": 1.0,
        },
        index=days(len(first)),
    )


def targets(values: Sequence[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"target": np.asarray(values, dtype="float64")}, index=days(len(values)))


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column, typed: pandas' own types allow it to be a frame."""
    values = frame[name]
    assert isinstance(values, pd.Series)
    return values


def array(frame: pd.DataFrame, name: str) -> np.ndarray:
    return column(frame, name).to_numpy()
