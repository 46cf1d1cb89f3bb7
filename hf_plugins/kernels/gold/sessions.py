r"""Family *sessions*: which sessions are open, and volatility against the session's own.

==================== ============================================================= ========
value                formula                                                       bars
==================== ============================================================= ========
session_asian        1 from 00:00 to 08:00 UTC, end excluded                       1
session_london       1 from 07:00 to 16:00 UTC                                     1
session_ny           1 from 13:00 to 22:00 UTC                                     1
session_overlap      1 from 13:00 to 16:00 UTC                                     1
vol_session_ratio    deviation of 30 returns over its mean in those of the last    7230
                     7200 bars in which the same sessions were open
==================== ============================================================= ========

Unit: none. Null: the ratio until the window is there. 1: the mean is at most 1e-12. Look-back: 7230
bars. Source: "107 Features for Gold".

The six sums of the window slide. They are sums of integers, a volatility as a multiple of
:math:`2^{-76}` in two words, hence exact: what enters and leaves again leaves no rounding behind.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.clock import DAY

WINDOW: Final = 7200
LABELS: Final = 6
STATE_SIZE: Final = 1 + 3 * LABELS
"""Row that the sums are valid for; then high words, low words and counts by label."""
NO_VOLATILITY: Final = 1e-12
_HIGH: Final = 2.0**36
_LOW: Final = 2.0**40


@njit(cache=True)
def label(minute: int) -> int:
    """Number of the set of open sessions."""
    hour = minute % DAY // 60
    number = 0
    for end in (7, 8, 13, 16, 22):
        number += hour >= end
    return number


@njit(cache=True)
def add(state: np.ndarray, minute: int, value: float, sign: int) -> None:
    """Let a volatility enter (sign 1) or leave (-1) the sums of its label."""
    kind = label(minute)
    scaled = value * _HIGH
    high = np.floor(scaled)
    state[1 + kind] += sign * np.int64(high)
    state[1 + LABELS + kind] += sign * np.int64((scaled - high) * _LOW)
    state[1 + 2 * LABELS + kind] += sign


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    minute: np.ndarray,
    volatility_30: np.ndarray,
    state: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module. ``state``: int64 of shape (STATE_SIZE,)."""
    if state[0] != start:
        state[:] = 0
        for i in range(max(30, start - WINDOW), start):
            add(state, minute[i], volatility_30[i], 1)
    for t in range(start, stop):
        hour = minute[t] % DAY // 60
        out[0, t] = hour < 8
        out[1, t] = 7 <= hour < 16
        out[2, t] = 13 <= hour < 22
        out[3, t] = 13 <= hour < 16
        if t >= 30:
            add(state, minute[t], volatility_30[t], 1)
        if t - WINDOW >= 30:
            add(state, minute[t - WINDOW], volatility_30[t - WINDOW], -1)
        if t >= WINDOW + 29:
            kind = label(minute[t])
            total = state[1 + kind] / _HIGH + state[1 + LABELS + kind] / (_HIGH * _LOW)
            average = total / state[1 + 2 * LABELS + kind]
            out[4, t] = 1.0 if average <= NO_VOLATILITY else volatility_30[t] / average
    state[0] = stop
