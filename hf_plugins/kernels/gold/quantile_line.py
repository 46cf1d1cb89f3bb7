r"""Channel between two quantile-regression lines [1]_ through the last 180 closes.

The line of the quantile tau minimises

.. math:: \sum_i \rho_\tau(C_i - v - s u_i), \qquad \rho_\tau(e) = e\,(\tau - 1[e < 0]),

over its value v at the current bar and its slope s, with u = -179 ... 0. tau = 0.9 gives the upper
line, 0.1 the lower one. The minimiser need not be unique (180 tau is an integer); then the upper
line is the minimiser with the largest v, the lower one that with the smallest.

**Exact walk.** The objective is convex and piecewise linear, and some optimal line runs through two
closes. The walk goes from such a line to a better one by turning it about one of the closes on it
as far as the objective falls, and ends where no turn lowers the objective. Times ten, the change of
the objective per unit of turn is an integer: nothing there depends on rounding. The rule for ties
enters as an infinitesimal reward for v, by ordering turns by (objective, v); so the result does not
depend on the line that the walk starts from, and starting from the line of the bar before is only
faster.

Which closes lie above, on or below a line is decided in whole units of :data:`UNITS` per price
unit, relative to the current close. All products stay below :math:`2^{53}`, exact in float64;
closes on a decimal grid are collinear if their decimals are. In a window that moves too far for
that, the unit is as many times ten coarser as needed. The value returned is that of the line
through the first and the last close on the optimal line, computed from the closes themselves; the
current close if that lies on it.

Columns: ``channel_upper``, ``channel_lower`` (price units), ``channel_width`` = max(upper - lower,
0) / C, and ``channel_position`` = (C - lower) / (upper - lower) clipped to [0, 1], or 0.5 if the
gap is at most :data:`NO_GAP` of the close. Lines may cross at the current bar. A flat window (see
:mod:`~hf_plugins.kernels.gold.windows`) has both lines at the close.

Look-back: 180 bars. NaN until they are there, and while a close among them is not finite.

.. [1] R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46, 1978.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.windows import FLATNESS, clip, is_flat

WINDOW: Final = 180
UPPER: Final = 9
"""Quantile of the upper line, in tenths."""
LOWER: Final = 1
"""Quantile of the lower line, in tenths."""
UNITS: Final = 1e9
"""Integer price units in one unit of price, unless the window moves too far for it."""
NO_GAP: Final = 1e-9
STATE_SIZE: Final = 5
"""State: row it is valid for; first and last bar of the upper, then of the lower line, in that
window."""

_FARTHEST: Final = 2.0**43
"""Largest distance from the current close, in units: 2 * (2 * 2**43) * 179 < 2**53."""
_NEWEST: Final = WINDOW - 1
_POSITION: Final = np.arange(WINDOW, dtype=np.float64)
_POSITIONS: Final = WINDOW * (WINDOW - 1) // 2
_PRIMARY: Final = WINDOW
"""Weight of the objective against that of v, which turns by less than this."""


@njit(cache=True)
def relative(close: np.ndarray, t: int, y: np.ndarray) -> bool:
    """Write the window's closes less the current one, in integer units, to ``y``.

    Returns:
        Whether all of them are finite; otherwise ``y`` is not to be used.
    """
    window = close[t - _NEWEST : t + 1]
    newest = close[t]
    finite = 0
    for i in range(WINDOW):
        finite += abs(window[i]) < np.inf
    if finite < WINDOW:
        return False
    units = UNITS
    far = 1
    while far > 0:
        far = 0
        for i in range(WINDOW):
            y[i] = np.rint((window[i] - newest) * units)
            far += abs(y[i]) > _FARTHEST
        units /= 10.0
    return True


@njit(cache=True)
def _survey(y: np.ndarray, first: int, last: int, residual: np.ndarray) -> tuple[int, int, int]:
    """Where the closes lie against the line through two of them.

    Writes the residuals times ``last - first`` to ``residual``.

    Returns:
        Number of closes below the line, sum of their positions, number of closes on it.
    """
    run = float(last - first)
    base = y[first]
    rise = y[last] - base
    origin = float(first)
    for i in range(WINDOW):
        residual[i] = (y[i] - base) * run - rise * (_POSITION[i] - origin)
    below = 0
    positions = 0
    on = 0
    for i in range(WINDOW):
        below += residual[i] < 0.0
        positions += i if residual[i] < 0.0 else 0
        on += residual[i] == 0.0
    return below, positions, on


@njit(cache=True)
def _best_turn(
    tenths: int, residual: np.ndarray, below: int, positions: int, on: np.ndarray
) -> tuple[int, int, int]:
    """The turn about a close on the line that lowers the objective fastest.

    Turning by ds about position a changes the residual at position i by -(i - a) ds, and v by
    (179 - a) ds.

    Args:
        tenths: the quantile.
        residual: shape (180,); its sign is used.
        below: closes below the line.
        positions: sum of their positions.
        on: positions of the closes on the line.

    Returns:
        Position, direction (+1 or -1) and change per unit of turn; the change is not negative if
        the line is optimal.
    """
    towards = 1 if tenths == UPPER else -1
    pivot, turn, change = -1, 0, 0
    for a in on:
        outside = 10 * (positions - below * a) - tenths * (_POSITIONS - WINDOW * a)
        right, left = 0, 0
        for i in on:
            right += max(0, i - a)
            left += max(0, a - i)
        reward = towards * (_NEWEST - a)
        rising = _PRIMARY * (outside + 10 * right) - reward
        falling = _PRIMARY * (-outside + 10 * left) + reward
        if rising < change:
            pivot, turn, change = a, 1, rising
        if falling < change:
            pivot, turn, change = a, -1, falling
    return pivot, turn, change


@njit(cache=True, error_model="numpy")
def _turned(
    y: np.ndarray,
    residual: np.ndarray,
    pivot: int,
    turn: int,
    change: int,
    slope: np.ndarray,
) -> int:
    """Position of the close at which a turn stops lowering the objective.

    Every close that the line passes raises the change by ten times its distance from the pivot. A
    line that has passed all of them gets worse, so there is such a close.
    ``slope`` is scratch of shape (180,).
    """
    origin, base, sense = float(pivot), y[pivot], float(turn)
    for i in range(WINDOW):
        distance = (_POSITION[i] - origin) * sense
        # Rounded division keeps the order, up to ties; these are settled below.
        ahead = (y[i] - base) / distance
        slope[i] = ahead if residual[i] * distance > 0.0 else np.inf
    stop = pivot
    while change < 0:
        nearest = np.inf
        stop = -1
        for i in range(WINDOW):
            if slope[i] < nearest:
                nearest = slope[i]
                stop = i
            elif slope[i] == nearest and stop >= 0:
                here, there = float(i - pivot), float(stop - pivot)
                steeper = (y[i] - base) * there - (y[stop] - base) * here
                if steeper * here * there * sense < 0.0:
                    stop = i
        slope[stop] = np.inf
        change += _PRIMARY * 10 * abs(stop - pivot)
    return stop


@njit(cache=True)
def optimal_line(
    y: np.ndarray, tenths: int, first: int, last: int, scratch: np.ndarray
) -> tuple[int, int]:
    """First and last close on the optimal line.

    Args:
        y: shape (180,), from :func:`relative`.
        tenths: the quantile: :data:`UPPER` or :data:`LOWER`.
        first: position of a close to start from.
        last: position of another, later one.
        scratch: shape (2, 180).
    """
    residual, slope = scratch[0], scratch[1]
    on_line = np.empty(WINDOW, dtype=np.int64)
    while True:
        below, positions, count = _survey(y, first, last, residual)
        if count == 2:
            on_line[0], on_line[1] = first, last
        else:
            found = 0
            for i in range(WINDOW):
                if residual[i] == 0.0:
                    on_line[found] = i
                    found += 1
        on = on_line[:count]
        pivot, turn, change = _best_turn(tenths, residual, below, positions, on)
        if pivot < 0:
            return on[0], on[count - 1]
        stop = _turned(y, residual, pivot, turn, change, slope)
        first, last = min(pivot, stop), max(pivot, stop)


@njit(cache=True)
def _line(
    close: np.ndarray,
    t: int,
    y: np.ndarray,
    tenths: int,
    hint: np.ndarray,
    scratch: np.ndarray,
) -> float:
    """Value of the optimal line at bar ``t``; ``hint`` holds the start and then the line found."""
    first, last = optimal_line(y, tenths, hint[0], hint[1], scratch)
    hint[0], hint[1] = first, last
    if last == _NEWEST:
        return close[t]
    oldest = t - _NEWEST
    start, end = close[oldest + first] - close[t], close[oldest + last] - close[t]
    return close[t] + (end + (end - start) / (last - first) * (_NEWEST - last))


@njit(cache=True)
def _flat(close: np.ndarray, t: int) -> bool:
    """Whether the window is flat; two closes that differ by ten times the tolerance decide that."""
    moved = abs(close[t] - close[t - 1])
    if moved > 10.0 * FLATNESS * max(1.0, abs(close[t])):
        return False
    return is_flat(close, t - _NEWEST, t)


@njit(cache=True)
def _age(hint: np.ndarray) -> None:
    """Move a start by one bar; a bar that left the window is replaced by the oldest in it."""
    hint[0] = max(hint[0] - 1, 0)
    hint[1] -= 1
    if hint[1] <= hint[0]:
        hint[1] = _NEWEST


@njit(cache=True, nogil=True)
def rows(start: int, stop: int, close: np.ndarray, state: np.ndarray, out: np.ndarray) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        close: shape (capacity,), finite and positive.
        state: int64 of shape (STATE_SIZE,), carried along; where it is not valid the walk starts
            from the line through the oldest and the newest close, to the same result.
        out: shape (4, capacity): upper, lower, width, position.
    """
    y = np.empty(WINDOW)
    scratch = np.empty((2, WINDOW))
    upper_hint, lower_hint = state[1:3], state[3:5]
    if state[0] != start:
        state[1] = state[3] = 0
        state[2] = state[4] = _NEWEST
    for t in range(max(start, _NEWEST), stop):
        _age(upper_hint)
        _age(lower_hint)
        price = close[t]
        upper = lower = price
        if not relative(close, t, y):
            upper = lower = np.nan
        elif not _flat(close, t):
            upper = _line(close, t, y, UPPER, upper_hint, scratch)
            lower = _line(close, t, y, LOWER, lower_hint, scratch)
        gap = upper - lower
        out[0, t] = upper
        out[1, t] = lower
        out[2, t] = max(gap, 0.0) / price
        out[3, t] = 0.5 if gap <= NO_GAP * price else clip((price - lower) / gap, 0.0, 1.0)
    state[0] = stop
