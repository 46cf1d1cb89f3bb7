r"""Family *lead-lag*: the one-bar log return of another asset, five bars ago.

:math:`\ln(X_{t-5} / X_{t-6})` for DXY, NAS100 and XAG. Unit: none. Null: the first six bars.
Look-back: 7 bars. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    dxy_return: np.ndarray,
    nas_return: np.ndarray,
    xag_return: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(max(start, 6), stop):
        out[0, t] = dxy_return[t - 5]
        out[1, t] = nas_return[t - 5]
        out[2, t] = xag_return[t - 5]
