"""Proxies that break: each stands before a real server and does what networks and servers do.

:class:`S3Proxy` speaks HTTP, :class:`TcpProxy` passes bytes, as to Postgres. Both run in threads of
the test's own process. Which fault comes when is the test's affair; here is only how it is done.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["status", "half_request", "lost_answer", "half_answer", "slow", "silent"]
"""What happens to a request.

* ``status``: it is answered with a status, and does not reach the server.
* ``half_request``: the server gets half of the body, then both connections are cut.
* ``lost_answer``: the server does all of it, and the connection is cut before the answer.
* ``half_answer``: the client gets half of the answer's body, then the connection is cut.
* ``slow``: the answer comes in pieces, with ``seconds`` in all between them.
* ``silent``: nothing is answered until the client gives up.
"""

COMMIT = b"COMMIT\0"
"""The statement, as a Postgres client sends it; a ``READ COMMITTED`` transaction begins without."""


@dataclass
class Fault:
    """What happens to the next ``times`` requests of a method whose path holds a text."""

    kind: Kind
    method: str
    path: str = ""
    times: int = 1
    status: int = 503
    seconds: float = 1.0

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and self.path in path


@dataclass
class S3Proxy:
    """An HTTP proxy before an S3 server."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Requests so far: method, path without the query, and what became of them."""
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that befalls a request, which is used up by it."""
        plain = unquote(urlsplit(path).path)
        with self._lock:
            for fault in self.faults:
                if fault.fits(method, plain):
                    fault.times -= 1
                    self.seen.append((method, plain, fault.kind))
                    return replace(fault)
            self.seen.append((method, plain, "passed"))
            return None

    def count(self, kind: str, method: str = "") -> int:
        """How many requests met a fault."""
        return sum(each[2] == kind and method in ("", each[0]) for each in self.seen)


@contextmanager
def s3_proxy(upstream: str) -> Iterator[S3Proxy]:
    """A proxy in front of the S3 server at an address such as ``http://127.0.0.1:8333``."""
    proxy = S3Proxy(upstream)

    class Handler(_Handler):
        state = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: S3Proxy

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's name)
        pass

    def handle_one_request(self) -> None:
        # A client that was cut off, or gave up, is what these tests are about.
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        self._pass()

    do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815  (the base calls them so)

    def _pass(self) -> None:
        fault = self.state.take(self.command, self.path)
        kind = fault.kind if fault else ""
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and kind == "half_request":
            self._send_half(self.rfile.read(length // 2))
            self._cut()
            return
        body = self.rfile.read(length)
        if fault is not None and kind == "status":
            self._answer(fault.status, {"Content-Type": "application/xml"}, _error(fault.status))
            return
        if fault is not None and kind == "silent":
            self.state.ended.wait(60)
            self._cut()
            return
        answer, content = self._forward(body)
        if kind == "lost_answer":
            self._cut()
            return
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("transfer-encoding", "connection", "content-length")
        }
        size = int(answer.getheader("Content-Length") or len(content))
        pieces, pause = [content], 0.0
        if kind == "half_answer":
            pieces = [content[: len(content) // 2]]
        elif fault is not None and kind == "slow":
            step = max(1, len(content) // 10)
            pieces = [content[at : at + step] for at in range(0, len(content), step)] or [b""]
            pause = fault.seconds / len(pieces)
        self._answer(answer.status, headers, *pieces, size=size, pause=pause)
        if kind == "half_answer":
            self._cut()

    def _forward(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        upstream = self._connect()
        # The signature covers the host that the client has called, so that stays as it is.
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return answer, content

    def _send_half(self, body: bytes) -> None:
        upstream = self._connect()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        upstream.close()

    def _connect(self) -> HTTPConnection:
        return HTTPConnection(urlsplit(self.state.upstream).netloc, timeout=60)

    def _answer(
        self,
        status: int,
        headers: dict[str, str],
        *pieces: bytes,
        size: int | None = None,
        pause: float = 0.0,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(pieces[0]) if size is None else size))
        self.end_headers()
        for piece in pieces:
            time.sleep(pause)
            self.wfile.write(piece)
            self.wfile.flush()

    def _cut(self) -> None:
        _reset(self.connection)
        self.close_connection = True


@dataclass
class Moment:
    """When the client of a :class:`TcpProxy` is cut off: as it sends a text.

    Attributes:
        sent: the text, such as :data:`COMMIT`.
        forwarded: whether the server gets it, so that it acts, and only its answer is lost.
        times: for so many connections.
    """

    sent: bytes
    forwarded: bool = False
    times: int = 1


class TcpProxy:
    """Passes bytes between clients and a server, until it is told to cut them off."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.moments: list[Moment] = []
        self.refusing = False
        self.cuts = 0
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Cut all, and listen no more."""
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections, as a server that dies does."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for each in pair:
                _reset(each)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                _reset(client)
                continue
            server = socket.create_connection(("127.0.0.1", self.server_port))
            with self._lock:
                self._pairs.add((client, server))
            for source, target, watched in ((client, server, True), (server, client, False)):
                arguments = (source, target, watched)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                moment = self._moment(data) if watched else None
                if moment is None:
                    target.sendall(data)
                    continue
                self.cuts += 1
                _reset(source)  # first, so that no answer comes through
                if moment.forwarded:
                    target.sendall(data)
                    time.sleep(0.3)  # time to act
                _reset(target)
                return
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _moment(self, data: bytes) -> Moment | None:
        with self._lock:
            for moment in self.moments:
                if moment.times > 0 and moment.sent in data:
                    moment.times -= 1
                    return moment
        return None


@contextmanager
def tcp_proxy(port: int) -> Iterator[TcpProxy]:
    """A proxy in front of the server at a port of this machine."""
    proxy = TcpProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()


def _reset(connection: socket.socket) -> None:
    """Close a connection as a crash does, without a farewell."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()


def _error(status: int) -> bytes:
    code = {409: "ConditionalRequestConflict", 500: "InternalError", 503: "SlowDown"}[status]
    return f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
