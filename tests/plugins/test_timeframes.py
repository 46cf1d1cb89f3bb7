"""How many bars make a year."""

from __future__ import annotations

import pytest

from hf_plugins.timeframes import DURATIONS, bars_per_year

BARS_A_SESSION = {
    "XNYS": {"1m": 390, "5m": 78, "15m": 26, "30m": 13, "1h": 7, "4h": 2, "1d": 1},
    "24/7": {"1m": 1440, "5m": 288, "15m": 96, "30m": 48, "1h": 24, "4h": 6, "1d": 1},
    "24/5": {"1m": 1440, "5m": 288, "15m": 96, "30m": 48, "1h": 24, "4h": 6, "1d": 1},
}
SESSIONS = {"XNYS": 252, "24/7": 365, "24/5": 260}


@pytest.mark.parametrize("calendar", BARS_A_SESSION)
def test_a_year_has_whole_sessions_of_whole_bars(calendar: str) -> None:
    counted = {each: bars_per_year(calendar, each) for each in DURATIONS}
    sessions = SESSIONS[calendar]
    assert counted == {each: n * sessions for each, n in BARS_A_SESSION[calendar].items()}
