"""Which sessions a market holds: exchanges, the week of currencies and metals, and crypto.

The arithmetic of sessions and grids is in :mod:`hf_plugins.sessions`; here is only the knowledge of
when markets are open. Exchanges come from the ``exchange_calendars`` library, with half days,
holidays and the clocks of the exchange. All instants are int64 microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.errors import ConfigurationError, listing, nearest
from hf_plugins.sessions import ExpectedBars, Sessions, close_times
from hf_resources.instruments import Instrument

NEW_YORK: Final = "America/New_York"
WEEK_HOUR: Final = 17
"""Hour in New York at which a trading day of currencies and metals ends and the next begins."""
CLOSED_DATES: Final = ((1, 1), (12, 25))
"""Trading dates, as month and day, that currencies and metals do not have."""
DAILY_BREAKS: Final = {"metal": timedelta(hours=1)}
"""Pause at the start of each trading day, by asset class; none where it is not named."""

# The library computes a calendar from a given date on and takes the longer the earlier that is.
_FIRST: Final = datetime(1990, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


def sessions(
    calendar: str, start: datetime, end: datetime, *, daily_break: timedelta = timedelta(0)
) -> Sessions:
    """The sessions that overlap ``[start, end)``, or whose date does.

    ``24/7``: each UTC day. ``24/5``: trading dates Monday to Friday, each from 17:00 New York of
    the day before (plus ``daily_break``) to 17:00, without :data:`CLOSED_DATES`; slots are counted
    from 17:00, so that four-hour bars end with the trading day. Other calendars: the regular
    session of the exchange; slots are counted from its open.

    Args:
        calendar: ``24/7``, ``24/5`` or the code of an exchange such as ``XNYS``.
        start: timezone-aware.
        end: timezone-aware.
        daily_break: pause at the start of each trading day; for ``24/5`` only.

    Raises:
        ConfigurationError: the calendar is unknown, a time has no zone, or the range lies outside
            what the calendar covers.
    """
    for name, each in (("start", start), ("end", end)):
        if each.tzinfo is None:
            raise ConfigurationError(
                f"{name} is {each.isoformat()}, which has no time zone; give it in UTC"
            )
    first, last = _microseconds(start), _microseconds(end)
    if calendar == "24/7":
        return Sessions.around_the_clock(first, last)
    # A session's date may differ from that of its hours by a day in either direction.
    dates = (_date(start) - _DAY, _date(end) + _DAY)
    found = _week(*dates, daily_break) if calendar == "24/5" else _exchange(calendar, *dates)
    begins = np.minimum(found.labels, found.anchors)
    ends = np.maximum(found.labels + int(_DAY / timedelta(microseconds=1)), found.closes)
    inside = (begins < last) & (ends > first)
    return Sessions(
        *(
            array[inside]
            for array in (
                found.labels, found.anchors, found.opens, found.closes,
                found.break_starts, found.break_ends,
            )
        )
    )  # fmt: skip


def instrument_sessions(instrument: Instrument, start: datetime, end: datetime) -> Sessions:
    """The sessions of an instrument's calendar, with the daily break of its asset class."""
    pause = DAILY_BREAKS.get(instrument.asset_class, timedelta(0))
    return sessions(instrument.calendar, start, end, daily_break=pause)


def expected_bars(
    instrument: Instrument, timeframe: str, start: datetime, end: datetime
) -> ExpectedBars:
    """The bars, labelled within ``[start, end)``, that the instrument's calendar implies.

    Raises:
        ConfigurationError: the timeframe or calendar is unknown, or the range is not covered.
    """
    found = instrument_sessions(instrument, start, end)
    return found.expected(timeframe, _microseconds(start), _microseconds(end))


def expected_opens(
    instrument: Instrument, timeframe: str, start: datetime, end: datetime
) -> np.ndarray:
    """Labels of :func:`expected_bars`, int64 microseconds UTC, shape (n_bars,)."""
    return expected_bars(instrument, timeframe, start, end).opens


