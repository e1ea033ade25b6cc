"""The reaper: requeues jobs whose lease lapsed, republishes queued jobs that no message carries, forgets old ones.

Every job service and worker runs one; all its steps are atomic in Redis, so any number may run at once.
"""

from __future__ import annotations

import time

import structlog

from mentor.errors import InfrastructureError, NotFoundError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.celery_app import Publisher
from mentor.jobs.lease import LastSigns, renew_every
from mentor.jobs.model import JobState
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore
from mentor.jobs.uploads import Uploads
from mentor.serving.vitals import Rounds, Vitals

log = structlog.get_logger("mentor.jobs")
_RETENTION_EVERY_SECONDS = 600.0


class Reaper:
    """``start`` lets it work in a thread of its own, ``stop`` ends that."""

    def __init__(self, settings: JobSettings, store: JobStore, publisher: Publisher, files: ArtifactStore) -> None:
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._files = files
        self._signs = LastSigns(files)
        self._swept = 0.0
        self.thread = Rounds("reaper", self._round, every_s=settings.reap_interval_s)

    def start(self, vitals: Vitals) -> None:
        """Work until ``stop``, watched."""
        self.thread.watched_by(vitals)
        self.thread.start()

    def stop(self) -> None:
        """Ask the thread to end, and wait for it."""
        self.thread.stop()

    def _round(self) -> None:
        try:
            self.once()
        except InfrastructureError as error:
            log.warning("reaper waits for Redis", error=error.message)

    def once(self) -> list[str]:
        """One round; returns the ids of the jobs that were published."""
        published = []
        for job_id in self._store.unfinished():
            lapsed = self._reap(job_id)
            if lapsed or self._store.due_again(job_id, self._settings.republish_s):
                try:
                    job = self._store.get(job_id)
                except NotFoundError:
                    continue
                log.info("job published again", job=job_id, lapsed=lapsed)
                self._publisher.publish(job_id, job.kind)
                published.append(job_id)
        if time.monotonic() - self._swept > _RETENTION_EVERY_SECONDS:
            self._swept = time.monotonic()
            self.forget_old()
        return published

    def _reap(self, job_id: str) -> bool:
        """Take a job from a worker that gives no sign of life, in Redis or in the store; True if it must be published."""
        left = self._store.lease_left(job_id)
        if left is None or left[1] > self._settings.lease_s - 2 * renew_every(self._settings.lease_s):
            self._signs.forget(job_id)
            return False
        # Not renewed of late: from now on it counts how long its beat is silent too.
        silent = self._signs.silent_for(job_id, left[0]) >= self._settings.lease_s
        return silent and left[1] < 0 and self._store.reap(job_id, left[0], self._settings.max_lapses)

    def forget_old(self) -> list[str]:
        """Remove jobs that ended longer ago than the retention, with their files, and uploads unused for as long.

        Returns the jobs that this call removed: of several reapers, one does.
        """
        limit = time.time() - self._settings.retention_days * 86400
        states = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
        old = [
            job
            for state in states
            for job in self._store.newest(state=state, limit=10_000)
            if (job.finished_at or job.created_at) < limit
        ]
        forgotten = [job.id for job in old if self._store.forget(job, limit)]
        for job_id in self._store.removed():
            self._files.remove(job_id)
            self._store.files_gone(job_id)
        Uploads(self._files).forget(limit)
        return forgotten
