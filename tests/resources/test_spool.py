"""A fetch that is killed between two pages goes on where it was, and ends as if it had not been."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_resources.instruments import Instrument
from hf_resources.lake import Lake
from hf_resources.settings import Settings
from hf_resources.sources.base import create_source
from hf_resources.spool import Spool
from hf_resources.store import DatasetStore
from tests.replay import Answer, BinanceReplay, ReplayServer, Request
from tests.resources import publisher
from tests.resources.series import Series, Shelf, after, walk

HOUR = timedelta(hours=1)
PATH = "/api/v3/klines"
PAGE = 100
BARS = walk(1040)
PAGES = 11
HALF_AN_HOUR_IN = (BARS.index[-1] + pd.Timedelta(minutes=30)).to_pydatetime()
"""The last bar is not finished then."""


# ------------------------------------------------------------------------------------------ killed


@pytest.fixture
def venue() -> Iterator[ReplayServer]:
    replay = BinanceReplay()
    replay.add_klines("spot", "BTC", "1h", BARS)
    with ReplayServer(replay, now=HALF_AN_HOUR_IN) as running:
        yield running


def source(url: str) -> Any:
    return create_source("binance", {"base_url": url, "page_size": PAGE, "read_timeout": 60})


def ingest_once(settings: Settings, url: str, now: datetime) -> None:
    Series(DatasetStore.open(settings)).ingest(source(url), now)


def held_until(event: threading.Event) -> Any:
    """A reply that does not come before the event."""

    def send(handler: Any, request: Request, answer: Callable[[Request], Answer]) -> None:
        event.wait(60)
        handler.reply(answer(request))

    return send


def kill_at(venue: ReplayServer, settings: Settings, request: int, now: datetime) -> None:
    """Ingest in a process that dies while it waits for the reply to a request."""
    seen, released = len(venue.asked(PATH)), threading.Event()
    venue.fail(held_until(released), path=PATH, skip=request - 1)
    child = publisher.spawn(ingest_once, settings, venue.url, now)
    deadline = time.monotonic() + 60
    while len(venue.asked(PATH)) < seen + request:
        assert time.monotonic() < deadline, "the child does not come so far"
        assert child.is_alive(), "the child ends before it is killed"
        time.sleep(0.005)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    released.set()
    assert child.exitcode == -signal.SIGKILL


def left(store: DatasetStore) -> list[str]:
    return sorted(item.path for item in store.lake.list("spool"))


def digests(series: Series) -> list[dict[str, str]]:
    return [dict(head.column_digests) for head in (series.bars, series.quarantine) if head]


@pytest.fixture
def undisturbed(tmp_path: Path, venue: ReplayServer) -> Series:
    settings = Settings.from_env({"HF_HOME": str(tmp_path / "undisturbed")})
    series = Series(DatasetStore.open(settings))
    series.ingest(source(venue.url), HALF_AN_HOUR_IN)
    assert len(venue.asked(PATH)) == PAGES + 1  # the first one asks where the history begins
    assert len(series.read()) == len(BARS) - 1
    return series


# The first request, a page in the beginning, in the middle, and the last one.
@pytest.mark.parametrize("request_number", [1, 2, 3, 7, PAGES + 1])
def test_a_killed_fetch_goes_on_behind_its_last_page(
    settings: Settings, venue: ReplayServer, undisturbed: Series, request_number: int
):
    kill_at(venue, settings, request_number, HALF_AN_HOUR_IN)
    series = Series(DatasetStore.open(settings))
    finished = max(request_number - 2, 0)
    assert len(left(series.store)) == finished
    assert series.bars is None
    before = len(venue.requests)
    series.ingest(source(venue.url), HALF_AN_HOUR_IN)
    asked = [int(request.query["startTime"]) for request in venue.requests[before:]]
    assert len(asked) == PAGES - finished + (finished == 0)
    if finished:
        assert min(asked) == BARS.index[finished * PAGE].timestamp() * 1000
    assert digests(series) == digests(undisturbed)
    assert left(series.store) == []


def test_a_fetch_may_be_killed_again_and_again(
    settings: Settings, venue: ReplayServer, undisturbed: Series
):
    for number in range(3):  # the first run asks where the history begins
        kill_at(venue, settings, 3 if number else 4, HALF_AN_HOUR_IN)
    series = Series(DatasetStore.open(settings))
    assert len(left(series.store)) == 6
    series.ingest(source(venue.url), HALF_AN_HOUR_IN)
    assert digests(series) == digests(undisturbed)
    assert left(series.store) == []
    starts = [request.query["startTime"] for request in venue.asked(PATH)[PAGES + 1 :]]
    again = [start for start in starts if starts.count(start) > 1]
    assert len(set(again)) == 3  # of each killed run the one page that it waited for


def test_an_unfinished_bar_of_a_killed_fetch_is_asked_for_again(
    settings: Settings, tmp_path: Path, venue: ReplayServer
):
    """The last page came before the kill, and hours later its last bar is another one."""
    series = Series(DatasetStore.open(settings))
    series.fetch(source(venue.url), HALF_AN_HOUR_IN)  # and no more
    assert len(left(series.store)) == PAGES - 1
    later = HALF_AN_HOUR_IN + 3 * HOUR
    longer = walk(1042)
    venue.now = later
    assert isinstance(venue.vendors[0], BinanceReplay)
    venue.vendors[0].add_klines("spot", "BTC", "1h", longer)
    series.ingest(source(venue.url), later)
    assert series.read("close")["close"].tolist() == longer["close"].tolist()
    assert not series.read("gap_detected")["gap_detected"].any()
    assert series.aside().empty


def test_a_kill_between_publishing_and_clearing_is_harmless(
    settings: Settings, venue: ReplayServer, undisturbed: Series
):
    series = Series(DatasetStore.open(settings))
    outcome, _ = series.fetch(source(venue.url), HALF_AN_HOUR_IN)
    series.publish(outcome)
    remains = left(series.store)
    assert len(remains) == PAGES - 1
    head = series.bars
    assert digests(series) == digests(undisturbed)
    before = len(venue.requests)
    again = series.ingest(source(venue.url), HALF_AN_HOUR_IN)
    assert again.appended == 0
    assert again.revised == ()
    assert series.bars == head
    assert len(venue.requests) == before + 1
    assert left(series.store) == remains
    assert set(series.store.collect_garbage(grace=timedelta(0)).objects) == set(remains)
    assert series.read()["close"].tolist() == BARS["close"].tolist()[:-1]


def test_a_kill_between_the_two_publications_loses_no_row(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
):
    bars = walk(300)
    bars.iloc[[50, 60], 1] = 1.0  # highs
    whole, torn = (
        Series(store, Instrument(name, "crypto", "24/7", 2, 5)) for name in ("WHOLE", "TORN")
    )
    whole.ingest(bars, after(bars))
    outcome, _ = torn.fetch(Shelf(bars), after(bars))
    publish = DatasetStore.publish

    def die(self: DatasetStore, ref: Any, *rest: Any, **named: Any) -> Any:
        if ref.name == "bars":
            raise KeyboardInterrupt
        return publish(self, ref, *rest, **named)

    monkeypatch.setattr(DatasetStore, "publish", die)
    with pytest.raises(KeyboardInterrupt):
        torn.publish(outcome)
    monkeypatch.undo()
    assert torn.bars is None
    torn.ingest(bars, after(bars) + HOUR)
    assert len(torn.aside()) == 2
    names = [name for name in whole.read() if name != "fetched_at"]
    pd.testing.assert_frame_equal(torn.read(*names), whole.read(*names), check_exact=True)


# --------------------------------------------------------------------------------- page by page


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def spool(lake: Lake, purpose: Any = "a") -> Spool:
    return Spool(lake, "BTC/USDT", "1h", purpose)


def dying(pages: list[Any], asked: list[Any] | None = None) -> Any:
    """A source that dies after its last page."""

    def ask(start: datetime | None) -> Iterator[Any]:
        if asked is not None:
            asked.append(start)
        yield from pages
        raise RuntimeError("the power fails")

    return ask


def paths(lake: Lake) -> list[str]:
    return sorted(item.path for item in lake.list("spool"))


THREE = [BARS.iloc[start : start + 10] for start in (0, 10, 20)]


def read_after_death(lake: Lake, pages: list[Any]) -> tuple[list[Any], Any]:
    """What a second run finds, and where it goes on."""
    with pytest.raises(RuntimeError):
        spool(lake).read(dying(pages), None)
    asked: list[Any] = []

    def nothing(start: datetime | None) -> Iterator[Any]:
        asked.append(start)
        yield from ()

    found = spool(lake).read(nothing, None)
    return found, asked[0]


def test_what_was_kept_is_what_came(lake: Lake):
    pages = [page.assign(is_final=True, trades=np.nan) for page in THREE]
    found, start = read_after_death(lake, pages)
    for page, kept in zip(pages, found, strict=True):
        expected = page.set_axis(page.index.as_unit("ns"))
        pd.testing.assert_frame_equal(kept, expected, check_exact=True)
    assert start == BARS.index[30]


def test_another_purpose_knows_nothing_of_it(lake: Lake):
    with pytest.raises(RuntimeError):
        spool(lake).read(dying(THREE), None)
    asked: list[Any] = []
    with pytest.raises(RuntimeError):
        spool(lake, "b").read(dying([], asked), None)
    assert asked == [None]
    spool(lake, "b").clear()
    assert len(paths(lake)) == 3
    spool(lake).clear()
    assert paths(lake) == []


def test_an_empty_page_is_none(lake: Lake):
    found, start = read_after_death(lake, [THREE[0], THREE[1].iloc[:0]])
    assert len(found) == 1
    assert start == BARS.index[10]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda page: page.iloc[::-1],
        lambda page: pd.concat([page, page.iloc[-1:]]),
        lambda page: page.set_axis([pd.NaT, *page.index[1:]]).rename_axis("timestamp"),
        lambda page: page.assign(is_final=[*[True] * 9, False]),
    ],
    ids=["unsorted", "repeated", "unstamped", "unfinished"],
)
def test_no_page_is_kept_behind_one_that_cannot_be(lake: Lake, spoil: Callable[[Any], Any]):
    found, start = read_after_death(lake, [THREE[0], spoil(THREE[1]), THREE[2]])
    assert len(found) == 1
    assert start == BARS.index[10]


def test_pages_behind_a_lost_one_do_not_count(lake: Lake):
    with pytest.raises(RuntimeError):
        spool(lake).read(dying(THREE), None)
    lake.delete(paths(lake)[:1])
    asked: list[Any] = []
    with pytest.raises(RuntimeError):
        spool(lake).read(dying([], asked), None)
    assert asked == [None]


def test_two_fetches_at_once_do_not_mix_their_pages(lake: Lake):
    """The one cuts its pages elsewhere, so nothing of it may stand behind the other's."""

    def other(start: datetime | None) -> Iterator[Any]:
        for number, rows in enumerate((15, 30)):
            if number == 1:
                with pytest.raises(RuntimeError):
                    spool(lake).read(dying([BARS.iloc[15:20]]), None)
            yield BARS.iloc[rows - 15 : rows]

    assert len(pd.concat(spool(lake).read(other, None))) == 30
    found, start = read_after_death(lake, [])
    assert start == found[-1].index[-1] + HOUR
    stamps = pd.concat(found).index
    assert list(stamps) == list(BARS.index[: len(stamps)])


