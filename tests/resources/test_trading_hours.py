"""The table of trading hours against the calendars of which sessions are made."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import exchange_calendars
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.timeframes import DURATIONS, bars_per_year
from hf_plugins.trading_hours import TRADING_HOURS, bars_per_session
from hf_resources.calendars import sessions

CODE = re.compile(r"[A-Z][A-Z0-9]{3}")
ORTHODOX = {"ASEX", "XBEL", "XBSE", "XCYS"}
"""Of their holidays some versions of pandas cannot compute the date."""


@pytest.mark.parametrize("timeframe", DURATIONS)
@pytest.mark.parametrize("code", ["XNYS", "XLON", "XTKS", "XHKG", "CMES"])
def test_a_session_has_the_bars_of_the_platforms_own_grid(code: str, timeframe: str):
    found = sessions(code, datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 3, 13, tzinfo=UTC))
    bars = found.grid(timeframe)
    counts = Counter(Counter(found.locate(bars, timeframe).tolist()).values())
    ((usual, _),) = counts.most_common(1)
    assert bars_per_session(code, DURATIONS[timeframe]) == usual


@pytest.mark.slow
def test_the_table_has_each_exchange_with_its_usual_hours():
    names = {name for name in exchange_calendars.get_calendar_names() if CODE.fullmatch(name)}
    assert set(TRADING_HOURS) == names
    for name in sorted(names):
        same = exchange_calendars.resolve_alias(name)
        if same != name:
            assert TRADING_HOURS[name] == TRADING_HOURS[same]
            continue
        try:
            found = exchange_calendars.get_calendar(name, start="2026-02-02", end="2026-03-13")
        except NotImplementedError:
            assert name in ORTHODOX
            continue
        schedule = found.schedule
        lengths = Counter((schedule["close"] - schedule["open"]) // timedelta(minutes=1))
        ((usual, _),) = lengths.most_common(1)
        assert TRADING_HOURS[name].minutes == usual, name
        rests = (schedule["break_start"] - schedule["open"]).dropna() // timedelta(minutes=1)
        ends = (schedule["break_end"] - schedule["open"]).dropna() // timedelta(minutes=1)
        pauses = {*zip(rests, ends, strict=True)}
        assert pauses == ({TRADING_HOURS[name].pause} - {None}), name


@pytest.mark.parametrize(
    ("calendar", "timeframe", "bars"),
    [
        ("24/7", "1h", 365 * 24),
        ("24/7", "1d", 365),
        ("24/5", "4h", 260 * 6),
        ("XNYS", "1d", 252),
        ("XNYS", "1h", 252 * 7),  # the last of half an hour
        ("XNYS", "5m", 252 * 78),
        ("XLON", "1h", 252 * 9),  # eight and a half hours
        ("XETR", "30m", 252 * 17),
        ("XTKS", "30m", 252 * 11),  # two and a half hours, and three
        ("XTKS", "1h", 252 * 7),  # no slot lies whole in the pause from 11:30 to 12:30
        ("CMES", "1h", 252 * 24),
    ],
)
def test_bars_in_a_year(calendar: str, timeframe: str, bars: int):
    assert bars_per_year(calendar, timeframe) == bars


def test_an_exchange_that_nobody_knows_is_an_error():
    with pytest.raises(ConfigurationError, match=r"calendar 'XNYC'.*Did you mean 'X"):
        bars_per_year("XNYC", "1d")
