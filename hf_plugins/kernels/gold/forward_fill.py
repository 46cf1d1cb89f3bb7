"""Forward fill of estimates that have a floor: a least number of bars they are computed from."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def forward_fill(start: int, stop: int, estimates: np.ndarray) -> None:
    """Replace NaN in rows ``start <= t < stop`` by the last estimate before them, in place.

    Row ``start - 1`` is the state from which the fill continues. Leading NaN stay: there is nothing
    to fill from. As windows run across gaps, only the first rows of the data lie below a floor, so
    a fill never changes a value of a series that is computed from its first bar.

    Args:
        start: first row to fill.
        stop: row after the last.
        estimates: shape (capacity,), float64; changed.
    """
    for t in range(max(start, 1), stop):
        if np.isnan(estimates[t]):
            estimates[t] = estimates[t - 1]
