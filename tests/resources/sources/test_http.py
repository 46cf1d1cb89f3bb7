"""The HTTP client by itself: patience, rate limits, and what is said when it gives up."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.sources.http import (
    BadReplyError,
    HttpClient,
    HttpParams,
    SourceUnavailableError,
    TokenBucket,
)
from tests.replay import Answer, ReplayServer, Request, server


def echo(request: Request) -> Answer:
    return Answer({"query": request.query, "authorization": request.headers.get("authorization")})


@pytest.fixture
def vendor() -> Iterator[ReplayServer]:
    with ReplayServer(echo) as running:
        yield running


class Waits(list[float]):
    """Takes the place of sleeping, and keeps how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(url: str, *, sleep: Any = time.sleep, **params: Any) -> HttpClient:
    made = HttpParams(**{"backoff": 0.001, "attempts": 4, "read_timeout": 20.0, **params})
    return HttpClient("vendor", url, made, sleep=sleep)


def get(asking: HttpClient, **more: Any) -> Any:
    return asking.get("/data", {"limit": 5}, subject="AAPL 1d", **more).body


# ------------------------------------------------------------------------------------- patience


@pytest.mark.parametrize("status", [408, 418, 425, 429, 500, 502, 503, 504, 520, 522])
def test_statuses_that_pass_are_asked_again(vendor: ReplayServer, status: int):
    vendor.fail(server.status(status), times=3)
    assert get(client(vendor.url))["query"] == {"limit": "5"}
    assert len(vendor.asked()) == 4


@pytest.mark.parametrize("status", [204, 301, 307, 400, 401, 403, 404, 405, 410, 451, 501])
def test_statuses_that_stay_are_not(vendor: ReplayServer, status: int):
    vendor.fail(server.status(status))
    with pytest.raises(ConfigurationError, match=rf"GET /data: refused with status {status}; \w+"):
        get(client(vendor.url))
    assert len(vendor.asked()) == 1


@pytest.mark.parametrize("header", ["1", "date"])
def test_retry_after_is_waited_for(vendor: ReplayServer, header: str):
    if header == "date":
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    vendor.fail(server.status(429, Retry_After=header))
    began = time.monotonic()
    get(client(vendor.url))
    assert 1 <= time.monotonic() - began + 0.01 < 15
    assert len(vendor.asked()) == 2


def test_retry_after_beyond_the_longest_wait_is_told_at_once(vendor: ReplayServer):
    vendor.fail(server.status(503, Retry_After="121"))
    waits = Waits()
    with pytest.raises(SourceUnavailableError, match="asks to wait 121 seconds, more than longest"):
        get(client(vendor.url, sleep=waits))
    assert not waits
    vendor.fail(server.status(503, Retry_After="120"))
    get(client(vendor.url, sleep=waits))
    assert waits == [120]


def test_a_retry_after_that_is_no_time_is_no_reason_to_stop(vendor: ReplayServer):
    vendor.fail(server.status(429, Retry_After="soon"))
    get(client(vendor.url))
    assert len(vendor.asked()) == 2


def test_the_back_off_doubles_with_jitter_and_ends_at_a_minute(vendor: ReplayServer):
    vendor.fail(server.status(500), times=99)
    waits = Waits()
    with pytest.raises(SourceUnavailableError, match="after 10 attempts; try later"):
        get(client(vendor.url, sleep=waits, backoff=1.0, attempts=10))
    assert len(waits) == 9
    bounds = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len({wait / bound for wait, bound in zip(waits, bounds, strict=True)}) == 9
    assert len(vendor.asked()) == 10


def test_one_attempt_means_one(vendor: ReplayServer):
    vendor.fail(server.hung_up)
    with pytest.raises(SourceUnavailableError, match="after 1 attempt; check the network"):
        get(client(vendor.url, attempts=1))
    assert len(vendor.asked()) == 1


def test_different_faults_share_one_budget_of_attempts(vendor: ReplayServer):
    faults = [server.reset, server.status(503), server.malformed]
    for fault in faults:
        vendor.fail(fault)
    get(client(vendor.url))
    assert len(vendor.asked()) == 4
    for fault in [*faults, server.html]:
        vendor.fail(fault)
    with pytest.raises(
        DataError, match=r"the reply is no JSON \(\d+ bytes of text/html\), after 4"
    ):
        get(client(vendor.url))
    assert len(vendor.asked()) == 8


def test_a_reply_that_fails_its_check_is_asked_again(vendor: ReplayServer):
    vendor.fail(server.changed(lambda body: {"query": "wrong"}))

    def check(body: Any) -> None:
        if body["query"] == "wrong":
            raise BadReplyError("is wrong")

    assert get(client(vendor.url), check=check)["query"] == {"limit": "5"}
    vendor.fail(server.changed(lambda body: {"query": "wrong"}), times=9)
    with pytest.raises(DataError, match="GET /data: the reply is wrong, after 4 attempts; try"):
        get(client(vendor.url), check=check)


