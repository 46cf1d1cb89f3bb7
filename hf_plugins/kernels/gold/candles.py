r"""Family *candles*: body and wicks as shares of the range.

:math:`|C - O| / (H - L)`, :math:`(H - \max(O, C)) / (H - L)`, :math:`(\min(O, C) - L) / (H - L)`.
Unit: none, in [0, 1]. 0: a bar without range. Look-back: 1 bar. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.windows import clip


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    opened: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        reach = high[t] - low[t]
        if reach == 0.0:
            out[0, t], out[1, t], out[2, t] = 0.0, 0.0, 0.0
            continue
        out[0, t] = clip(abs(close[t] - opened[t]) / reach, 0.0, 1.0)
        out[1, t] = clip((high[t] - max(opened[t], close[t])) / reach, 0.0, 1.0)
        out[2, t] = clip((min(opened[t], close[t]) - low[t]) / reach, 0.0, 1.0)
