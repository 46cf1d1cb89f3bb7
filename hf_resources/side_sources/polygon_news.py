"""News articles from Polygon / Massive: the source ``polygon.news``.

Facts of the interface that shape this module (vendor's documentation of "Ticker News"): articles
are asked for by ticker and by ``published_utc``, 1,000 at most in a reply, and what is left follows
under ``next_url``; an article names all tickers that it is about.

An article is known from ``published_utc`` on, as the vendor says. The vendor does not say when it
had the article itself; where that is later, declare a lag for what reads the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, cast

import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_resources.side_sources.base import (
    STAMP,
    Kind,
    Scope,
    SideSource,
    frame_of,
    register_side_source,
)
from hf_resources.sources.http import BadReplyError, HttpClient
from hf_resources.sources.polygon_rest import PolygonReach, chain, client_of, results
from hf_resources.sources.remarks import remark

_PATH: Final = "/v2/reference/news"
_PER_PAGE: Final = 1000
_COLUMNS: Final[dict[str, Kind]] = {
    "title": "text",
    "description": "text",
    "publisher": "text",
    "url": "text",
    "tickers": "text",
}
# Parameters that say how the vendor is reached and not what the rows are.
_REACH: Final = ("overlap_days", *PolygonReach.model_fields)


class PolygonNewsParams(PolygonReach):
    """Parameters of the source ``polygon.news``."""

    since: Annotated[
        date | None,
        Field(description="First UTC day of the articles; null takes all that the vendor has."),
    ] = None
    symbols: Annotated[
        dict[str, str],
        Field(description="The vendor's ticker of a symbol, where it is not the symbol."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    overlap_days: Annotated[
        int,
        Field(
            ge=0,
            le=3650,
            description="Days before the last known article that are asked for again, for the "
            "vendor adds articles late.",
        ),
    ] = 3


@register_side_source("polygon.news")
class PolygonNews(SideSource):
    """Articles with title, description, publisher, address and tickers (joined by a space)."""

    Params: ClassVar[type[Params]] = PolygonNewsParams

    @property
    def settings(self) -> PolygonNewsParams:
        """The parameters, typed."""
        return cast(PolygonNewsParams, self.params)

    def parameters(self) -> dict[str, Any]:
        """Without what only says how the vendor is reached."""
        return self.params.model_dump(mode="json", exclude=set(_REACH))

    @property
    def columns(self) -> Mapping[str, Kind]:
        """Always the same."""
        return _COLUMNS

    @property
    def overlap(self) -> timedelta:
        """As declared."""
        return timedelta(days=self.settings.overlap_days)

    def check_scope(self, scope: Scope) -> None:
        """Both can be served: articles about a ticker, or all there are."""
        del scope

    def fetch(self, symbol: str | None, now: datetime, since: datetime | None) -> pd.DataFrame:
        """Articles published in ``[since, now]``, each once."""
        first = self.settings.since
        start = since
        if first is not None:
            begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
            start = begin if start is None else max(start, begin)
        query: dict[str, str | int] = {
            "limit": _PER_PAGE,
            "order": "asc",
            "sort": "published_utc",
            "published_utc.lte": _written(now),
        }
        if symbol is not None:
            query["ticker"] = self.settings.symbols.get(symbol, symbol)
        if start is not None:
            query["published_utc.gte"] = _written(start)
        subject = f"{symbol or 'market'} news"
        replies = chain(
            self._client,
            _PATH,
            query,
            _check,
            subject=subject,
            owner=f"source '{self.key}': {subject}",
            attempts=self.settings.attempts,
        )
        found: dict[str, dict[str, Any]] = {}
        repeated = 0
        for reply in replies:
            for article in results(reply.body):
                repeated += article["id"] in found
                found[article["id"]] = article
        if repeated:
            remark("articles that came on two pages", repeated)
        # By id within a second, so that their order does not depend on how they were paged.
        articles = sorted(found.values(), key=lambda each: (_published(each), each["id"]))
        stamps = pd.DatetimeIndex([_published(each) for each in articles], dtype=STAMP)
        values = {name: [_text(each, name) for each in articles] for name in _COLUMNS}
        frame = frame_of(_COLUMNS, stamps, values)
        return frame.loc[frame.index <= pd.Timestamp(now)]

    @cached_property
    def _client(self) -> HttpClient:
        return client_of(self.key, self.settings)


def _check(body: Any) -> None:
    for article in results(body):
        if not isinstance(article.get("id"), str) or not article["id"]:
            raise BadReplyError(f"has an article without an id ({article.get('title')!r})")
        _published(article)
        for name in _COLUMNS:
            _text(article, name)


def _published(article: Mapping[str, Any]) -> datetime:
    told = article.get("published_utc")
    try:
        moment = datetime.fromisoformat(told)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        raise BadReplyError(f"has published_utc {told!r}, which is no time") from None
    if moment.tzinfo is None:
        raise BadReplyError(f"has published_utc {told!r}, which has no time zone")
    return moment


def _text(article: Mapping[str, Any], name: str) -> str | None:
    value: Any = article.get("article_url" if name == "url" else name)
    if name == "publisher":
        value = value.get("name") if isinstance(value, dict) else value
    elif name == "tickers" and isinstance(value, list):
        value = " ".join(str(each) for each in value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadReplyError(f"has {name} {value!r}, which is no text")
    return value.strip()


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
