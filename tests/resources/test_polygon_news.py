"""News of Polygon / Massive over real HTTP, against a replay of the vendor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.versioning import Identity, Implementation
from hf_resources.datasets import Dataset, DatasetRef, Definition
from hf_resources.settings import Settings
from hf_resources.side_sources import SideSource, get_side_source
from hf_resources.side_tables import SideRows, collect
from hf_resources.sources.remarks import gathered
from hf_resources.store import DatasetStore
from tests.replay import Answer, PolygonReplay, ReplayServer, Request

KEY = "k3y-that-nobody-may-see"
NOW = datetime(2022, 5, 1, tzinfo=UTC)


def article(number: int, at: str, *tickers: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"id{number:04}",
        "publisher": {"name": "A paper", "homepage_url": "https://paper.example"},
        "title": f"Title {number}",
        "published_utc": at,
        "article_url": f"https://paper.example/{number}",
        "tickers": list(tickers),
        "description": f"What number {number} says.",
        **more,
    }


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", KEY)


@pytest.fixture
def vendor() -> PolygonReplay:
    replay = PolygonReplay(KEY)
    replay.news = [
        article(1, "2022-04-28T17:08:00Z", "MSFT", "NFLX"),
        article(2, "2022-04-28T17:08:00Z", "NFLX"),
        article(3, "2022-04-29T09:00:00Z", "MSFT"),
        article(4, "2022-04-30T09:00:00Z", "NFLX", description=None),
        article(5, "2022-05-02T09:00:00Z", "NFLX"),  # of the future
    ]
    return replay


@pytest.fixture
def served(vendor: PolygonReplay) -> Iterator[ReplayServer]:
    with ReplayServer(vendor) as running:
        yield running


def source(served: ReplayServer, **params: Any) -> SideSource:
    return get_side_source("polygon.news")(
        base_url=served.url, backoff=0.01, attempts=2, read_timeout=20, **params
    )


def test_articles_about_a_ticker(served: ReplayServer) -> None:
    found = source(served).fetch("NFLX", NOW, None)
    assert list(found["title"]) == ["Title 1", "Title 2", "Title 4"]
    assert list(found.iloc[0]) == [
        "Title 1",
        "What number 1 says.",
        "A paper",
        "https://paper.example/1",
        "MSFT NFLX",
    ]
    assert found["description"].isna().tolist() == [False, False, True]
    assert found.index[0] == pd.Timestamp("2022-04-28 17:08", tz="UTC")
    assert len(source(served).fetch(None, NOW, None)) == 4
    named = source(served, symbols={"Netflix": "NFLX"}).fetch("Netflix", NOW, None)
    pd.testing.assert_frame_equal(named, found)


def test_all_pages_are_followed_and_each_article_is_one(
    served: ReplayServer, vendor: PolygonReplay
) -> None:
    whole = source(served).fetch("NFLX", NOW, None)
    vendor.page = 1
    pd.testing.assert_frame_equal(source(served).fetch("NFLX", NOW, None), whole)
    vendor.news.insert(2, dict(vendor.news[0]))
    with gathered() as remarks:
        found = source(served).fetch("NFLX", NOW, None)
    pd.testing.assert_frame_equal(found, whole)
    assert remarks.sentences() == ("articles that came on two pages: 1",)


def test_the_end_alone_is_asked_for_and_yields_the_whole(
    served: ReplayServer, vendor: PolygonReplay, tmp_path: Path
) -> None:
    store = DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)}))
    news = source(served, overlap_days=1)
    head = published(store, collect(store, news, "NFLX", now=NOW, head=None))
    assert head.row_count == 3
    later = datetime(2022, 5, 3, tzinfo=UTC)
    vendor.news.append(article(6, "2022-04-29T12:00:00Z", "NFLX"))  # added late
    before = len(served.requests)
    found = published(store, collect(store, news, "NFLX", now=later, head=head), head)
    asked = served.requests[before:]
    assert [each.query["published_utc.gte"] for each in asked] == ["2022-04-29T09:00:00Z"]
    fresh = collect(store, news, "NFLX", now=later, head=None)
    assert found.column_digests == fresh.staged.digests
    assert list(store.read(found)["title"]) == [f"Title {number}" for number in (1, 2, 6, 4, 5)]


def published(store: DatasetStore, rows: SideRows, expected: Dataset | None = None) -> Dataset:
    stamp = str(rows.staged.digests)
    identity = Identity(
        "side_data.polygon.news", {}, "NFLX", "event", "", "", stamp, "", Implementation({}, {})
    )
    definition = Definition("side_data", "news", "side_data.polygon.news", {})
    ref = DatasetRef("side_data", "news", "NFLX", "event")
    return store.publish(ref, identity, definition=definition, frame=rows.staged, expected=expected)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"published_utc": "yesterday"}, "published_utc 'yesterday', which is no time"),
        ({"published_utc": "2022-04-28T17:08:00"}, "has no time zone"),
        ({"id": None}, "an article without an id"),
        ({"title": 7}, "title 7, which is no text"),
    ],
)
def test_what_cannot_be_read_is_told(changes: dict[str, Any], told: str) -> None:
    def answer(request: Request) -> Answer:
        del request
        return Answer({"results": [article(1, "2022-04-28T17:08:00Z", "NFLX") | changes]})

    with ReplayServer(answer) as served, pytest.raises(DataError, match=told):
        source(served).fetch("NFLX", NOW, None)


def test_the_key_is_needed_and_never_told(
    served: ReplayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", "wrong-one")
    with pytest.raises(ConfigurationError) as told:
        source(served).fetch("NFLX", NOW, None)
    assert "wrong-one" not in str(told.value)
    monkeypatch.delenv("POLYGON_API_KEY")
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=r"POLYGON_API_KEY.*is not set"):
        source(served).fetch("NFLX", NOW, None)


def test_how_the_vendor_is_reached_is_no_part_of_what_is_fetched(served: ReplayServer) -> None:
    assert source(served).parameters() == {"since": None, "symbols": {}}
