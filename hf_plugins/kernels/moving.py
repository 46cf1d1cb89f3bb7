"""Moments of a moving window, the current row included; each window is summed anew, in two passes.

NaN handling: NaN until there are ``window`` values, and while one of them is not finite.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FLAT: Final = 1e-12
"""Deviation, as a fraction of the largest value, at or below which a window does not vary."""


@njit(cache=True)
def moments(values: np.ndarray, window: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the last ``window`` values, shape (n_rows,) each.

    Args:
        values: shape (n_rows,), float64.
        window: values in a window; more than ``lost``.
        lost: degrees of freedom taken off the count: 1 for the deviation of a sample, 0 for that of
            a population.

    Returns:
        Both NaN where a window is not complete, or where its squares leave the range of float64.
        A deviation of at most :data:`FLAT` of the largest value is 0: nothing but rounding.
    """
    rows = values.shape[0]
    mean = np.full(rows, np.nan)
    deviation = np.full(rows, np.nan)
    for row in range(window - 1, rows):
        total = 0.0
        for each in range(row - window + 1, row + 1):
            total += values[each]
        if not np.isfinite(total):
            continue
        centre = total / window
        squares, largest = 0.0, 0.0
        for each in range(row - window + 1, row + 1):
            distance = values[each] - centre
            squares += distance * distance
            largest = max(largest, abs(values[each]))
        if not np.isfinite(squares):
            continue
        spread = np.sqrt(squares / (window - lost))
        mean[row] = centre
        deviation[row] = spread if spread > FLAT * largest else 0.0
    return mean, deviation