def bar_closes(instrument: Instrument, timeframe: str, index: pd.DatetimeIndex) -> np.ndarray:
    """When trading in some bars ended, by the instrument's calendar: half days end early.

    A bar that the calendar does not have ends with its slot.

    Args:
        instrument: whose calendar, and whose asset class with its daily break.
        timeframe: of the bars.
        index: their labels, UTC, strictly increasing.

    Returns:
        UTC nanoseconds, shape (n_bars,).

    Raises:
        ConfigurationError: the timeframe or calendar is unknown, or the range is not covered.
    """
    stamps = _instants(index)
    expected = None
    if len(stamps) and instrument.calendar != "24/7":  # which has only full slots
        first, last = (_EPOCH + timedelta(microseconds=int(stamps[at])) for at in (0, -1))
        end = last + timedelta(microseconds=1)
        expected = expected_bars(instrument, timeframe, first, end)
    return close_times(stamps, timeframe, expected) * 1_000


def _week(first: datetime, last: datetime, daily_break: timedelta) -> Sessions:
    dates = pd.bdate_range(first, last)
    closed = [(date.month, date.day) in CLOSED_DATES for date in dates]
    dates = dates[~np.array(closed, dtype=bool)]
    hour = pd.Timedelta(hours=WEEK_HOUR)
    anchors = _instants((dates - _DAY + hour).tz_localize(NEW_YORK))
    closes = _instants((dates + hour).tz_localize(NEW_YORK))
    opens = anchors + int(daily_break / timedelta(microseconds=1))
    return Sessions.simple(_instants(dates.tz_localize("UTC")), opens, closes, anchors)


def _exchange(calendar: str, first: datetime, last: datetime) -> Sessions:
    schedule = _schedule(calendar)
    covered = pd.DatetimeIndex(schedule.index)
    # A week for the holidays at either end.
    lower, upper = covered[0].to_pydatetime(), covered[-1].to_pydatetime()
    if first < lower - 7 * _DAY or last > upper + 7 * _DAY:
        raise ConfigurationError(
            f"calendar {calendar} covers {lower:%Y-%m-%d} to {upper:%Y-%m-%d}; "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d} was asked for"
        )
    schedule = schedule.loc[np.asarray((covered >= first) & (covered <= last))]
    opens, closes, *breaks = (
        _instants(pd.DatetimeIndex(schedule[name]))
        for name in ("open", "close", "break_start", "break_end")
    )
    # Without a break both of its ends are null, which is the least int64.
    breaks = [np.where(each < opens, closes, each) for each in breaks]
    labels = _instants(pd.DatetimeIndex(schedule.index).tz_localize("UTC"))
    return Sessions(labels, opens, opens, closes, *breaks)


@lru_cache(maxsize=16)
def _schedule(calendar: str) -> pd.DataFrame:
    import exchange_calendars  # slow to import, and only exchanges need it

    names = exchange_calendars.get_calendar_names()
    if calendar not in names:
        common = ["24/5", "24/7", "XNYS", "XNAS", "XLON", "XETR", "XTKS", "CMES"]
        raise ConfigurationError(
            f"calendar '{calendar}' is unknown; allowed: {listing(common)} and the other codes of "
            f"exchange_calendars.{nearest(calendar, names)}"
        )
    bound = exchange_calendars.get_calendar(calendar).bound_min()
    start = _FIRST if bound is None or bound < _FIRST else bound
    return exchange_calendars.get_calendar(calendar, start=start).schedule


def _instants(index: pd.DatetimeIndex) -> np.ndarray:
    return index.tz_convert("UTC").as_unit("us").asi8


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _date(instant: datetime) -> datetime:
    """Midnight of the UTC date, without a zone, as the library labels its sessions."""
    return datetime.combine(instant.astimezone(UTC).date(), time())
