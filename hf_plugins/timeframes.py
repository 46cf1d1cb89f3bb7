"""Timeframes, and how many bars of each make a year.

The list of timeframes is closed: partition keys and chunk boundaries are derived from it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hf_plugins.errors import ConfigurationError, unknown

DURATIONS: Final[dict[str, timedelta]] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}

# Sessions in a year and the length of a session, by kind of calendar.
_TRADING_YEAR: Final[dict[str, tuple[int, timedelta]]] = {
    "24/7": (365, timedelta(hours=24)),
    "24/5": (260, timedelta(hours=24)),
    "exchange": (252, timedelta(hours=6, minutes=30)),
}


def duration(timeframe: str) -> timedelta:
    """Length of one bar.

    Raises:
        ConfigurationError: the timeframe is not one of :data:`DURATIONS`.
    """
    try:
        return DURATIONS[timeframe]
    except KeyError:
        raise ConfigurationError(unknown("timeframe", timeframe, DURATIONS)) from None


def bars_per_year(calendar: str, timeframe: str) -> float:
    """Bars in a year, for annualisation.

    ``calendar`` is ``"24/7"`` (crypto: 365 days of 24 hours), ``"24/5"`` (FX and metals: 260 days
    of 24 hours) or the code of an exchange such as ``"XNYS"`` (252 sessions of 6.5 hours, where a
    session's last, shorter bar counts as one).
    """
    sessions, length = _TRADING_YEAR.get(calendar, _TRADING_YEAR["exchange"])
    # Whole microseconds: a twelfth of an hour as a fraction would make 79 bars of 78.
    return float(sessions * -(-length // duration(timeframe)))
