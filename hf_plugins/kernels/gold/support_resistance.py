r"""Family *support-resistance*: round numbers, yesterday's range, the floor traders' pivot.

================== =============================================================== =========
value              formula                                                         bars
================== =============================================================== =========
round_number_10    :math:`|C - 10\,\mathrm{rint}(C / 10)|`                         1
prev_day_hl_dist   distance to the nearer of the previous trading day's high and   2881
                   low, over C
pivot_point_dist   (C - P) / P, P the mean of its high, low and close              2881
================== =============================================================== =========

Unit: dollars; none; none. Null: the last two during the first two trading days of the data, of
which the first may be cut off. Look-back: two trading days, at most 2881 bars.
Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    close: np.ndarray,
    previous_high: np.ndarray,
    previous_low: np.ndarray,
    previous_close: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        out[0, t] = abs(close[t] - 10.0 * np.rint(close[t] / 10.0))
        to_high = abs(close[t] - previous_high[t])
        to_low = abs(close[t] - previous_low[t])
        pivot = (previous_high[t] + previous_low[t] + previous_close[t]) / 3.0
        out[1, t] = min(to_high, to_low) / close[t]
        out[2, t] = (close[t] - pivot) / pivot
