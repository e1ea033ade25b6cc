"""Job state in Redis. The one place that knows its keys; every transition is one atomic script."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from mentor.errors import ConflictError, InfrastructureError, NotFoundError
from mentor.jobs import scripts
from mentor.jobs.connection import connect, unreachable
from mentor.jobs.model import SCHEMA_VERSION, Artifact, Claim, Job, JobEvent, JobState
from mentor.jobs.ownership import key_of
from mentor.jobs.records import event_of, job_of, text_of
from mentor.rpc.principal import ANYONE, Principal

LEASE_SECONDS = 30.0
MAX_LAPSES = 5


class LeaseLostError(InfrastructureError):
    """The job passed to another worker, or ended: whoever sees this must stop at once and commit nothing."""

    code = "lease_lost"


class JobStore:
    """Jobs, their leases, events and artefacts.

    Args:
        url: ``redis://...`` or ``unix:///path``.
        prefix: put before every key, so that several stacks can share a Redis.
        answer_s: seconds within which Redis must answer, for callers with a patience of their own.

    Every method raises ``InfrastructureError`` when Redis cannot be reached: after retries, so that a restart of Redis is
    survived, for 11 s where connections are refused and 101 s where nothing answers; or at once with ``answer_s``.
    """

    def __init__(
        self, url: str, *, prefix: str = "mentor", lease_s: float = LEASE_SECONDS, answer_s: float | None = None
    ) -> None:
        self.url = url
        self.prefix = prefix
        self.lease_s = lease_s
        self.redis = connect(url, answer_s)

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def _run(self, script: str, job_id: str, *args: Any, keys: tuple[str, ...] = ()) -> Any:
        names = [self._key("job", job_id), self._key("unfinished"), self._key("events", job_id), *keys]
        try:
            return self.redis.eval(script, len(names), *names, *args)
        except redis.RedisError as error:
            raise unreachable(error) from error

    # -- what callers of the API do

    def submit(
        self,
        kind: str,
        spec: dict[str, Any],
        *,
        key: str | None = None,
        request_id: str = "",
        trace: str = "",
        submitter: Principal = ANYONE,
    ) -> tuple[Job, bool]:
        """Queue a job; returns it and whether it is new. Keys of different submitters never meet.

        Raises:
            ConflictError: the key was used for another spec.
        """
        body = json.dumps(spec, sort_keys=True)
        digest = hashlib.sha256(f"{kind}\n{body}".encode()).hexdigest()
        job_id = f"{kind}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        keys = (self._key("key", kind, key_of(submitter.name, key or "")), self._key("jobs"))
        found, status = self._run(
            scripts.SUBMIT, job_id, job_id, kind, body, digest, key or "", request_id, trace, SCHEMA_VERSION,
            submitter.name, int(submitter.operator), keys=keys,
        )  # fmt: skip
        if status == -1:
            raise ConflictError(
                f"the key {key!r} was used for another spec, by job {found}",
                field="idempotency_key",
                allowed="a new key, or the same spec",
            )
        return self.get(found), status == 1

    def get(self, job_id: str) -> Job:
        """A job by id; raises ``NotFoundError``."""
        try:
            fields: dict[str, str] = self.redis.hgetall(self._key("job", job_id))  # type: ignore[assignment]
        except redis.RedisError as error:
            raise unreachable(error) from error
        if "state" not in fields:
            raise NotFoundError(f"there is no job {job_id!r}", field="id")
        return job_of(fields)

    def newest(
        self, kind: str | None = None, state: JobState | None = None, limit: int = 50, submitter: str | None = None
    ) -> list[Job]:
        """Jobs, newest first; those of one submitter where it is given."""
        found: list[Job] = []
        for job in self._newest_first():
            wanted = (kind is None or job.kind == kind) and (state is None or job.state is state)
            if wanted and (submitter is None or job.submitter == submitter):
                found.append(job)
                if len(found) == limit:
                    break
        return found

    def _newest_first(self) -> Iterator[Job]:
        page = 200
        for start in range(0, 1 << 30, page):
            try:
                ids: list[str] = self.redis.zrevrange(self._key("jobs"), start, start + page - 1)  # type: ignore[assignment]
            except redis.RedisError as error:
                raise unreachable(error) from error
            if not ids:
                return
            for job_id in ids:
                try:
                    yield self.get(job_id)
                except NotFoundError:
                    continue  # removed by retention between the two reads

    def cancel(self, job_id: str) -> Job:
        """Ask for a stop; a queued job is cancelled at once.

        Raises:
            NotFoundError: no such job.
            ConflictError: it has ended already.
        """
        job = self.get(job_id)
        if job.state is JobState.CANCELLED or self._run(scripts.CANCEL, job_id, job_id):
            return self.get(job_id)
        job = self.get(job_id)
        if job.state is not JobState.CANCELLED:  # else the answer was lost, and this was its repetition
            raise ConflictError(f"job {job_id} has already {job.state}", field="id", allowed="a queued or running job")
        return job

    def resume(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again: it goes on from what it has saved, with a new budget of deaths.

        Raises:
            NotFoundError: no such job.
            ConflictError: it is neither failed nor cancelled.
        """
        job = self.get(job_id)
        if not job.state.resumable or self._run(scripts.RESUME, job_id, job_id) == 0:
            state = self.get(job_id).state
            raise ConflictError(f"job {job_id} is {state}", field="id", allowed="a failed or cancelled job")
        return self.get(job_id)

    def events(self, job_id: str, after: int = 0, *, wait_s: float = 0.0, limit: int = 1000) -> list[JobEvent]:
        """Events after a sequence number; waits up to ``wait_s`` for the first."""
        stream = self._key("events", job_id)
        try:
            block = max(1, int(wait_s * 1000)) if wait_s > 0 else None
            answer: Any = self.redis.xread({stream: f"{after}-0"}, count=limit, block=block)
        except redis.RedisError as error:
            raise unreachable(error) from error
        entries = answer[0][1] if answer else []
        return [event_of(name, fields) for name, fields in entries]

    def artifacts(self, job_id: str) -> list[Artifact]:
        """What the job has committed, by name."""
        try:
            kept: dict[str, str] = self.redis.hgetall(self._key("artifacts", job_id))  # type: ignore[assignment]
        except redis.RedisError as error:
            raise unreachable(error) from error
        return [Artifact.model_validate_json(kept[name]) for name in sorted(kept)]

    # -- what workers do

    def claim(self, job_id: str, owner: str) -> Claim | None:
        """Take the lease of a queued job, or None if it is another's, ended or unknown: a message delivered twice runs once."""
        fence = self._run(scripts.CLAIM, job_id, owner, self.lease_s, secrets.token_hex(8))
        return Claim(job=self.get(job_id), fence=fence) if fence else None

    def renew(self, job_id: str, fence: int) -> bool:
        """Extend the lease; True if a cancellation was requested.

        Raises:
            LeaseLostError: it is no longer ours.
        """
        status = self._run(scripts.RENEW, job_id, fence, self.lease_s)
        self._held(job_id, status)
        return bool(status == 2)

    def record(
        self, job_id: str, fence: int, kind: str, data: dict[str, Any], *, token: str = "", **fields: Any
    ) -> None:
        """Append an event and set fields; a repetition with the same token does nothing. Raises ``LeaseLostError``."""
        pairs = [item for name, value in fields.items() for item in (name, text_of(value))]
        self._held(job_id, self._run(scripts.RECORD, job_id, fence, token, kind, json.dumps(data), *pairs))

    def commit(self, job_id: str, artifact: Artifact, *, token: str = "") -> None:
        """Register an artefact under its fencing number; repetitions and errors as of ``record``."""
        keys = (self._key("artifacts", job_id),)
        body = artifact.model_dump_json()
        self._held(job_id, self._run(scripts.COMMIT, job_id, artifact.fence, token, artifact.name, body, keys=keys))

    def count(self, job_id: str, fence: int, counts: Mapping[tuple[str, str], float], *, token: str = "") -> None:
        """Add to counters, given by name and field (``mentor.jobs.counters``); repetitions and errors as of ``record``."""
        keys = tuple(self._key("counter", name) for name, _ in counts)
        amounts = [item for (_, field), amount in counts.items() for item in (field, amount)]
        self._held(job_id, self._run(scripts.COUNT, job_id, fence, token, *amounts, keys=keys))

    def _held(self, job_id: str, answer: int) -> None:
        if not answer:
            raise LeaseLostError(f"the lease on {job_id} is lost")

    def finish(
        self, job_id: str, fence: int, state: JobState, *, error: str = "", result: dict[str, Any] | None = None
    ) -> bool:
        """End a job; False if the lease was lost, and somebody else's word counts."""
        body = "" if result is None else json.dumps(result)
        return bool(self._run(scripts.FINISH, job_id, fence, str(state), error, body, job_id))

    def release(self, job_id: str, fence: int, *, died: str = "", most: int = MAX_LAPSES) -> bool:
        """Give the lease back before its time; True if the job is queued again.

        Args:
            died: why, if its processes died under it: after ``most`` deaths it fails.
        """
        gave_up = f"gave up after {most} deaths: {died}"
        return bool(self._run(scripts.RELEASE, job_id, fence, job_id, int(bool(died)), most, gave_up) == 1)

    # -- what the reaper does

    def unfinished(self) -> list[str]:
        """Ids of queued and running jobs, oldest first."""
        try:
            return list(self.redis.zrange(self._key("unfinished"), 0, -1))  # type: ignore[arg-type]
        except redis.RedisError as error:
            raise unreachable(error) from error

    def lease_left(self, job_id: str) -> tuple[int, float] | None:
        """Of a running job: its fencing number, and the seconds that its lease still has (negative: lapsed)."""
        fence, left = self._run(scripts.LEFT, job_id)
        return (fence, left / 1000) if fence else None

    def reap(self, job_id: str, fence: int, max_lapses: int = MAX_LAPSES) -> bool:
        """Queue a job again whose lease has lapsed; True if it must be published."""
        return bool(self._run(scripts.REAP, job_id, max_lapses, job_id, fence) == 1)

    def due_again(self, job_id: str, after_s: float) -> bool:
        """True (once per ``after_s``) if a job has been queued that long without being taken."""
        return bool(self._run(scripts.REPUBLISH, job_id, after_s))

    def forget(self, job: Job, before: float) -> bool:
        """Forget a job that ended before a Unix time, unless it lives again; True for the one caller that did it."""
        named = self._key("key", job.kind, key_of(job.submitter, job.idempotency_key or ""))
        keys = (self._key("artifacts", job.id), self._key("jobs"), self._key("removed"), named)
        return bool(self._run(scripts.FORGET, job.id, job.id, before, keys=keys))

    def removed(self) -> list[str]:
        """Forgotten jobs whose files are still to go."""
        try:
            return sorted(self.redis.smembers(self._key("removed")))  # type: ignore[arg-type]
        except redis.RedisError as error:
            raise unreachable(error) from error

    def files_gone(self, job_id: str) -> None:
        """Nothing is left of a forgotten job."""
        try:
            self.redis.srem(self._key("removed"), job_id)
        except redis.RedisError as error:
            raise unreachable(error) from error

    def counts(self, name: str) -> dict[str, float]:
        """A counter's values by field."""
        try:
            found: dict[str, str] = self.redis.hgetall(self._key("counter", name))  # type: ignore[assignment]
        except redis.RedisError as error:
            raise unreachable(error) from error
        return {field: float(value) for field, value in found.items()}

    def ping(self) -> None:
        """Raise ``InfrastructureError`` unless Redis answers."""
        try:
            self.redis.ping()
        except redis.RedisError as error:
            raise unreachable(error) from error
