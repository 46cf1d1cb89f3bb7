"""Moments of a moving window, the current row included; each window is summed anew, in two passes.

Windows are summed side by side, a block of rows at a time, because a processor adds several numbers
with one instruction, but not numbers that wait for each other. Each window still has its own sum,
from its oldest value to its newest.

NaN handling: NaN until there are ``window`` values, and while one of them is not finite.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

FLAT: Final = 1e-12
"""Deviation, as a fraction of the largest value, at or below which a window does not vary."""
_BLOCK: Final = 512
"""Rows of a block: their sums stay in the fastest cache."""


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
    centre, squares, largest = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(window - 1, rows, _BLOCK):
        size = min(_BLOCK, rows - first)
        centre[:], squares[:], largest[:] = 0.0, 0.0, 0.0
        for lag in range(window - 1, -1, -1):
            delayed = values[first - lag : first - lag + size]
            for row in range(size):
                centre[row] += delayed[row]
        for row in range(size):
            centre[row] /= window
        for lag in range(window - 1, -1, -1):
            delayed = values[first - lag : first - lag + size]
            for row in range(size):
                distance = delayed[row] - centre[row]
                squares[row] += distance * distance
                largest[row] = max(largest[row], abs(delayed[row]))
        for row in range(size):
            if np.isfinite(squares[row]):
                spread = np.sqrt(squares[row] / (window - lost))
                mean[first + row] = centre[row]
                deviation[first + row] = spread if spread > FLAT * largest[row] else 0.0
    return mean, deviation
