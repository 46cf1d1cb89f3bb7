"""When the trading day of a calendar ends, by the clock of its market.

What a schedule needs to be right on both sides of a change of the clocks: a time of day in the
market's own zone. The sessions themselves, with half days and holidays, are in
:mod:`hf_resources.calendars`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from hf_resources.calendars import NEW_YORK, WEEK_HOUR, sessions

_MINUTES_PER_DAY: Final = 24 * 60
_PROBE: Final = (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC))


@dataclass(frozen=True)
class RegularClose:
    """The usual end of a session.

    Attributes:
        zone: IANA name of the market's clock.
        minutes: from 00:00 of the session's date to its close, by that clock; 1440 for a session
            that ends at midnight.
    """

    zone: str
    minutes: int


@lru_cache(maxsize=64)
def regular_close(calendar: str) -> RegularClose:
    """The regular close of a calendar; on half days trading ends earlier.

    ``24/7``: midnight UTC that ends the day. ``24/5``: 17:00 in New York. Exchanges: the close that
    is in force, from ``exchange_calendars``.

    Raises:
        ConfigurationError: the calendar is unknown.
    """
    if calendar == "24/7":
        return RegularClose("UTC", _MINUTES_PER_DAY)
    if calendar == "24/5":
        return RegularClose(NEW_YORK, WEEK_HOUR * 60)
    import exchange_calendars  # slow to import, and only exchanges need it

    if calendar not in exchange_calendars.get_calendar_names():
        sessions(calendar, *_PROBE)  # tells it in the words that are used everywhere
    # A week is enough to read the clock; the whole calendar takes half a second to compute.
    found = exchange_calendars.get_calendar(calendar, start="2024-01-02", end="2024-01-09")
    closes: time = found.close_times[-1][1]
    minutes = found.close_offset * _MINUTES_PER_DAY + closes.hour * 60 + closes.minute
    return RegularClose(str(found.tz), minutes)


def has_session(calendar: str, day: date) -> bool:
    """Whether the calendar has a session of that date.

    Raises:
        ConfigurationError: the calendar is unknown or does not cover the date.
    """
    start = datetime.combine(day, time(), tzinfo=UTC)
    found = sessions(calendar, start, start + timedelta(days=1))
    return int(start.timestamp()) * 1_000_000 in found.labels
