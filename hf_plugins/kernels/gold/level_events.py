r"""What happens at the levels in force: touches, bounces, false breakouts, and how long ago.

At bar t every pattern looks at the levels v in force *at t*, also for the earlier bars it spans.
*Contact* of v at a bar: low <= v <= high. v* and ATR* are those of
:mod:`~hf_plugins.kernels.gold.level_distances`.

* **Touch**: contact at t, none at t - 1. Standing on a level for ten bars is one touch.
* **Bounce**: v is left at t and was not at t - 1. Left from above means that it was touched within
  five bars, never closed at or through, and that the close is out of the near zone on the side it
  came from: C[t-5] > v, min low <= v < min close over t-4 ... t, and C - v > ATR*/2. From below:
  mirrored.
* **False breakout**, upward: C <= v after 1 to 15 closes in a row above v, with a close at or below
  v before them. Downward: mirrored. Counted at the bar that closes back.

Events are counted once per level and bar, and never revised when the levels are fitted anew.

========================== ===================================================== ===================
Column                     Value                                                 Unit, range
========================== ===================================================== ===================
``touch_count_6h``         touches in the last 360 bars                          0, 1, ...
``bounce_count``           bounces in the last 1440 bars                         0, 1, ...
``touch_velocity``         (\|C[t-5] - v*\| - \|C - v*\|)/5, v* the nearest      price per bar,
                           level now; positive while approaching                 any sign
``false_breakout_count``   false breakouts in the last 1440 bars                 0, 1, ...
``time_since_last_touch``  clock minutes since the last bar in contact with a    0 ... 1440
                           level then in force, in the last 1440 bars; 1440 if
                           there is none
========================== ===================================================== ===================

Look-back: 7259 bars for ``touch_velocity``, 7618 for ``touch_count_6h``, 8698 for the others. NaN
until levels were in force on every bar of the window. Bars are at least a minute apart.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.level_distances import NEAR, bounded_range, nearest

TOUCH_BARS: Final = 360
BARS: Final = 1440
LONGEST: Final = 1440
"""Minutes at which the time since the last contact is capped."""
APPROACH: Final = 5
"""Bars over which an approach, and a bounce, is looked at."""
MOST_BEYOND: Final = 15
"""Closes beyond a level up to which the return is a false breakout."""

_TOUCHES, _BOUNCES, _BREAKOUTS, _CONTACT = range(4)


@njit(cache=True)
def left(
    t: int,
    level: float,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    atr: np.ndarray,
) -> bool:
    """Whether the price has bounced off a level and is out of its zone at bar ``t``."""
    before = close[t - APPROACH]
    zone = NEAR * bounded_range(atr[t], close[t])
    touched = False
    if before > level:
        for i in range(t - APPROACH + 1, t + 1):
            if not close[i] > level:
                return False
            touched = touched or low[i] <= level
        return touched and close[t] - level > zone
    if before < level:
        for i in range(t - APPROACH + 1, t + 1):
            if not close[i] < level:
                return False
            touched = touched or high[i] >= level
        return touched and level - close[t] > zone
    return False


@njit(cache=True)
def returned(t: int, level: float, close: np.ndarray) -> bool:
    """Whether bar ``t`` closes back from a false breakout through a level, either way."""
    above = close[t - 1] > level
    if above:
        if close[t] > level:
            return False
    elif not (close[t - 1] < level and close[t] >= level):
        return False
    for n in range(2, MOST_BEYOND + 2):
        price = close[t - n]
        if not (price > level if above else price < level):
            return True
    return False


@njit(cache=True, nogil=True)
def event_row(
    t: int,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    atr: np.ndarray,
    levels: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write ``out[0, t]`` to ``out[3, t]``: see :func:`events`."""
    if not levels[0, t] > 0.0:
        return
    # A level outside the last prices takes part in nothing.
    highest, lowest = close[t], close[t]
    for i in range(t - APPROACH, t + 1):
        highest = max(highest, high[i], close[i])
        lowest = min(lowest, low[i], close[i])
    touches, bounces, breakouts, contact = 0, 0, 0, False
    for k in range(1, int(levels[0, t]) + 1):
        level = levels[k, t]
        if level < lowest or level > highest:
            continue
        if low[t] <= level <= high[t]:
            contact = True
            touches += not low[t - 1] <= level <= high[t - 1]
        if left(t, level, high, low, close, atr):
            bounces += not left(t - 1, level, high, low, close, atr)
        breakouts += returned(t, level, close)
    out[_TOUCHES, t] = touches
    out[_BOUNCES, t] = bounces
    out[_BREAKOUTS, t] = breakouts
    out[_CONTACT, t] = contact


