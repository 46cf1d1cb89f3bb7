"""The walk through a history, against a simulated vendor that errs at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.errors import DataError
from hf_resources.sources.base import window
from hf_resources.sources.http import BadReplyError
from hf_resources.sources.paging import (
    EPOCH,
    Page,
    earliest,
    in_window,
    instant,
    milliseconds,
    number,
    on_grid,
    tidy,
    walk,
)

HOUR = timedelta(hours=1)
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def history(hours: list[int]) -> pd.DataFrame:
    index = pd.DatetimeIndex([BEGIN + hour * HOUR for hour in hours], name="timestamp", tz="UTC")
    return pd.DataFrame({"close": np.array(hours, dtype="float64")}, index=index.as_unit("us"))


class Vendor:
    """Has some of the hours up to ``now``; how it errs is drawn."""

    def __init__(self, bars: pd.DataFrame, now: datetime, draw: st.DataObject | None) -> None:
        self.bars = bars
        self.now = now
        self.draw = draw
        self.windows: list[tuple[datetime, datetime]] = []
        self.lied_at: set[datetime] = set()

    def first(self, at: datetime | None) -> datetime | None:
        return earliest(pd.DatetimeIndex(self.bars.index), at)

    def ask(self, start: datetime, stop: datetime) -> Page:
        self.windows.append((start, stop))
        bars = window(self.bars, start, stop)
        errs = self.draw.draw(st.sampled_from(ERRORS)) if self.draw else "not"
        if errs == "empty" and start not in self.lied_at and len(bars):
            self.lied_at.add(start)
            bars = bars.iloc[:0]
        if errs == "short":
            bars = bars.iloc[: max(1, len(bars) // 2)]
        reached = instant(bars.index.max()) + HOUR if len(bars) else start
        if errs == "overlap":
            before = window(self.bars, None, start).iloc[-3:]
            bars = pd.concat([before, bars]) if len(bars) else bars
        if errs == "twice":
            bars = pd.concat([bars, bars.iloc[:2]])
        if errs == "backwards":
            bars = bars.iloc[::-1]
        return Page(bars, min(reached, stop), self.now)


ERRORS = ("not", "empty", "short", "overlap", "twice", "backwards")


@settings(max_examples=150, deadline=None)
@given(
    hours=st.lists(st.integers(0, 80), unique=True).map(sorted),
    start=st.none() | st.integers(-20, 90),
    length=st.none() | st.integers(0, 100),
    width=st.integers(1, 30),
    data=st.data(),
)
def test_every_bar_comes_once_and_in_order(
    hours: list[int], start: int | None, length: int | None, width: int, data: st.DataObject
):
    bars = history(hours)
    vendor = Vendor(bars, BEGIN + 80 * HOUR + timedelta(minutes=59), data)
    begin = None if start is None else BEGIN + start * HOUR
    end = None if length is None else (begin or BEGIN) + length * HOUR
    pages = list(walk(vendor.ask, vendor.first, begin, end, width * HOUR, "here: X 1h"))
    wanted = window(bars, begin, end)
    got = pd.concat(pages) if pages else bars.iloc[:0]
    # A wrongly empty page at the vendor's present ends the run early and loses nothing: what is
    # missing is the end, which the next run begins with.
    assert got.equals(wanted.iloc[: len(got)])
    if not vendor.lied_at:
        assert len(got) == len(wanted)
    elif len(got) < len(wanted):
        last_start, last_stop = vendor.windows[-1]
        assert last_stop > vendor.now
        assert not len(got) or got.index[-1] < last_start
    assert all(len(page) for page in pages)
    # No window reaches back behind a page that was taken.
    assert all(
        later[0] >= earlier[0]
        for earlier, later in zip(vendor.windows, vendor.windows[1:], strict=False)
    )


def test_a_page_is_asked_for_only_when_the_one_before_was_taken():
    vendor = Vendor(history(list(range(50))), BEGIN + 50 * HOUR, None)
    pages = walk(vendor.ask, vendor.first, BEGIN, None, 10 * HOUR, "here")
    next(pages)
    assert len(vendor.windows) == 1
    next(pages)
    assert vendor.windows[1] == (BEGIN + 10 * HOUR, BEGIN + 20 * HOUR)


def test_a_window_that_stays_empty_against_the_evidence_is_an_error():
    vendor = Vendor(history(list(range(50))), BEGIN + 50 * HOUR, None)

    def ask(start: datetime, stop: datetime) -> Page:
        page = vendor.ask(start, stop)
        lost = start >= BEGIN + 20 * HOUR
        return Page(page.bars.iloc[:0], start, page.moment) if lost else page

    pages = walk(ask, vendor.first, BEGIN, None, 10 * HOUR, "here: X 1h")
    assert len([next(pages), next(pages)]) == 2
    with pytest.raises(DataError) as caught:
        next(pages)
    assert str(caught.value) == (
        "here: X 1h: the vendor returns no bars from 2024-01-01 20:00 to 2024-01-02 06:00 UTC, and "
        "yet has one at 2024-01-01 20:00; run again later"
    )
    assert len(vendor.windows) == 4


def test_a_bar_that_changes_between_pages_is_an_error():
    vendor = Vendor(history(list(range(50))), BEGIN + 50 * HOUR, None)

    def ask(start: datetime, stop: datetime) -> Page:
        page = vendor.ask(start - HOUR, stop)
        return Page(page.bars + (0.5 if start > BEGIN else 0), page.reached, page.moment)

    pages = walk(ask, vendor.first, BEGIN, None, 10 * HOUR, "here: X 1h")
    next(pages)
    with pytest.raises(DataError, match=r"09:00 UTC came twice, with close 9.0 and then 9.5; the"):
        next(pages)


def test_repetitions_are_dropped_and_contradictions_refused():
    bars = history([3, 1, 2, 1])
    assert tidy(bars, "here")["close"].to_list() == [1, 2, 3]
    bars.iloc[0] = np.nan
    assert tidy(pd.concat([bars, bars]), "here")["close"].isna().to_list() == [False, False, True]
    bars.iloc[1] = np.nan
    with pytest.raises(DataError, match=r"here: the bar at 2024-01-01 01:00 UTC came twice, with"):
        tidy(bars, "here")


@pytest.mark.parametrize(
    ("hours", "fits"),
    [([], True), ([10], True), ([19], True), ([8, 9, 10], True), ([9], False), ([20], False),
     ([10, 20], False), ([1, 2], False)],
)  # fmt: skip
def test_a_page_belongs_to_its_window_or_not(hours: list[int], fits: bool):
    opens = pd.DatetimeIndex(history(hours).index)
    if fits:
        in_window(opens, BEGIN + 10 * HOUR, BEGIN + 20 * HOUR)
    else:
        with pytest.raises(BadReplyError, match="which is not the page asked for"):
            in_window(opens, BEGIN + 10 * HOUR, BEGIN + 20 * HOUR)


@given(
    st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([timedelta(minutes=1), timedelta(hours=4), timedelta(days=1)]),
)
def test_the_grid_is_that_of_1970(moment: datetime, step: timedelta):
    at = on_grid(moment, step)
    assert at is not None
    assert (at - EPOCH) % step == timedelta(0)
    assert timedelta(0) <= at - moment < step
    assert milliseconds(at) == int(at.timestamp() * 1000)


@pytest.mark.parametrize("value", ["", "x", "nan", "-inf", None, True, [], {}, float("nan")])
def test_what_is_no_number_is_refused(value: object):
    with pytest.raises(BadReplyError, match=r"has volume .*, which is no number"):
        number(value, "volume")
    assert number("1e-8", "volume") == 1e-8
