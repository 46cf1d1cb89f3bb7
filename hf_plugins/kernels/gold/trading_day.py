"""The trading day: its range so far, and high, low and close of the one before.

A trading day runs from 22:00 to 22:00 UTC, New York's close: gold's daily break lies there in
winter and in summer, and Sunday evening belongs to Monday. The previous day is the latest earlier
one that has joined bars. The first day of the data may be cut off, so nothing is derived from it.

The output is its own state: row ``start - 1`` is what row ``start`` continues from. Where that is
null, the data is taken to begin.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

DAY: Final = 1440
START: Final = 120
"""Minutes from the start of the trading day to midnight UTC."""


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    minute: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    out: np.ndarray,
) -> None:
    """High and low of the day so far, whether it is the first one, previous high, low and close.

    Unit: that of the price; the third row is 1 or 0. Look-back: two trading days. Null: the last
    three during the first two trading days of the data.
    """
    for t in range(start, stop):
        if t == 0 or np.isnan(out[0, t - 1]):
            out[0, t], out[1, t], out[2, t] = high[t], low[t], 1.0
        elif (minute[t] + START) // DAY == (minute[t - 1] + START) // DAY:
            out[0, t] = max(out[0, t - 1], high[t])
            out[1, t] = min(out[1, t - 1], low[t])
            for k in range(2, 6):
                out[k, t] = out[k, t - 1]
        else:
            out[0, t], out[1, t], out[2, t] = high[t], low[t], 0.0
            if out[2, t - 1] == 0.0:
                out[3, t] = out[0, t - 1]
                out[4, t] = out[1, t - 1]
                out[5, t] = close[t - 1]
