"""Timeframes, and how many bars of each make a year.

The list of timeframes is closed: partition keys and chunk boundaries are derived from it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.trading_hours import bars_per_session

DURATIONS: Final[dict[str, timedelta]] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}

EVENT: Final = "event"
"""Timeframe of the rows of side tables: instants, which are known at their time stamp."""

# Days in a year, each of 24 hours.
_CONTINUOUS: Final = {"24/7": 365, "24/5": 260}
_SESSIONS: Final = 252  # the convention for exchanges


def duration(timeframe: str) -> timedelta:
    """Length of one bar; nothing for an :data:`EVENT`.

    Raises:
        ConfigurationError: the timeframe is not one of :data:`DURATIONS`.
    """
    if timeframe == EVENT:
        return timedelta(0)
    try:
        return DURATIONS[timeframe]
    except KeyError:
        raise ConfigurationError(unknown("timeframe", timeframe, DURATIONS)) from None


def bars_per_year(calendar: str, timeframe: str) -> float:
    """Bars in a year, for annualisation.

    ``calendar`` is ``"24/7"`` (crypto: 365 days of 24 hours), ``"24/5"`` (FX and metals: 260 days
    of 24 hours) or the code of an exchange such as ``"XNYS"`` (252 of its regular sessions, where a
    last, shorter bar counts as one).

    Raises:
        ConfigurationError: the timeframe or the calendar is unknown.
    """
    bar = duration(timeframe)
    if calendar in _CONTINUOUS:
        return float(_CONTINUOUS[calendar] * (timedelta(days=1) // bar))
    return float(_SESSIONS * bars_per_session(calendar, bar))
