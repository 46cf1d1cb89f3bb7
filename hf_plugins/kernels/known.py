"""Moments of the known values of a moving window, the current row included.

Made for what is not said in every row, such as news. Each window is summed anew, from its oldest
value to its newest, in two passes, so that a tail has the bits of the whole.

NaN handling: values that are not finite are left out; a row with too few known values in its window
is NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.moving import FLAT


@njit(cache=True)
def known_moments(
    values: np.ndarray, window: int, needed: int, lost: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the known values of each window, shape (n_rows,) each.

    Args:
        values: shape (n_rows,), float64.
        window: rows of a window.
        needed: known values needed for a mean; at least 1. A deviation needs more than ``lost``.
        lost: degrees of freedom taken off the count: 1 for the deviation of a sample.

    Returns:
        A deviation of at most :data:`~hf_plugins.kernels.moving.FLAT` of the largest value is 0:
        nothing but rounding.
    """
    rows = values.shape[0]
    mean = np.full(rows, np.nan)
    deviation = np.full(rows, np.nan)
    for row in range(rows):
        first = max(0, row - window + 1)
        count = 0
        total = 0.0
        largest = 0.0
        for place in range(first, row + 1):
            if np.isfinite(values[place]):
                count += 1
                total += values[place]
                largest = max(largest, abs(values[place]))
        if count < needed or not np.isfinite(total):
            continue
        centre = total / count
        mean[row] = centre
        if count <= lost:
            continue
        squares = 0.0
        for place in range(first, row + 1):
            if np.isfinite(values[place]):
                squares += (values[place] - centre) ** 2
        if np.isfinite(squares):
            spread = np.sqrt(squares / (count - lost))
            deviation[row] = spread if spread > FLAT * largest else 0.0
    return mean, deviation
