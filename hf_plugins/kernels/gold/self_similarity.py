r"""How well recent log returns match older ones: ``self_similarity_idx``.

.. math:: 1 - \max_x |F(x) - G(x)|,

one minus the two-sample Kolmogorov-Smirnov distance [1]_, with F and G the empirical distribution
functions of the last 60 returns and of the 1440 returns before them. 1: the same distribution; near
0: the recent returns lie elsewhere.

F - G rises at recent returns only and falls at older ones only, so its extremes are reached at a
recent return or just below one. In integers, the distance is 1/1440 of the greatest of

.. math:: 24\, \#\{\text{recent} \le v\} - \#\{\text{older} \le v\}, \quad
   \#\{\text{older} < v\} - 24\, \#\{\text{recent} < v\}

over the recent returns v. Both numbers are kept for each v and updated by the three returns that
enter or leave the windows. Being integers, they do not tell where the updating began, so each call
counts afresh for its first bar and needs no state.

Look-back: 1500 returns (1501 bars). NaN until they are there.

.. [1] N. V. Smirnov, "On the estimation of the discrepancy between empirical curves of distribution
   for two independent samples", Bulletin of Moscow University 2, 1939.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

RECENT: Final = 60
OLDER: Final = 1440
RATIO: Final = OLDER // RECENT
"""Weight of a recent return, in units of an older one."""


@njit(cache=True, nogil=True)
def _count(log_return: np.ndarray, first: int, stop: int, value: float) -> tuple[int, int]:
    """Number of the returns ``first <= i < stop`` below ``value``, and of those not above it."""
    window = log_return[first:stop]
    below = 0
    not_above = 0
    for i in range(window.size):
        below += window[i] < value
        not_above += window[i] <= value
    return below, not_above


@njit(cache=True, nogil=True)
def _differences(log_return: np.ndarray, t: int, value: float) -> tuple[int, int]:
    """The two numbers of the module docstring, for the windows of bar ``t`` and v = ``value``."""
    oldest_recent = t - RECENT + 1
    below, not_above = _count(log_return, oldest_recent, t + 1, value)
    older_below, older_not_above = _count(log_return, oldest_recent - OLDER, oldest_recent, value)
    return RATIO * not_above - older_not_above, older_below - RATIO * below


@njit(cache=True, nogil=True)
def _move_windows(
    values: np.ndarray,
    more_recent: np.ndarray,
    more_older: np.ndarray,
    entering: float,
    ageing: float,
    leaving: float,
) -> None:
    """Update the numbers of all recent returns but the newest for windows that move on by a bar.

    Args:
        values: shape (60,), the recent returns, the newest being ``entering``.
        more_recent: shape (60,), the first number of each; changed.
        more_older: shape (60,), the second; changed.
        entering: return that becomes recent.
        ageing: return that was recent and becomes older.
        leaving: return that was older and leaves.
    """
    for i in range(RECENT - 1):
        value = values[i]
        more_recent[i] += RATIO * (entering <= value)
        more_recent[i] += (leaving <= value) - (RATIO + 1) * (ageing <= value)
        more_older[i] -= RATIO * (entering < value)
        more_older[i] -= (leaving < value) - (RATIO + 1) * (ageing < value)


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, log_return: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        out: shape (1, capacity), in [0, 1].
    """
    first = max(start, RECENT + OLDER)
    if first >= stop:
        return
    # Entry i belongs to the return of row base + i; those of bar t are the 60 from t - first on.
    base = first - RECENT + 1
    recent_more = np.empty(stop - base, np.int64)
    older_more = np.empty(stop - base, np.int64)
    for i in range(RECENT - 1):
        recent_more[i], older_more[i] = _differences(log_return, first, log_return[base + i])
    for t in range(first, stop):
        values = log_return[t - RECENT + 1 : t + 1]
        more_recent = recent_more[t - first : t - first + RECENT]
        more_older = older_more[t - first : t - first + RECENT]
        entering = values[RECENT - 1]
        if t > first:
            _move_windows(
                values,
                more_recent,
                more_older,
                entering,
                log_return[t - RECENT],
                log_return[t - RECENT - OLDER],
            )
        more_recent[RECENT - 1], more_older[RECENT - 1] = _differences(log_return, t, entering)
        distance = 0
        for i in range(RECENT):
            distance = max(distance, more_recent[i], more_older[i])
        out[0, t] = 1.0 - distance / OLDER
