"""Family *liquidity*: minutes to the events of the trading day, either side, round the clock.

======================== ========================================================= ========
value                    formula                                                   range
======================== ========================================================= ========
mins_to_session_open     distance to the nearest of 00:00, 07:00, 13:00 UTC        [0, 330]
mins_to_session_close    distance to the nearest of 08:00, 16:00, 22:00 UTC        [0, 300]
london_fix_proximity     distance to the nearest of 10:30, 15:00 by the clock of   [0, 585]
                         London, which changes with its summer time
======================== ========================================================= ========

Unit: minutes. Never null. Look-back: 1 bar. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.clock import DAY, circular_distance


@njit(cache=True)
def nearest(minute: int, targets: tuple[int, ...]) -> int:
    """Distance of an epoch minute to the nearest of some times of the day."""
    best = DAY
    for target in targets:
        best = min(best, circular_distance(minute % DAY, target))
    return best


@njit(cache=True, nogil=True)
def rows(
    start: int, stop: int, minute: np.ndarray, london_minute: np.ndarray, out: np.ndarray
) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        out[0, t] = nearest(minute[t], (0, 420, 780))
        out[1, t] = nearest(minute[t], (480, 960, 1320))
        out[2, t] = nearest(london_minute[t], (630, 900))
