"""Moments of the last 120 log returns; no feature itself.

:mod:`~hf_plugins.kernels.gold.autocorrelation` centres with them, as the newest and as the delayed
side of its pairs, and :mod:`~hf_plugins.kernels.gold.entropy` takes its tolerance from them.

Bars are worked on side by side: see :mod:`~hf_plugins.kernels.gold.blocks`.

Look-back: 120 returns (121 bars). NaN until they are there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, return_moments

WINDOW: Final = 120


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        out: shape (2, capacity): the mean, and the sum of squared deviations from it, exactly 0
            where the returns do not vary.
    """
    for first in range(max(start, WINDOW), stop, BLOCK):
        end = min(first + BLOCK, stop)
        return_moments(log_return, first, end, WINDOW, out[0, first:end], out[1, first:end])