def test_pages_of_two_fetches_are_no_history_when_a_third_finishes_in_between(lake: Lake):
    """What is left of two runs, one of which lost its first pages, lacks ten bars in the middle."""

    def slow(start: datetime | None) -> Iterator[Any]:
        yield BARS.iloc[:15]
        spool(lake).clear()  # another run has finished, and found nothing new
        with pytest.raises(RuntimeError):
            spool(lake).read(dying([BARS.iloc[:5]]), None)
        yield BARS.iloc[15:30]
        raise RuntimeError("the power fails")

    with pytest.raises(RuntimeError):
        spool(lake).read(slow, None)
    found, start = read_after_death(lake, [])
    stamps = pd.concat(found).index
    assert list(stamps) == list(BARS.index[: len(stamps)])
    assert start == BARS.index[len(stamps)]


def test_two_fetches_of_the_same_pages_keep_one_chain(lake: Lake):
    def beside(start: datetime | None) -> Iterator[Any]:
        for page in THREE:
            with pytest.raises(RuntimeError):
                spool(lake).read(dying([page]), None)
            yield page

    assert len(pd.concat(spool(lake).read(beside, None))) == 30
    assert len(paths(lake)) == 3
    found, start = read_after_death(lake, [])
    assert len(found) == 3
    assert start == BARS.index[30]