@pytest.mark.parametrize("text", [b"", b"[1, NaN]", b"[1, Infinity]", b"\xff\xfe", b"{'a': 1}"])
def test_what_is_no_json_is_no_reply(vendor: ReplayServer, text: bytes):
    vendor.vendors = [lambda request: Answer(text)]
    with pytest.raises(DataError, match="the reply is no JSON"):
        get(client(vendor.url))


def test_the_moment_is_the_vendors_and_not_ours():
    now = datetime(2026, 3, 19, 20, 40, 59, 999_999, tzinfo=UTC)
    with ReplayServer(echo, now=now) as running:
        reply = client(running.url).get("/data", {}, subject="AAPL 1d")
    assert reply.moment == datetime(2026, 3, 19, 20, 40, 59, tzinfo=UTC)


def test_nobody_there_is_told_with_the_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceUnavailableError) as caught:
        get(client(f"http://127.0.0.1:{port}"))
    assert str(caught.value) == (
        f"source 'vendor': AAPL 1d: GET /data: the connection to 127.0.0.1:{port} failed, after 4 "
        "attempts; check the network and base_url, or try later"
    )


def test_each_retry_is_logged_with_its_reason(
    vendor: ReplayServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    vendor.fail(server.status(503, {"message": "maintenance\nuntil noon"}))
    get(client(vendor.url))
    [record] = [each for each in caplog.records if each.name == "hf_resources.sources.http"]
    assert record.getMessage().startswith(
        "source 'vendor': AAPL 1d: GET /data: the vendor is out of order (status 503: maintenance "
        "until noon); attempt 2 of 4 follows in 0.00 seconds"
    )


# ------------------------------------------------------------------------------ where things go


def test_base_url_may_have_a_path(vendor: ReplayServer):
    get(client(vendor.url + "/proxy/"))
    assert vendor.asked()[0].path == "/proxy/data"


def test_a_key_goes_out_as_a_header_and_nowhere_else(
    vendor: ReplayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # requests would let ~/.netrc win over a header.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    keyed = HttpClient("vendor", vendor.url, HttpParams(), key=lambda: "s3cret", key_name="KEY")
    assert get(keyed)["authorization"] == "Bearer s3cret"
    assert vendor.asked()[0].query == {"limit": "5"}
    assert "s3cret" not in repr(vars(keyed))


def test_a_redirection_is_not_followed_with_the_key(vendor: ReplayServer):
    with ReplayServer(echo) as other:
        vendor.fail(server.status(302, Location=f"{other.url}/data"))
        keyed = HttpClient("vendor", vendor.url, HttpParams(), key=lambda: "s3cret", key_name="KEY")
        with pytest.raises(ConfigurationError, match=r"redirects to 127.0.0.1:\d+; set base_url"):
            get(keyed)
        assert not other.asked()


@pytest.mark.parametrize(
    "url", ["vendor.com", "ftp://vendor.com", "http://", "http://a:b@c", "http://a?b"]
)
def test_a_base_url_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="base_url"):
        HttpParams(base_url=url)


# ---------------------------------------------------------------------------------- rate limits


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    per_minute=st.sampled_from([4.0, 5.0, 60.0, 2400.0]),
    steps=st.lists(
        st.tuples(st.floats(0, 1, exclude_min=True), st.floats(0, 90)), min_size=1, max_size=60
    ),
)
def test_no_minute_ever_has_more_than_the_limit(
    per_minute: float, steps: list[tuple[float, float]]
):
    clock = Clock()
    bucket = TokenBucket(per_minute, clock=clock, sleep=clock.sleep)
    granted: list[tuple[float, float]] = []
    for share, pause in steps:
        cost = share * per_minute / 4
        bucket.take(cost)
        granted.append((clock.now, cost))
        clock.now += pause if pause > 45 else 0  # mostly as fast as it goes
    for at, _ in granted:
        within = sum(cost for moment, cost in granted if at <= moment < at + 60)
        assert within <= per_minute * (1 + 1e-9)


def test_what_waits_is_served_at_the_rate_of_the_limit():
    clock = Clock()
    bucket = TokenBucket(60, clock=clock, sleep=clock.sleep)
    times = [bucket.take() + clock.now for _ in range(200)]
    assert clock.now == pytest.approx((200 - 15) / 45 * 60)
    assert times == sorted(times)
    gaps = [later - earlier for earlier, later in pairwise(times[60:])]
    assert all(gap < 3 for gap in gaps)


def test_a_limit_of_one_a_minute_lets_the_first_go_at_once():
    clock = Clock()
    bucket = TokenBucket(1, clock=clock, sleep=clock.sleep)
    assert bucket.take() == 0
    assert bucket.take() >= 60


def test_every_attempt_is_charged(vendor: ReplayServer):
    clock = Clock()
    bucket = TokenBucket(40, clock=clock, sleep=clock.sleep)
    charged = HttpClient("vendor", vendor.url, HttpParams(backoff=0.0), bucket=bucket)
    vendor.fail(server.status(503), times=3)
    get(charged, cost=5.0)
    # Ten at once, and ten more at thirty a minute.
    assert clock.now == pytest.approx(20)
