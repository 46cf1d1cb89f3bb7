"""How a vendor is asked: one GET at a time, patiently, and with errors that a person can act on.

A thin client over :mod:`requests`: time limits, a rate limit, retries, and the check that a reply
is whole and is JSON. What a reply means belongs to the vendor's module, how a history is cut into
requests to :mod:`hf_resources.sources.paging`.

The retries are one loop here and not the ``Retry`` of urllib3's pool manager, because that one ends
with the headers: a connection that is cut in the body, a body that is no JSON and a page that is
not the one asked for would need a second loop around it, and two budgets of attempts. Its reading
of ``Retry-After`` is used.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import requests
from pydantic import Field
from requests.auth import AuthBase
from urllib3.exceptions import InvalidHeader, ReadTimeoutError
from urllib3.util.retry import Retry

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError, HfError
from hf_resources.sources.remarks import remark

_log = logging.getLogger(__name__)

_TOO_MANY: Final = (418, 429)
_TRANSIENT: Final = (408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524)
_LONGEST_BACKOFF: Final = 60.0
_LONGEST_QUOTE: Final = 200


class SourceUnavailableError(HfError):
    """A vendor cannot be reached, or refuses for now; the same request may work later."""


class BadReplyError(Exception):
    """A reply that is not an answer to the request; it is asked for again.

    The text completes "the reply ...".
    """


class HttpParams(Params):
    """How a vendor is reached. None of these changes what the bars are."""

    base_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$",
            description="Where the vendor's interface is; the vendor's own address if not given.",
        ),
    ] = None
    connect_timeout: Annotated[
        float, Field(gt=0, le=600, description="Seconds until a connection must stand.")
    ] = 10.0
    read_timeout: Annotated[
        float, Field(gt=0, le=600, description="Longest silence, in seconds, during a reply.")
    ] = 60.0
    attempts: Annotated[int, Field(ge=1, le=20, description="Attempts for each request.")] = 5
    backoff: Annotated[
        float,
        Field(ge=0, le=60, description="Seconds before the second attempt; doubled for each next."),
    ] = 1.0
    longest_wait: Annotated[
        float,
        Field(ge=0, le=3600, description="Longest wait, in seconds, that a vendor may ask for."),
    ] = 120.0


class TokenBucket:
    """A rate limit: never more than ``per_minute`` tokens in a minute.

    A quarter of them may go at once, the others are refilled evenly, so that a burst and the refill
    after it stay below the limit together. Safe to share between threads. It knows of this process
    only; how many processes ask a vendor at once is limited where they are launched.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._capacity = max(1.0, per_minute / 4)
        self._rate = max(per_minute - self._capacity, per_minute / 2) / 60
        self._tokens = self._capacity
        self._clock, self._sleep = clock, sleep
        self._at = clock()
        self._lock = threading.Lock()

    def take(self, cost: float = 1.0) -> float:
        """Wait until ``cost`` tokens are there and take them; returns the seconds waited.

        The tokens are taken at once and the debt is waited for, so that many threads are served in
        turn. A cost above the capacity is waited for in full.
        """
        with self._lock:
            now = self._clock()
            self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
            self._at = now
            self._tokens -= cost
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._sleep(wait)
        return wait


@dataclass(frozen=True)
class Reply:
    """A whole reply.

    ``moment`` is the vendor's clock when it answered (the header ``Date``, whole seconds, rounded
    down): the instant up to which the body can know anything.
    """

    body: Any
    moment: datetime


@dataclass(frozen=True)
class _Failure:
    """Why an attempt failed; ``wait`` is what the vendor asked for, in seconds."""

    what: str
    advice: str
    wait: float = 0.0
    kind: type[HfError] = SourceUnavailableError


