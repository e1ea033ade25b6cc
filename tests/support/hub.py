"""A hub of files over HTTP on loopback that can be told to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """A file and how it is served.

    Args:
        ranges: whether Range is honoured.
        stubborn: whether If-Range is ignored (a range is sent of whatever version).
        failures: for each of the next answers, a status to give or the bytes after which the connection is cut.
        hold: after this many bytes the answer waits for ``Hub.released``.
        linked: the ``X-Linked-Etag`` of the answer.
        redirect: where to find it instead.
    """

    content: bytes
    etag: str | None = '"v1"'
    ranges: bool = True
    stubborn: bool = False
    failures: list[tuple[str, int]] = field(default_factory=list)
    hold: int | None = None
    linked: str | None = None
    redirect: str | None = None


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]


class Hub:
    """``files`` by path; ``asked`` is what was asked for, in order."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self.url = ""

    def ranges(self) -> list[str | None]:
        """The Range header of every request."""
        return [asked.headers.get("range") for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.hub.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}))
        served = self.hub.files.get(self.path)
        kind, value = served.failures.pop(0) if served and served.failures else ("", 0)
        if served is None or kind == "status":
            self._empty(value or 404)
        elif served.redirect is not None:
            self._empty(302, {"Location": served.redirect, **self._linked(served)})
        else:
            self._send(served, value if kind == "cut" else None)

    def _linked(self, served: Served) -> dict[str, str]:
        return {"X-Linked-Etag": served.linked} if served.linked else {}

    def _empty(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, served: Served, cut: int | None) -> None:
        total, start = len(served.content), self._start(served)
        if start is not None and start >= total:
            self._empty(416, {"Content-Range": f"bytes */{total}"})
            return
        body = served.content[start or 0 :]
        headers = {"Content-Length": str(len(body)), **self._linked(served)}
        headers |= {"ETag": served.etag} if served.etag else {}
        headers |= {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if start is not None else {}
        self.send_response(200 if start is None else 206)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if served.hold is not None:
            self.wfile.write(body[: served.hold])
            self.wfile.flush()
            self.hub.released.wait(60)
            body = body[served.hold :]
        self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = self.close_connection or cut is not None

    def _start(self, served: Served) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not served.ranges or (condition not in (None, served.etag) and not served.stubborn):
            return None
        return int(asked[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the game."""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub for the duration of the block."""
    hub = Hub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
