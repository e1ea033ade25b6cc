"""The job API's one implementation, behind REST and gRPC alike. Blocking: callers on an event loop use threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mentor.errors import NotFoundError, UserError
from mentor.jobs import policy
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.capacity import Capacity
from mentor.jobs.celery_app import Publisher
from mentor.jobs.handler import JobHandler, parse_spec
from mentor.jobs.model import MAX_LIST, Artifact, Job, JobEvent, JobState
from mentor.jobs.ownership import only_of, require_visible, submitter_of
from mentor.jobs.references import resolve
from mentor.jobs.store import JobStore
from mentor.jobs.tails import tail
from mentor.rpc.context import request_id, traceparent
from mentor.rpc.principal import acting_for, caller

MAX_KEY_CHARS = 200


class JobManager:
    """Takes jobs of some kinds, and tells about them.

    Args:
        handlers: the kinds that this service runs.
    """

    def __init__(
        self,
        store: JobStore,
        publisher: Publisher,
        files: ArtifactStore,
        handlers: Mapping[str, JobHandler],
        capacity: Capacity,
    ) -> None:
        self.store = store
        self.capacity = capacity
        self.publisher = publisher
        self.files = files
        self.handlers = handlers

    def submit(self, kind: str, spec: dict[str, Any], key: str | None = None) -> tuple[Job, bool]:
        """Check a spec, store the job, publish it; returns the job and whether it is new.

        Raises:
            UserError: unknown kind, what the handler refuses, or what the caller may not reach, naming the field.
            ConflictError: the key was used for another spec.
        """
        if kind not in self.handlers:
            raise UserError(f"unknown kind {kind!r}", field="kind", allowed=", ".join(self.handlers))
        if key is not None and not 1 <= len(key) <= MAX_KEY_CHARS:
            raise UserError(
                "idempotency_key has a wrong length", field="idempotency_key", allowed="1 to 200 characters"
            )
        stored = parse_spec(self.handlers[kind], spec).model_dump(mode="json")
        self._check(kind, stored)
        job, created = self.store.submit(
            kind, stored, key=key, request_id=request_id.get(), trace=traceparent.get(), submitter=caller.get()
        )
        if created:
            self.publisher.publish(job.id, kind)
        return job, created

    def _check(self, kind: str, stored: dict[str, Any]) -> None:
        """Refuse a spec that names what the caller may not reach, or that can never work."""
        handler = self.handlers[kind]
        policy.check(parse_spec(handler, stored))
        self.capacity.check(kind, stored)
        handler.validate(parse_spec(handler, resolve(stored, self.store, self.files)))

    def resume(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again under its id; it goes on from its checkpoints.

        Raises:
            NotFoundError: the caller has no such job.
            ConflictError: it is neither failed nor cancelled.
            UserError: what it needs is no longer there, or the caller may not reach it, naming the field.
        """
        job = self.get(job_id)
        if job.state.resumable:
            with acting_for(submitter_of(job)):  # an operator may resume what is somebody's; it runs with their rights
                self._check(job.kind, job.spec)
        job = self.store.resume(job_id)
        self.publisher.publish(job_id, job.kind)
        return job

    def get(self, job_id: str) -> Job:
        """A job of one of our kinds that the caller may see; raises ``NotFoundError``."""
        job = require_visible(self.store.get(job_id))
        if job.kind not in self.handlers:
            raise NotFoundError(f"there is no job {job_id!r} of this service", field="id")
        return job

    def newest(self, kind: str | None, state: str | None, limit: int) -> list[Job]:
        """Our jobs, the caller's own unless an operator asks, newest first; raises ``UserError`` on a bad filter."""
        if not 1 <= limit <= MAX_LIST:
            raise UserError(f"limit is {limit}", field="limit", allowed=f"1 to {MAX_LIST}")
        if kind and kind not in self.handlers:
            raise UserError(f"unknown kind {kind!r}", field="kind", allowed=", ".join(self.handlers))
        if state and state not in list(JobState):
            raise UserError(f"unknown state {state!r}", field="state", allowed=", ".join(JobState))
        kinds = [kind] if kind else list(self.handlers)
        wanted = JobState(state) if state else None
        found = [j for k in kinds for j in self.store.newest(k, wanted, limit, only_of())]
        return sorted(found, key=lambda j: j.created_at, reverse=True)[:limit]

    def cancel(self, job_id: str) -> Job:
        """Stop a job; raises ``ConflictError`` if it has ended."""
        self.get(job_id)
        return self.store.cancel(job_id)

    def events(self, job_id: str, after: int, wait_s: float) -> list[JobEvent]:
        """Events after a sequence number, waiting for the first one."""
        return self.store.events(job_id, after, wait_s=wait_s)

    def artifact(self, job_id: str, name: str) -> Artifact:
        """A committed artefact; raises ``NotFoundError`` naming those there are."""
        known = {a.name: a for a in self.store.artifacts(self.get(job_id).id)}
        if name not in known:
            raise NotFoundError(
                f"job {job_id} has no artefact {name!r}", field="name", allowed=", ".join(known) or "none"
            )
        return known[name]

    def log_tail(self, job_id: str, lines: int) -> Iterator[bytes]:
        """The last lines of all attempts' output, in blocks; what is older is not read."""
        self.get(job_id)
        return tail(self.files.logs(job_id), lines)
