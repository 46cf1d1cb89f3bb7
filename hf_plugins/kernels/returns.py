"""Returns from row to row.

NaN handling: NaN in the first row, and where either price is not a positive finite number.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def log_returns(close: np.ndarray) -> np.ndarray:
    """Natural logarithm of each price over the one before it: shape (n_rows,)."""
    values = np.full(close.shape[0], np.nan)
    for row in range(1, close.shape[0]):
        now, then = close[row], close[row - 1]
        if 0.0 < now < np.inf and 0.0 < then < np.inf:
            values[row] = np.log(now / then)
    return values
