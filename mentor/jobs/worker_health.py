"""Whether a worker does its work: its threads, and that messages are taken while it has a free slot; served over HTTP."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis
from prometheus_client import CollectorRegistry, make_wsgi_app

from mentor.serving.vitals import Vitals

STALL_SECONDS = 60.0


class ConsumerWatch:
    """Notices a Celery consumer that lives and takes nothing: it is not the thread that counts but what it is for.

    Args:
        client: of the broker's Redis.
        queues: keys of the queues that the worker listens to.
        slots: jobs that it runs at once.
    """

    def __init__(
        self, client: redis.Redis, queues: Sequence[str], slots: int, *, stall_s: float = STALL_SECONDS
    ) -> None:
        self._client = client
        self._queues = list(queues)
        self._slots = slots
        self._stall_s = stall_s
        self._busy = 0
        self._lock = threading.Lock()
        self._waiting_since: float | None = None

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A message is being worked on."""
        with self._lock:
            self._busy += 1
            self._waiting_since = None
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                self._waiting_since = None

    def look(self) -> None:
        """Note whether messages wait while there is a free slot; to be called every few seconds."""
        try:
            waiting = any(self._client.llen(queue) for queue in self._queues)
        except redis.RedisError:  # nothing can be taken then
            waiting = False
        with self._lock:
            if not waiting or self._busy >= self._slots:
                self._waiting_since = None
            elif self._waiting_since is None:
                self._waiting_since = time.monotonic()

    def ails(self) -> str | None:
        """Why it is taken for dead, or None."""
        since = self._waiting_since
        if since is None or time.monotonic() - since < self._stall_s:
            return None
        return f"takes nothing, though messages have waited for {time.monotonic() - since:.0f} s and a slot is free"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line."""


def serve_health(registry: CollectorRegistry, vitals: Vitals, host: str, port: int) -> int:
    """Serve ``/health`` (503 with the reasons while a thread is ill) and ``/metrics``; returns the port.

    Raises:
        OSError: the port is taken.
    """
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/health":
            return list(metrics(environ, start_response))
        ill = vitals.ill()
        start_response("503 Service Unavailable" if ill else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"status": "ill" if ill else "ok", "threads": ill}).encode()]

    server = make_server(host, port, app, _Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="mentor-health", daemon=True).start()
    return int(server.server_port)