@njit(cache=True, nogil=True)
def events(
    start: int,
    stop: int,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    atr: np.ndarray,
    levels: np.ndarray,
    out: np.ndarray,
) -> None:
    """Events of the rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        high: shape (capacity,).
        low: shape (capacity,).
        close: shape (capacity,).
        atr: shape (capacity,), from :mod:`hf_plugins.kernels.gold.averages`.
        levels: shape (8, capacity), from :func:`hf_plugins.kernels.gold.level_fit.in_force`.
        out: shape (4, capacity), filled with NaN: touches, bounces, false breakouts, and 1 where a
            level is in contact. NaN stays where no levels are in force.
    """
    for t in range(start, stop):
        event_row(t, high, low, close, atr, levels, out)


@njit(cache=True)
def rolling_count(t: int, bars: int, event: np.ndarray, count: np.ndarray) -> float:
    """Events of the last ``bars`` bars, exact as integers; NaN if one of these has no levels."""
    if t < bars - 1 or np.isnan(event[t - bars + 1]):
        return np.nan
    if t >= bars and not np.isnan(count[t - 1]):
        return count[t - 1] + event[t] - event[t - bars]
    total = 0.0
    for i in range(t - bars + 1, t + 1):
        total += event[i]
    return total


@njit(cache=True)
def minutes_since(t: int, minute: np.ndarray, contact: np.ndarray, since: np.ndarray) -> float:
    """Minutes since the last contact, capped; NaN if one of the last bars has no levels."""
    if t < BARS - 1 or np.isnan(contact[t - BARS + 1]) or np.isnan(contact[t]):
        return np.nan
    if t >= BARS and not np.isnan(since[t - 1]):
        # A contact less than 1440 minutes ago is less than 1440 bars ago.
        elapsed = since[t - 1] + (minute[t] - minute[t - 1])
        return 0.0 if contact[t] > 0.0 else min(elapsed, float(LONGEST))
    last = -1
    for i in range(t - BARS + 1, t + 1):
        if np.isnan(contact[i]):
            return np.nan
        if contact[i] > 0.0:
            last = i
    return float(LONGEST if last < 0 else min(minute[t] - minute[last], LONGEST))


@njit(cache=True, nogil=True)
def rows(
    start: int,
    stop: int,
    minute: np.ndarray,
    close: np.ndarray,
    levels: np.ndarray,
    level_events: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        minute: shape (capacity,), int64: epoch minutes of the bars, strictly increasing.
        close: shape (capacity,).
        levels: shape (8, capacity), from :func:`hf_plugins.kernels.gold.level_fit.in_force`.
        level_events: shape (4, capacity), from :func:`events`.
        out: shape (5, capacity), filled with NaN; columns in the order of the table above. Its row
            ``start - 1`` is what the counts continue from.
    """
    touches, bounces = level_events[_TOUCHES], level_events[_BOUNCES]
    breakouts, contact = level_events[_BREAKOUTS], level_events[_CONTACT]
    touch_count, bounce_count, breakout_count, since = out[0], out[1], out[3], out[4]
    for t in range(start, stop):
        touch_count[t] = rolling_count(t, TOUCH_BARS, touches, touch_count)
        bounce_count[t] = rolling_count(t, BARS, bounces, bounce_count)
        if levels[0, t] > 0.0:
            level = levels[nearest(levels, t, close[t]), t]
            before, now = abs(close[t - APPROACH] - level), abs(close[t] - level)
            out[2, t] = (before - now) / APPROACH
        breakout_count[t] = rolling_count(t, BARS, breakouts, breakout_count)
        since[t] = minutes_since(t, minute, contact, since)
