"""What a running job tells Redis: sent in order by a thread of its own, so that the job goes on while Redis is away.

Every entry carries a token, so that one whose answer was lost is not written twice; and the fencing number, so that what
an attempt had to say after its job passed to another is dropped.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from mentor.errors import InfrastructureError
from mentor.jobs.counters import counter
from mentor.jobs.model import Artifact
from mentor.jobs.store import JobStore, LeaseLostError

log = structlog.get_logger("mentor.jobs")
LIMIT = 20_000
"""As many entries as a job has events in Redis."""
_RETRY_SECONDS = 0.5


@dataclass
class _Entry:
    send: Callable[[str], None]
    plain: bool = False
    """A progress report that a later one makes superfluous."""
    dear: bool = False
    """Never dropped."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))


class Outbox:
    """Entries of one attempt.

    Args:
        store: one that gives up after a second or two, because here it is tried again for as long as it takes.
        limit: entries kept; beyond it the oldest goes that is no artefact.
    """

    def __init__(self, store: JobStore, job_id: str, kind: str, fence: int, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._store, self._job_id, self._kind, self._fence = store, job_id, kind, fence
        self._entries: list[_Entry] = []
        self._counts: dict[tuple[str, str], float] = {}
        self._changed = threading.Condition()
        self._sending = self._away = False
        self._failure: Exception | None = None
        threading.Thread(target=self._run, name="mentor-outbox", daemon=True).start()

    def record(self, kind: str, data: Mapping[str, Any], fields: Mapping[str, Any] | None = None) -> None:
        """An event, and fields of the job to set with it.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        body, known = json.dumps(data), dict(fields or {})

        def send(token: str) -> None:
            self._store.record(self._job_id, self._fence, kind, json.loads(body), token=token, **known)

        self._add(_Entry(send, plain=kind == "progress" and "metrics" not in known))

    def commit(self, artifact: Artifact) -> None:
        """An artefact whose file is in the store; raises as ``record``."""
        self._add(_Entry(lambda token: self._store.commit(self._job_id, artifact, token=token), dear=True))

    def count(self, name: str, labels: Mapping[str, str], amount: float) -> None:
        """Add to a counter; raises as ``record``, and ``KeyError`` for one that nobody knows."""
        where = counter(self._kind, name, labels)
        with self._changed:
            self._check()
            self._counts[where] = self._counts.get(where, 0.0) + amount
            self._changed.notify_all()

    def flush(self, give_up: Callable[[], bool]) -> bool:
        """Wait until everything is sent; False if Redis is away and ``give_up()``.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        with self._changed:
            while self._entries or self._counts or self._sending:
                self._check()
                if self._away and give_up():
                    return False
                self._changed.wait(_RETRY_SECONDS)
            self._check()
        return True

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _add(self, entry: _Entry) -> None:
        with self._changed:
            self._check()
            # The first one may be on its way.
            if entry.plain and len(self._entries) > 1 and self._entries[-1].plain:
                self._entries.pop()
            if len(self._entries) >= self._limit:
                del self._entries[next((n for n, e in enumerate(self._entries) if n and not e.dear), 1)]
            self._entries.append(entry)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while True:
                self._deliver(self._next())
        except Exception as error:  # told to the job at its next word
            with self._changed:
                self._failure, self._sending = error, False
                self._entries, self._counts = [], {}
                self._changed.notify_all()

    def _next(self) -> _Entry:
        """The next entry; counts since the last one come first, as one."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            while not self._entries and not self._counts:
                self._changed.wait()
            self._sending = True
            if not self._counts:
                return self._entries[0]
            counts, self._counts = self._counts, {}
        return _Entry(lambda token: self._store.count(self._job_id, self._fence, counts, token=token))

    def _deliver(self, entry: _Entry) -> None:
        while True:
            try:
                entry.send(entry.token)
                break
            except LeaseLostError:
                raise
            except InfrastructureError as error:
                if not self._away:
                    log.warning("Redis is away, reports are kept", job=self._job_id, error=error.message)
                self._away = True
                time.sleep(_RETRY_SECONDS)
        self._away = False
        with self._changed:
            if self._entries and self._entries[0] is entry:
                self._entries.pop(0)
