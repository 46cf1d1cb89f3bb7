"""The step that scaling exponents share: the slope of a straight line through a log-log plot."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def slope(x: np.ndarray, y: np.ndarray, count: int) -> float:
    """Ordinary least-squares slope of ``y`` on ``x`` over the first ``count`` (at least 2) points.

    The abscissae must not all be equal.
    """
    x_mean = 0.0
    y_mean = 0.0
    for i in range(count):
        x_mean += x[i]
        y_mean += y[i]
    x_mean /= count
    y_mean /= count
    covariation = 0.0
    variation = 0.0
    for i in range(count):
        covariation += (x[i] - x_mean) * (y[i] - y_mean)
        variation += (x[i] - x_mean) ** 2
    return covariation / variation
