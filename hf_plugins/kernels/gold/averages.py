r"""Wilder's averages over 14 bars: true range, gains, losses.

The average of the first 14 values starts the recursion, every later value enters with weight 1/14
(Wilder, "New Concepts in Technical Trading Systems", 1978):

.. math:: s_t = \frac{13\, s_{t-1} + x_t}{14}

The first bar has no previous close, hence no value. The output is its own state: row ``start - 1``
is what row ``start`` continues from; where it is null, the recursion starts. Unlike
:mod:`hf_plugins.kernels.wilder` there is no missing bar to start anew from: the bars are joined.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

LENGTH: Final = 14


@njit(cache=True)
def true_range(t: int, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> float:
    """Range of bar ``t >= 1`` and the close before it."""
    before = close[t - 1]
    return max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before))


@njit(cache=True, nogil=True)
def ranges(
    start: int, stop: int, high: np.ndarray, low: np.ndarray, close: np.ndarray, out: np.ndarray
) -> None:
    """Average true range.

    Unit: that of the price. Look-back: all bars, with weights that shrink by 13/14 a bar. Null: the
    first 14 bars.
    """
    for t in range(max(start, LENGTH), stop):
        if np.isnan(out[0, t - 1]):
            total = 0.0
            for i in range(t - LENGTH + 1, t + 1):
                total += true_range(i, high, low, close)
        else:
            total = out[0, t - 1] * (LENGTH - 1) + true_range(t, high, low, close)
        out[0, t] = total / LENGTH


@njit(cache=True, nogil=True)
def changes(start: int, stop: int, close: np.ndarray, out: np.ndarray) -> None:
    """Average gain and average loss of the close.

    Unit, look-back and null: as :func:`ranges`.
    """
    for t in range(max(start, LENGTH), stop):
        if np.isnan(out[0, t - 1]):
            gains, losses = 0.0, 0.0
            for i in range(t - LENGTH + 1, t + 1):
                gains += max(close[i] - close[i - 1], 0.0)
                losses += max(close[i - 1] - close[i], 0.0)
        else:
            gains = out[0, t - 1] * (LENGTH - 1) + max(close[t] - close[t - 1], 0.0)
            losses = out[1, t - 1] * (LENGTH - 1) + max(close[t - 1] - close[t], 0.0)
        out[0, t] = gains / LENGTH
        out[1, t] = losses / LENGTH
