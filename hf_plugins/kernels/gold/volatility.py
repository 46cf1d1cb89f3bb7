r"""Family *volatility*: from ranges, and the volatility of volatility.

=============== ================================================================== ========
value           formula over the last 60 bars                                      bars
=============== ================================================================== ========
parkinson_vol   :math:`\sqrt{\sum \ln^2(H/L) / (4 \cdot 60 \ln 2)}`                60
gk_vol          root of the mean of :math:`\frac12 \ln^2(H/L) - (2\ln 2 - 1)       60
                \ln^2(C/O)`, a negative mean counts as 0
vol_of_vol      sample deviation of the 30-bar volatility                          90
=============== ================================================================== ========

Unit: return per square root of a bar. Null: until the window is there. Look-back: 90 bars.
Source: Parkinson (1980), Garman and Klass (1980), "107 Features for Gold".
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.blocks import BLOCK, level_moments

PARKINSON: Final = 4.0 * 60.0 * np.log(2.0)
BODY: Final = 2.0 * np.log(2.0) - 1.0
"""Weight of the squared body in the estimator of Garman and Klass."""


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    squared_range: np.ndarray,
    squared_body: np.ndarray,
    volatility_30: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill the rows of the family; see the module."""
    moments = np.empty((2, BLOCK))
    for first in range(max(start, 59), stop, BLOCK):
        end = min(first + BLOCK, stop)
        ranges = np.zeros(end - first)
        variances = np.zeros(end - first)
        for delay in range(59, -1, -1):
            range_delayed = squared_range[first - delay : end - delay]
            body_delayed = squared_body[first - delay : end - delay]
            for bar in range(end - first):
                ranges[bar] += range_delayed[bar]
                variances[bar] += 0.5 * range_delayed[bar] - BODY * body_delayed[bar]
        for t in range(first, end):
            out[0, t] = np.sqrt(ranges[t - first] / PARKINSON)
            out[1, t] = np.sqrt(max(variances[t - first] / 60.0, 0.0))
    for first in range(max(start, 89), stop, BLOCK):
        end = min(first + BLOCK, stop)
        level_moments(volatility_30, first, end, 60, moments[0], moments[1])
        for t in range(first, end):
            out[2, t] = np.sqrt(moments[1, t - first] / 59.0)
