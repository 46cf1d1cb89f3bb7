"""Clocks: what a declaration means, and how local stamps become UTC where the hour repeats."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError
from hf_resources.sources.clock import Clock, LocalTimeError


def utc(clock: str, *local: str) -> list[str]:
    converted = Clock.parse(clock).utc(pd.DatetimeIndex(list(local)))
    return [f"{instant:%Y-%m-%d %H:%M}" for instant in converted]


@pytest.mark.parametrize(
    ("clock", "local", "expected"),
    [
        ("UTC", "2024-07-01 12:00", "2024-07-01 12:00"),
        ("UTC+2", "2024-07-01 12:00", "2024-07-01 10:00"),
        ("UTC-05:30", "2024-07-01 12:00", "2024-07-01 17:30"),
        ("Europe/Athens", "2024-01-15 12:00", "2024-01-15 10:00"),
        ("Europe/Athens", "2024-07-15 12:00", "2024-07-15 09:00"),
        # 17:00 New York is midnight on the server, whatever the season.
        ("new_york+7", "2024-01-16 00:00", "2024-01-15 22:00"),
        ("new_york+7", "2024-07-16 00:00", "2024-07-15 21:00"),
        ("EST_no_dst", "2024-07-15 12:00", "2024-07-15 17:00"),
        # Releases of 08:30 New York: in winter, in summer, and on 2023-03-14 and 2023-11-03, in
        # the weeks when New York has summer time and London has not.
        ("histdata", "2023-01-12 08:30", "2023-01-12 13:30"),
        ("histdata", "2023-07-12 08:30", "2023-07-12 12:30"),
        ("histdata", "2023-03-14 07:30", "2023-03-14 12:30"),
        ("histdata", "2023-11-03 07:30", "2023-11-03 12:30"),
    ],
)
def test_known_answers(clock: str, local: str, expected: str):
    assert utc(clock, local) == [expected]
    instant = pd.DatetimeIndex([expected]).tz_localize("UTC")
    assert Clock.parse(clock).local(instant).equals(pd.DatetimeIndex([local]))


@pytest.mark.parametrize(
    ("declaration", "hint"),
    [
        ("nwe_york+7", "Did you mean 'new_york+7'?"),
        ("Europe/Athen", "Did you mean 'Europe/Athens'?"),
        ("UTC+20", "an offset such as UTC+2"),
        ("+2", "an offset such as UTC+2"),
        ("", "allowed: UTC"),
    ],
)
def test_unknown_clock_says_what_is_allowed(declaration: str, hint: str):
    with pytest.raises(ConfigurationError, match=f"clock is '{declaration[:1]}".replace("+", ".")):
        Clock.parse(declaration)
    with pytest.raises(ConfigurationError) as caught:
        Clock.parse(declaration)
    assert hint in str(caught.value)


@given(
    zone=st.sampled_from(
        ["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Tokyo", "Europe/Athens"]
    ),
    shift=st.integers(-12, 12),
    day=st.dates(datetime(2015, 1, 1).date(), datetime(2026, 1, 1).date()),
    step=st.sampled_from([1, 5, 15, 30]),
)
def test_an_unbroken_recording_comes_back_whole(zone: str, shift: int, day: datetime, step: int):
    """Through every change of the clock; the local times are made by the standard library."""
    clock = Clock.parse(f"{zone}{shift:+d}" if shift else zone)
    instants = pd.date_range(str(day), periods=3 * 24 * 60 // step, freq=f"{step}min", tz="UTC")
    local = [
        each.to_pydatetime().astimezone(ZoneInfo(zone)).replace(tzinfo=None) for each in instants
    ]
    wall = pd.DatetimeIndex(local) + pd.Timedelta(hours=shift)
    assert clock.utc(wall).equals(instants)
    assert clock.local(instants).equals(wall)


def test_a_repeated_hour_is_resolved_by_order_with_holes():
    # New York puts its clock back at 06:00 UTC; 01:40 of the first pass is missing, 01:10 of the
    # second as well.
    local = [
        "2024-11-03 00:50",
        *(f"2024-11-03 01:{m}" for m in (10, 30, 20, 50)),
        "2024-11-03 02:00",
    ]
    assert utc("America/New_York", *local) == [
        f"2024-11-03 {each}" for each in ("04:50", "05:10", "05:30", "06:20", "06:50", "07:00")
    ]


@pytest.mark.parametrize(
    ("minutes", "row"),
    [((10, 20, 30), 1), ((10, 5, 20, 15), 1)],
    ids=["one pass", "two steps back"],
)
def test_a_repeated_hour_that_order_does_not_resolve(minutes: tuple[int, ...], row: int):
    local = ["2024-11-03 00:50", *(f"2024-11-03 01:{m:02}" for m in minutes), "2024-11-03 02:00"]
    with pytest.raises(LocalTimeError) as caught:
        utc("America/New_York", *local)
    assert caught.value.row == row
    assert caught.value.problem.startswith(
        "exists twice on the clock America/New_York, which is put back over it"
    )


def test_each_change_of_the_clock_is_resolved_on_its_own():
    both = [
        f"{day} {hour}"
        for day in ("2023-11-05", "2024-11-03")
        for hour in ("00:30", "01:30", "01:30", "02:30")
    ]
    assert [each[11:] for each in utc("America/New_York", *both)] == [
        "04:30", "05:30", "06:30", "07:30",
    ] * 2  # fmt: skip
    with pytest.raises(LocalTimeError) as caught:
        utc("America/New_York", *both[:6], both[7])
    assert caught.value.row == 5


def test_an_hour_that_the_clock_skips_does_not_exist():
    with pytest.raises(LocalTimeError) as caught:
        utc("new_york+7", "2024-03-10 08:59", "2024-03-10 09:30", "2024-03-10 10:00")
    assert caught.value.row == 1
    assert caught.value.problem == (
        "does not exist on the clock new_york+7, which is put forward over it"
    )
