"""What happened while a fetch was read is told, and changes nothing of what was read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from hf_resources.settings import Settings
from hf_resources.sources.base import create_source
from hf_resources.sources.paging import Page, instant, walk
from hf_resources.sources.remarks import gathered, remark
from hf_resources.store import DatasetStore
from tests.replay import Answer, BinanceReplay, ReplayServer
from tests.resources.series import Series
from tests.resources.series import walk as bars_of

BARS = bars_of(40)
HOUR = timedelta(hours=1)
PATH = "/api/v3/klines"
NOW = (BARS.index[-1] + pd.Timedelta(hours=2)).to_pydatetime()


def read(page: pd.DataFrame) -> pd.DataFrame:
    """A history of one page, as a vendor sent it."""
    first, last = instant(page.index.min()), instant(page.index.max()) + HOUR
    return pd.concat(
        walk(
            lambda start, stop: Page(page, last, last - HOUR),
            lambda at: first,
            None,
            None,
            timedelta(days=10),
            "source 'vendor': BTC 1h",
        )
    )


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (BARS, ()),
        (BARS.iloc[::-1], ("pages whose bars were not in order, and were sorted: 1",)),
        (
            pd.concat([BARS, BARS.iloc[-3:]]).sort_index(),
            ("bars that came twice in a page, with the same content, and count once: 3",),
        ),
    ],
)
def test_a_page_that_had_to_be_tidied_is_remarked(
    page: pd.DataFrame, told: tuple[str, ...]
) -> None:
    with gathered() as remarks:
        found = read(page)
    pd.testing.assert_frame_equal(found, BARS)
    assert remarks.sentences() == told


def test_remarks_are_counted_and_kept_apart() -> None:
    remark("nobody gathers this")
    with gathered() as outer:
        remark("rows", 2)
        with gathered() as inner:
            remark("rows", 5)
        remark("pages")
        remark("rows", 1_000)
    assert outer.sentences() == ("rows: 1,002", "pages: 1")
    assert inner.sentences() == ("rows: 5",)


@pytest.fixture
def venue() -> Iterator[ReplayServer]:
    replay = BinanceReplay()
    replay.add_klines("spot", "BTC", "1h", BARS)
    with ReplayServer(replay, now=NOW) as running:
        yield running


def test_a_repeated_request_stands_in_the_notes_of_the_fetch(
    venue: ReplayServer, tmp_path: Path
) -> None:
    venue.fail(lambda handler, request, answer: handler.reply(Answer({}, 503)), path=PATH)
    series = Series(DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)})))
    source = create_source("binance", {"base_url": venue.url, "backoff": 0})
    outcome = series.ingest(source, NOW)
    (note,) = outcome.notes
    assert note.startswith("requests that were repeated because the vendor is out of order")
    assert note.endswith(": 1")
    assert len(series.read()) == len(BARS)
    assert series.ingest(source, NOW).notes == ()
