"""When bars close, with and without a calendar."""

from __future__ import annotations

import numpy as np

from hf_plugins.sessions import ExpectedBars, close_times

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def test_a_bar_closes_by_the_calendar_where_that_has_it() -> None:
    opens = np.array([10, 11, 12], dtype=np.int64) * HOUR
    expected = ExpectedBars(opens, np.array([11 * 60, 12 * 60, 12 * 60 + 30]) * MINUTE)
    stamps = np.array([12 * 60, 10 * 60, 10 * 60 + 15, 15 * 60], dtype=np.int64) * MINUTE
    found = close_times(stamps, "1h", expected) // MINUTE
    # The last one is cut short; between the bars and after them the slot is all that is known.
    assert found.tolist() == [12 * 60 + 30, 11 * 60, 11 * 60 + 15, 16 * 60]


def test_without_a_calendar_a_bar_closes_with_its_slot() -> None:
    stamps = np.array([3, 7], dtype=np.int64) * MINUTE
    none = np.empty(0, dtype=np.int64)
    for expected in (None, ExpectedBars(none, none)):
        assert (close_times(stamps, "5m", expected) // MINUTE).tolist() == [8, 12]
