"""Job state in Redis. The one place that knows its keys; every transition is one atomic script."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from mentor.errors import ConflictError, InfrastructureError, NotFoundError, UserError
from mentor.jobs import scripts
from mentor.jobs.model import SCHEMA_VERSION, Artifact, Claim, Job, JobEvent, JobState
from mentor.jobs.ownership import key_of
from mentor.rpc.principal import ANYONE, Principal

LEASE_SECONDS = 30.0
MAX_LAPSES = 5
_NUMBERS = ("created_at", "started_at", "finished_at", "progress")
_INTEGERS = ("attempt", "fence", "lapses", "schema_version")
_JSON = ("spec", "result", "metrics")


class LeaseLostError(InfrastructureError):
    """The job passed to another worker, or ended: whoever sees this must stop at once and commit nothing."""

    code = "lease_lost"


class JobStore:
    """Jobs, their leases, events and artefacts.

    Args:
        url: ``redis://...`` or ``unix:///path``.
        prefix: put before every key, so that several stacks can share a Redis.

    Every method raises ``InfrastructureError`` when Redis cannot be reached (after retries for some seconds, so that a
    restart of Redis is survived).
    """

    def __init__(self, url: str, *, prefix: str = "mentor", lease_s: float = LEASE_SECONDS) -> None:
        self.url = url
        self.prefix = prefix
        self.lease_s = lease_s
        retry = Retry(ExponentialBackoff(cap=2.0, base=0.1), retries=8)
        failures: list[type[Exception]] = [redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError]
        try:
            self.redis = redis.Redis.from_url(
                url, protocol=2, decode_responses=True, retry=retry, retry_on_error=failures, socket_timeout=10
            )
        except ValueError as error:
            raise UserError(f"{url!r}: {error}", field="redis_url", allowed="redis://... or unix:///path") from error

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def _run(self, script: str, job_id: str, *args: Any, keys: tuple[str, ...] = ()) -> Any:
        names = [self._key("job", job_id), self._key("unfinished"), self._key("events", job_id), *keys]
        try:
            return self.redis.eval(script, len(names), *names, *args)
        except redis.RedisError as error:
            raise _unreachable(error) from error

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
            raise _unreachable(error) from error
        if "state" not in fields:
            raise NotFoundError(f"there is no job {job_id!r}", field="id")
        return _job(fields)

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
                raise _unreachable(error) from error
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
        if job.state is not JobState.CANCELLED and self._run(scripts.CANCEL, job_id, job_id) == 0:
            raise ConflictError(f"job {job_id} has already {job.state}", field="id", allowed="a queued or running job")
        return self.get(job_id)

    def events(self, job_id: str, after: int = 0, *, wait_s: float = 0.0, limit: int = 1000) -> list[JobEvent]:
        """Events after a sequence number; waits up to ``wait_s`` for the first."""
        stream = self._key("events", job_id)
        try:
            block = max(1, int(wait_s * 1000)) if wait_s > 0 else None
            answer: Any = self.redis.xread({stream: f"{after}-0"}, count=limit, block=block)
        except redis.RedisError as error:
            raise _unreachable(error) from error
        entries = answer[0][1] if answer else []
        return [_event(name, fields) for name, fields in entries]

    def artifacts(self, job_id: str) -> list[Artifact]:
        """What the job has committed, by name."""
        try:
            kept: dict[str, str] = self.redis.hgetall(self._key("artifacts", job_id))  # type: ignore[assignment]
        except redis.RedisError as error:
            raise _unreachable(error) from error
        return [Artifact.model_validate_json(kept[name]) for name in sorted(kept)]

    # -- what workers do

    def claim(self, job_id: str, owner: str) -> Claim | None:
        """Take the lease of a job, or None if it is taken, ended or unknown: a message delivered twice runs once."""
        fence = self._run(scripts.CLAIM, job_id, owner, self.lease_s)
        return Claim(job=self.get(job_id), fence=fence) if fence else None

    def renew(self, job_id: str, fence: int) -> bool:
        """Extend the lease; True if a cancellation was requested.

        Raises:
            LeaseLostError: it is no longer ours.
        """
        status = self._run(scripts.RENEW, job_id, fence, self.lease_s)
        if status == 0:
            raise LeaseLostError(f"the lease on {job_id} is lost")
        return bool(status == 2)

    def record(self, job_id: str, fence: int, kind: str, data: dict[str, Any], **fields: Any) -> None:
        """Append an event and set fields; raises ``LeaseLostError``."""
        pairs = [item for name, value in fields.items() for item in (name, _text(value))]
        if not self._run(scripts.RECORD, job_id, fence, kind, json.dumps(data), *pairs):
            raise LeaseLostError(f"the lease on {job_id} is lost")

    def commit(self, job_id: str, artifact: Artifact) -> None:
        """Register an artefact under its fencing number; raises ``LeaseLostError``."""
        keys = (self._key("artifacts", job_id),)
        if not self._run(scripts.COMMIT, job_id, artifact.fence, artifact.name, artifact.model_dump_json(), keys=keys):
            raise LeaseLostError(f"the lease on {job_id} is lost")

    def finish(
        self, job_id: str, fence: int, state: JobState, *, error: str = "", result: dict[str, Any] | None = None
    ) -> bool:
        """End a job; False if the lease was lost, and somebody else's word counts."""
        body = "" if result is None else json.dumps(result)
        return bool(self._run(scripts.FINISH, job_id, fence, str(state), error, body, job_id))

    def release(self, job_id: str, fence: int) -> bool:
        """Give the lease back before its time; the job is queued again."""
        return bool(self._run(scripts.RELEASE, job_id, fence))

    # -- what the reaper does

    def unfinished(self) -> list[str]:
        """Ids of queued and running jobs, oldest first."""
        try:
            return list(self.redis.zrange(self._key("unfinished"), 0, -1))  # type: ignore[arg-type]
        except redis.RedisError as error:
            raise _unreachable(error) from error

    def reap(self, job_id: str, max_lapses: int = MAX_LAPSES) -> bool:
        """Queue a job again whose lease has lapsed; True if it must be published."""
        return bool(self._run(scripts.REAP, job_id, max_lapses, job_id) == 1)

    def due_again(self, job_id: str, after_s: float) -> bool:
        """True (once per ``after_s``) if a job has been queued that long without being taken."""
        return bool(self._run(scripts.REPUBLISH, job_id, after_s))

    def remove(self, job: Job) -> None:
        """Forget a finished job."""
        names = [self._key(part, job.id) for part in ("job", "events", "artifacts")]
        if job.idempotency_key:
            names.append(self._key("key", job.kind, key_of(job.submitter, job.idempotency_key)))
        self.redis.delete(*names)
        self.redis.zrem(self._key("jobs"), job.id)

    def ping(self) -> None:
        """Raise ``InfrastructureError`` unless Redis answers."""
        try:
            self.redis.ping()
        except redis.RedisError as error:
            raise _unreachable(error) from error


def _unreachable(error: redis.RedisError) -> InfrastructureError:
    return InfrastructureError(f"Redis: {error}")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _event(name: str, fields: dict[str, str]) -> JobEvent:
    sequence = int(name.split("-", 1)[0])
    return JobEvent(sequence=sequence, time=float(fields["time"]), type=fields["type"], data=json.loads(fields["data"]))


def _job(fields: dict[str, str]) -> Job:
    known: dict[str, Any] = {k: v for k, v in fields.items() if k in Job.model_fields and v != ""}
    known |= {k: float(known[k]) for k in _NUMBERS if k in known}
    known |= {k: int(known[k]) for k in _INTEGERS if k in known}
    known |= {k: json.loads(known[k]) for k in _JSON if k in known}
    return Job.model_validate(known)
