"""A worker's side of a lease: kept in Redis, or while Redis is out of reach in the store, or given up in time.

Two signs keep a job with its worker: the lease in Redis, and a beat, a file in the job's folder that changes. A worker
that cannot renew the lease writes the beat, so that running work goes on while Redis is away; a reaper takes a job only
when its lease has lapsed *and* its beat has not changed for as long. A worker that can do neither has stopped its job
before either runs out: the guardian kills at a deadline which each renewal moves, so a worker that is itself stopped or
frozen need do nothing for it. No two clocks are compared; each side counts its own seconds.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from mentor.errors import InfrastructureError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.deadline import DEADLINE, clock
from mentor.jobs.model import Claim
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore, LeaseLostError
from mentor.serving.vitals import Rounds, Vitals

log = structlog.get_logger("mentor.jobs")
T = TypeVar("T")
_MARGIN = 1 / 6
"""Of a lease, left for killing and for a clock that runs slow."""
_LONGEST_BETWEEN_RENEWALS = 2.0
_RETRY_SECONDS = 0.5
ANSWER_SECONDS = 2.0
"""For who tries again by himself: a Redis that has not answered by then is away."""


def renew_every(lease_s: float) -> float:
    """Seconds between renewals: a third of the lease, but often enough that a cancellation is seen soon."""
    return min(lease_s / 3, _LONGEST_BETWEEN_RENEWALS)


def patiently(call: Callable[[], T], give_up: Callable[[], bool] = lambda: False) -> T:
    """Call until Redis answers; what it raises goes through once ``give_up()``, or if it is that the lease is lost."""
    while True:
        try:
            return call()
        except LeaseLostError:
            raise
        except InfrastructureError:
            if give_up():
                raise
            time.sleep(_RETRY_SECONDS)


class Lease:
    """Keeps one claimed job, by a thread of its own.

    Args:
        since: ``clock`` before the job was claimed.
        store: one that gives up after a second or two: a renewal that comes late is none.

    Attributes:
        lost: the job is no longer ours, or may be another's any moment: kill it.
        cancelled: its submitter asked for its end.
        exhausted: Redis has been away for longer than work goes on without it.
    """

    def __init__(
        self, claim: Claim, since: float, store: JobStore, files: ArtifactStore, settings: JobSettings
    ) -> None:
        self.lost, self.cancelled, self.exhausted = threading.Event(), threading.Event(), threading.Event()
        self._job_id, self._fence = claim.job.id, claim.fence
        self._store, self._files, self._settings = store, files, settings
        self._away_since: float | None = None
        self._good_for = settings.lease_s * (1 - _MARGIN)
        self.deadline = since + self._good_for
        self._pipe: int | None = None
        self._telling = threading.Lock()
        every = renew_every(settings.lease_s)
        self._thread = Rounds(f"lease {self._job_id}", self._round, every_s=every, patience_s=settings.lease_s)

    def start(self, vitals: Vitals) -> None:
        """Keep it until ``stop``."""
        self._thread.watched_by(vitals)
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more."""
        self._thread.stop(wait_s=self._settings.lease_s)

    def tell(self, pipe: int | None) -> None:
        """Write every deadline from now on into a pipe whose reader kills when it has passed; None: no longer."""
        if pipe is not None:
            os.set_blocking(pipe, False)
        with self._telling:
            self._pipe = pipe
        self._write()

    def ours(self) -> bool:
        """Whether nobody else can have taken the job."""
        return not self.lost.is_set() and clock() < self.deadline

    def ending(self) -> bool:
        """Whether there is a reason to stop."""
        return self.lost.is_set() or self.cancelled.is_set() or self.exhausted.is_set()

    def _round(self) -> None:
        if not self.ours():
            self.lost.set()
            return
        since = clock()
        try:
            if self._store.renew(self._job_id, self._fence):
                self.cancelled.set()
            self._away_since = None
        except LeaseLostError:
            self.lost.set()
            return
        except InfrastructureError as error:
            if not self._away(since, error):
                return
            since = clock()
            try:
                self._files.write_beat(self._job_id, self._fence, secrets.token_hex(8))
            except OSError as failure:
                log.warning("neither Redis nor the store can be reached", job=self._job_id, error=str(failure))
                return
        self._extend(since)

    def _away(self, now: float, error: InfrastructureError) -> bool:
        """Whether to give a sign in the store: while the job may go on, and then while it saves itself."""
        if self._away_since is None:
            self._away_since = now
            log.warning("Redis is away, the job goes on", job=self._job_id, error=error.message)
        over = now - self._away_since - self._settings.outage_s
        if over > 0 and not self.exhausted.is_set():
            log.warning("Redis has been away for too long, the job saves itself and stops", job=self._job_id)
            self.exhausted.set()
        return over <= self._settings.stop_grace_s

    def _extend(self, since: float) -> None:
        """A sign given after ``since`` holds from then; one that came after the deadline holds for nothing."""
        if not self.ours():
            self.lost.set()
            return
        self.deadline = since + self._good_for
        self._write()

    def _write(self) -> None:
        with self._telling:
            if self._pipe is None:
                return
            try:
                os.write(self._pipe, DEADLINE.pack(self.deadline))
            except OSError as error:  # full, because the guardian does not read: it will find the deadline passed
                log.warning("the guardian hears nothing", job=self._job_id, error=str(error))


class LastSigns:
    """A reaper's view of beats: how long each has been the same, by the reaper's own clock."""

    def __init__(self, files: ArtifactStore) -> None:
        self._files = files
        self._seen: dict[str, tuple[tuple[int, str], float]] = {}

    def silent_for(self, job_id: str, fence: int) -> float:
        """Seconds for which the beat has not changed, counted from the first call for this attempt."""
        now, beat = clock(), self._files.read_beat(job_id, fence)
        known = self._seen.get(job_id)
        if known is None or known[0] != (fence, beat):
            self._seen[job_id] = (fence, beat), now
            return 0.0
        return now - known[1]

    def forget(self, job_id: str) -> None:
        """It is well, or nobody runs it: the next silence counts from its own beginning."""
        self._seen.pop(job_id, None)