def test_two_processes_that_fetch_at_once_end_with_one_right_series(
    settings: Settings, venue: ReplayServer, undisturbed: Series
):
    """Both hang in the middle of their pages; then both are let go on."""
    both, released = [], threading.Event()
    venue.fail(held_until(released), path=PATH, skip=4, times=4)
    for _ in range(2):
        both.append(publisher.spawn(ingest_once, settings, venue.url, HALF_AN_HOUR_IN))
    time.sleep(1)
    released.set()
    for child in both:
        child.join(60)
    series = Series(DatasetStore.open(settings))
    codes = sorted(child.exitcode for child in both)
    # Both publish the same version, or one is told that the other was first.
    assert codes in ([0, 0], [0, 1])
    assert digests(series) == digests(undisturbed)
    series.ingest(source(venue.url), HALF_AN_HOUR_IN)
    assert digests(series) == digests(undisturbed)
    assert left(series.store) == []


def test_a_damaged_page_is_asked_for_again(lake: Lake):
    with pytest.raises(RuntimeError):
        spool(lake).read(dying(THREE[:2]), None)
    lake.replace(paths(lake)[1], b"PAR1")
    asked: list[Any] = []
    with pytest.raises(RuntimeError):
        spool(lake).read(dying([], asked), None)
    assert asked == [None]
    assert paths(lake) == []
