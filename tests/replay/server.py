"""A local HTTP server that replays vendors, and breaks as the real ones do."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked for. ``headers`` have lower-case names."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    now: datetime


@dataclass(frozen=True)
class Answer:
    """What a vendor answers; ``body`` is JSON-ready, or bytes as they are."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Vendor = Callable[[Request], Answer | None]
Send = Callable[["_Handler", Request, Callable[[Request], Answer]], None]


@dataclass
class _Fault:
    send: Send
    path: str
    skip: int
    times: int


class ReplayServer:
    """Serves vendors until closed; use as a context manager.

    Args:
        vendors: asked in turn; the first answer that is not None is sent, else 404.
        now: the vendors' clock, also in the header ``Date``; the real one if not given.
    """

    def __init__(self, *vendors: Vendor, now: datetime | None = None) -> None:
        self.vendors: Sequence[Vendor] = vendors
        self.now = now
        self.requests: list[Request] = []
        self.errors: list[Exception] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"replay": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def __enter__(self) -> ReplayServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, send: Send, *, path: str = "", skip: int = 0, times: int = 1) -> None:
        """Send ``times`` requests under ``path`` this way, after ``skip`` undisturbed ones."""
        self._faults.append(_Fault(send, path, skip, times))

    def asked(self, path: str = "") -> list[Request]:
        """The requests so far whose path starts so."""
        return [request for request in self.requests if request.path.startswith(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.errors:
            raise RuntimeError("a vendor's replay is itself broken") from self.errors[0]

    def answer(self, request: Request) -> Answer:
        for vendor in self.vendors:
            answer = vendor(request)
            if answer is not None:
                return answer
        return Answer({"error": f"no such path: {request.path}"}, 404)

    def take(self, request: Request) -> Send | None:
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if not request.path.startswith(fault.path):
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault.send
        return None


class _Handler(BaseHTTPRequestHandler):
    replay: ReplayServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each reply waits for an acknowledgement

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            unquote(parts.path),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.replay.now or datetime.now(UTC),
        )
        send = self.replay.take(request) or _undisturbed
        try:
            send(self, request, self.replay.answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # The client gave up, as some faults make it.
        except Exception as error:
            self.replay.errors.append(error)
            raise

    def reply(self, answer: Answer, *, cut: int = 0, date: bool = True) -> None:
        """Send an answer, the last ``cut`` bytes missing."""
        raw = isinstance(answer.body, bytes)
        body = answer.body if raw else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_response_only(answer.status)
        if date:
            moment = self.replay.now or datetime.now(UTC)
            self.send_header("Date", format_datetime(moment.astimezone(UTC), usegmt=True))
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


def _undisturbed(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    handler.reply(answer(request))


# --------------------------------------------------------------------------------- the faults


def status(code: int, body: Any = None, **headers: str) -> Send:
    """Another status; underscores in names of headers are dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def send(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
        del request, answer
        handler.reply(Answer({} if body is None else body, code, named))

    return send


def truncated(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """Close the connection in order, before the body is whole."""
    handler.reply(answer(request), cut=20)
    handler.close_connection = True


def reset(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """Reset the connection in the middle of the body."""
    handler.reply(answer(request), cut=20)
    # With a linger time of zero, closing sends a reset.
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def hung_up(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """Close the connection without a word."""
    del request, answer
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def silent(seconds: float) -> Send:
    """Answer only after a while."""

    def send(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
        time.sleep(seconds)
        handler.reply(answer(request))

    return send


def malformed(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """A whole body whose JSON ends too early."""
    whole = json.dumps(answer(request).body).encode()
    handler.reply(Answer(whole[:-1]))


def html(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """The page of some box on the way, with status 200."""
    del request, answer
    page = b"<html><body>Please log in</body></html>"
    handler.reply(Answer(page, headers={"Content-Type": "text/html"}))


def undated(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
    """The right answer without a date."""
    handler.reply(answer(request), date=False)


def asked_instead(change: Callable[[Request], Request]) -> Send:
    """The answer to another request: a page twice, or out of order."""

    def send(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
        handler.reply(answer(change(request)))

    return send


def shifted(milliseconds: int) -> Send:
    """The page of another window."""

    def change(request: Request) -> Request:
        moved = {
            name: str(int(request.query[name]) + milliseconds)
            for name in ("startTime", "endTime")
            if name in request.query
        }
        return replace(request, query={**request.query, **moved})

    return asked_instead(change)


def changed(change: Callable[[Any], Any]) -> Send:
    """The right answer with another body."""

    def send(handler: _Handler, request: Request, answer: Callable[[Request], Answer]) -> None:
        right = answer(request)
        handler.reply(replace(right, body=change(json.loads(json.dumps(right.body)))))

    return send
