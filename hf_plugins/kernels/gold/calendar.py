"""Family *calendar*: where in the month and quarter, and the week of the US labour report.

================== =============================================================== ========
value              formula, by the UTC date                                        range
================== =============================================================== ========
week_of_month      (day - 1) // 7 + 1                                              1 .. 5
month_of_quarter   (month - 1) % 3 + 1                                             1 .. 3
nfp_week_flag      1 within two days of the first Friday of this month or of the   0, 1
                   next
================== =============================================================== ========

Unit: none. Never null. Look-back: 1 bar. Source: "107 Features for Gold".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.clock import DAY, civil, first_friday


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, minute: np.ndarray, out: np.ndarray) -> None:
    """Fill the rows of the family; see the module."""
    for t in range(start, stop):
        day = minute[t] // DAY
        year, month, of_month = civil(day)
        out[0, t] = (of_month - 1) // 7 + 1
        out[1, t] = (month - 1) % 3 + 1
        this = abs(day - first_friday(year, month))
        following = abs(day - first_friday(year, month + 1))
        out[2, t] = 1.0 if min(this, following) <= 2 else 0.0
