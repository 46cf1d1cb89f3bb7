"""Moments of the past: what was known before a row, the row itself excluded.

NaN handling: NaN values are left out; a row with too few known values before it, or with equal ones
only, is NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def past_moments(
    values: np.ndarray, window: int, min_history: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample deviation of the known values before each row, shape (n_rows,) each.

    Args:
        values: shape (n_rows,), float64, NaN where unknown.
        window: rows before the current one, which is not among them.
        min_history: known values needed; at least 2.
    """
    n = values.size
    mean = np.full(n, np.nan)
    deviation = np.full(n, np.nan)
    for i in range(n):
        start = max(0, i - window)
        count = 0
        total = 0.0
        low = np.inf
        high = -np.inf
        for j in range(start, i):
            if not np.isnan(values[j]):
                count += 1
                total += values[j]
                low = min(low, values[j])
                high = max(high, values[j])
        # Equal values have no dispersion; a mean that is off by a rounding would invent some.
        if count < min_history or low == high:
            continue
        centre = total / count
        squares = 0.0
        for j in range(start, i):
            if not np.isnan(values[j]):
                squares += (values[j] - centre) ** 2
        mean[i] = centre
        deviation[i] = np.sqrt(squares / (count - 1))
    return mean, deviation