class _Bearer(AuthBase):
    """Sends a key as a header. As an auth object it also keeps requests from reading ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class HttpClient:
    """GET requests to one vendor.

    Args:
        source: key of the source, for messages.
        base_url: scheme, host and perhaps a path prefix.
        params: time limits and retries.
        bucket: the rate limit; None for none.
        key: returns the API key; called for each request and never kept. It goes out as a header
            and is cut out of every text that is logged or raised.
        key_name: the environment variable of the key, for messages.
        sleep: waits between attempts.
    """

    def __init__(
        self,
        source: str,
        base_url: str,
        params: HttpParams,
        *,
        bucket: TokenBucket | None = None,
        key: Callable[[], str] | None = None,
        key_name: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._base_url = base_url.rstrip("/")
        self._params = params
        self._bucket = bucket
        self._key = key
        self._key_name = key_name
        self._sleep = sleep
        self._session: requests.Session | None = None

    def get(
        self,
        path: str,
        query: Mapping[str, str | int],
        *,
        subject: str,
        cost: float = 1.0,
        check: Callable[[Any], None] | None = None,
    ) -> Reply:
        """The decoded body of one GET, after as many attempts as it takes and is allowed.

        Time-outs, cut connections, statuses that pass (408, 418, 425, 429, 5xx), bodies that are
        not whole or no JSON, and replies that ``check`` refuses are asked for again, after an
        exponential back-off with jitter or after ``Retry-After``, whichever is longer.

        Args:
            path: from the base URL on, percent-encoded, with a leading slash.
            query: the parameters of the URL.
            subject: symbol and timeframe, for messages.
            cost: tokens of the rate limit that each attempt takes.
            check: raises :class:`BadReplyError` for a body that does not answer the request.

        Raises:
            ConfigurationError: the vendor refuses the request as it is (400, 401, 403, 404, 451, a
                redirection), or there is no key.
            SourceUnavailableError: the attempts are used up, or the vendor asks to wait longer than
                allowed.
            DataError: the last attempt still has a body that cannot be used.
        """
        key = self._key() if self._key else None
        where = f"source '{self._source}': {subject}: GET {path}"
        for attempt in itertools.count(1):
            if self._bucket:
                self._bucket.take(cost)
            outcome = self._attempt(path, query, key, check, where)
            if isinstance(outcome, Reply):
                return outcome
            what = _without(key, outcome.what)
            if outcome.wait > self._params.longest_wait:
                raise SourceUnavailableError(
                    f"{where}: {what} and asks to wait {outcome.wait:.0f} seconds, more than "
                    f"longest_wait of {self._params.longest_wait:g}; try again then"
                )
            if attempt == self._params.attempts:
                count = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                raise outcome.kind(f"{where}: {what}, after {count}; {outcome.advice}")
            wait = max(outcome.wait, self._backoff(attempt))
            _log.warning(
                "%s: %s; attempt %d of %d follows in %.2f seconds",
                *(where, what, attempt + 1, self._params.attempts, wait),
            )
            remark(f"requests that were repeated because {what}")
            self._sleep(wait)
        raise AssertionError("unreachable")

    def _backoff(self, attempt: int) -> float:
        delay = min(_LONGEST_BACKOFF, self._params.backoff * 2 ** (attempt - 1))
        # Jitter, so that processes which were refused together do not come back together.
        return delay * random.uniform(0.5, 1.0)  # noqa: S311

    def _attempt(
        self,
        path: str,
        query: Mapping[str, str | int],
        key: str | None,
        check: Callable[[Any], None] | None,
        where: str,
    ) -> Reply | _Failure:
        if self._session is None:
            self._session = requests.Session()
        try:
            response = self._session.get(
                self._base_url + path,
                params=query,
                auth=_Bearer(key) if key else None,
                timeout=(self._params.connect_timeout, self._params.read_timeout),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Told outside, so that no exception is chained which holds the request and its key.
            outcome = self._broken(error, where)
        else:
            outcome = self._refused(response, where, key) or self._read(response, check)
        if isinstance(outcome, HfError):
            raise outcome
        return outcome

    def _broken(self, error: requests.RequestException, where: str) -> _Failure | HfError:
        host = urlsplit(self._base_url).netloc
        cause = error.args[0] if error.args else None
        if isinstance(error, requests.exceptions.ConnectTimeout):
            limit = self._params.connect_timeout
            return _Failure(
                f"no connection to {host} within {limit:g} seconds",
                "check the network, or raise connect_timeout",
            )
        if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
            limit = self._params.read_timeout
            return _Failure(
                f"{host} was silent for {limit:g} seconds", "try later, or raise read_timeout"
            )
        if isinstance(error, requests.exceptions.SSLError):
            return ConfigurationError(
                f"{where}: the certificate of {host} cannot be verified; check base_url and the "
                "certificates of this machine"
            )
        if isinstance(
            error,
            requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError,
        ):
            return _Failure("the reply was cut off in its body", "try later")
        if isinstance(error, requests.ConnectionError):
            return _Failure(
                f"the connection to {host} failed", "check the network and base_url, or try later"
            )
        return ConfigurationError(
            f"{where}: the request cannot be sent ({type(error).__name__}); check base_url"
        )

    def _refused(
        self, response: requests.Response, where: str, key: str | None
    ) -> _Failure | HfError | None:
        status = response.status_code
        if status == 200:
            return None
        said = _reason(response, key)
        if status in _TOO_MANY:
            return _Failure(
                f"too many requests (status {status}{said})",
                "ask for less at once, or try later",
                _retry_after(response),
            )
        if status in _TRANSIENT:
            return _Failure(
                f"the vendor is out of order (status {status}{said})",
                "try later",
                _retry_after(response),
            )
        advice = {
            401: f"set {self._key_name} to a valid API key"
            if self._key_name
            else "the vendor asks for a key, which this source does not send; check base_url",
            403: "check that the plan of the API key includes this data and this period"
            if self._key_name
            else "the vendor refuses this address; check the network and base_url",
            404: "check the symbol and base_url",
            451: "the vendor does not serve this location",
        }.get(status, "check the symbol, the period and the parameters of the source")
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("Location", "")).netloc or "elsewhere"
            advice = f"it redirects to {target}; set base_url to where the vendor is now"
        return ConfigurationError(f"{where}: refused with status {status}{said}; {advice}")

    def _read(
        self, response: requests.Response, check: Callable[[Any], None] | None
    ) -> Reply | _Failure:
        try:
            body = json.loads(response.content, parse_constant=_no_constant)
        except ValueError:
            kind = response.headers.get("Content-Type", "no content type")
            return _Failure(
                f"the reply is no JSON ({len(response.content)} bytes of {kind})",
                "check base_url and what lies between here and the vendor",
                kind=DataError,
            )
        try:
            moment = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            return _Failure(
                "the reply has no header Date, so no bar of it can be told finished",
                "check what lies between here and the vendor",
                kind=DataError,
            )
        try:
            if check:
                check(body)
        except BadReplyError as error:
            return _Failure(f"the reply {error}", "try later, or tell the vendor", kind=DataError)
        return Reply(body, moment)


def _reason(response: requests.Response, key: str | None) -> str:
    """What the vendor says in the body of an error, as ``": text"``, or nothing."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return ""
    if not isinstance(body, Mapping):
        return ""
    for name in ("msg", "message", "error"):
        if isinstance(body.get(name), str) and body[name].strip():
            text = " ".join(_without(key, body[name]).split())[:_LONGEST_QUOTE]
            code = f"{body['code']} " if isinstance(body.get("code"), int) else ""
            return f": {code}{text}"
    return ""


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After")
    if value is None:
        return 0.0
    try:
        return Retry().parse_retry_after(value)
    except InvalidHeader:
        return 0.0


def _without(key: str | None, text: str) -> str:
    return text.replace(key, "***") if key else text


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
