"""Alignment of series on the times that they share."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def common(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the values that two series share.

    Args:
        left: int64, strictly increasing.
        right: int64, strictly increasing.

    Returns:
        Two int64 arrays of equal length: ``left[first] == right[second]``, in order.
    """
    size = min(left.size, right.size)
    first = np.empty(size, np.int64)
    second = np.empty(size, np.int64)
    found = 0
    i = 0
    j = 0
    while i < left.size and j < right.size:
        if left[i] == right[j]:
            first[found] = i
            second[found] = j
            found += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return first[:found], second[:found]
