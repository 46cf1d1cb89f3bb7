"""Polygon / Massive over REST: the key, the form of a reply, and the pages that follow it.

What all of the vendor's endpoints have in common; what their rows mean is known to those who ask.
The key goes out as a header only. ``next_url`` is followed by its path, against the client's own
address: the key is never sent to an address out of a reply, and a replayed or mirrored service
serves all pages.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.sources.http import BadReplyError, HttpClient, HttpParams, Reply, TokenBucket

BASE_URL: Final = "https://api.polygon.io"
KEY_NAME: Final = "POLYGON_API_KEY"
OTHER_KEY_NAME: Final = "MASSIVE_API_KEY"


class PolygonReach(HttpParams):
    """How the vendor is reached, with which key and how often."""

    api_key_env: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            description=f"Environment variable with the API key; without one, {OTHER_KEY_NAME} is "
            "looked up too.",
        ),
    ] = KEY_NAME
    requests_per_minute: Annotated[
        float | None, Field(gt=0, description="Rate limit of the plan; none if not given.")
    ] = None


def client_of(source: str, reach: PolygonReach) -> HttpClient:
    """The client of a source; the key is looked up with its first request."""
    rate = reach.requests_per_minute
    return HttpClient(
        source,
        reach.base_url or BASE_URL,
        reach,
        bucket=TokenBucket(rate) if rate else None,
        key=partial(api_key, source, reach.api_key_env),
        key_name=reach.api_key_env,
    )


def api_key(source: str, name: str) -> str:
    """The key in an environment variable.

    Raises:
        ConfigurationError: there is none, or it has characters that no key has.
    """
    key = os.environ.get(name, "").strip() or os.environ.get(OTHER_KEY_NAME, "").strip()
    if not key:
        also = f" (or {OTHER_KEY_NAME})" if name != OTHER_KEY_NAME else ""
        raise ConfigurationError(
            f"source '{source}': the environment variable {name}{also} is not set; set it to an "
            "API key of Polygon or Massive"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            f"source '{source}': the API key in the environment variable {name} has characters "
            "that no key has, such as a space or a line break; set it anew"
        )
    return key


def chain(
    client: HttpClient,
    path: str,
    query: Mapping[str, str | int],
    check: Callable[[Any], None],
    *,
    subject: str,
    owner: str,
    attempts: int,
    follow: bool = True,
) -> Iterator[Reply]:
    """A reply and, if they are wanted, those that ``next_url`` leads to.

    Raises:
        DataError: the pages lead in a circle, or to no address of the vendor.
    """
    visits: Counter[str] = Counter()
    while True:
        reply = client.get(path, query, subject=subject, check=check)
        yield reply
        following = reply.body.get("next_url")
        if not (follow and following):
            return
        path, query = _target(following)
        visits[following] += 1
        if visits[following] > attempts:
            raise DataError(f"{owner}: the vendor's pages lead in a circle at {path}; try later")


def results(body: Any) -> list[dict[str, Any]]:
    """The rows of a reply whose status is good.

    Raises:
        BadReplyError: there are none to be read.
    """
    if not isinstance(body, dict):
        raise BadReplyError(f"is a {type(body).__name__}, not an object with results")
    # Some replies of the reference endpoints carry no status.
    status = body.get("status", "OK")
    if status not in ("OK", "DELAYED"):
        said = body.get("error") or body.get("message") or "no reason"
        raise BadReplyError(f"has status {status!r} ({said})")
    rows = body.get("results") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadReplyError("has results that are no list of objects")
    return rows


def _target(url: object) -> tuple[str, dict[str, str | int]]:
    if not isinstance(url, str) or not urlsplit(url).path.startswith("/v"):
        raise DataError(f"source 'polygon': next_url is {url!r}, which is no address of the vendor")
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    return parts.path, {name: value for name, value in query if name.lower() != "apikey"}
