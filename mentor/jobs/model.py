"""Jobs as everybody sees them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from mentor.trajectory import Frozen


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True if nothing more will happen to the job."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def resumable(self) -> bool:
        """True if the job has ended and can be queued again under its id."""
        return self in (JobState.FAILED, JobState.CANCELLED)


SCHEMA_VERSION = 1
"""Of stored jobs, their specs and events. It grows when an older worker could misread what a newer service wrote; a worker
leaves jobs of a later version to those that know it."""


ARTIFACT_SCHEME = "artifact:"
"""Of texts in specs that name what another job has committed: ``artifact:JOB/NAME``."""

MAX_LIST = 500
"""Jobs that one call lists at most."""


class Job(Frozen):
    """A job. Times are seconds since the epoch, UTC, on Redis' clock.

    ``fence`` grows with every claim; an artefact is registered only under the present one, so that a worker that was
    thought dead cannot overwrite its successor's work. ``lapses`` counts deaths of its worker or processes, one after
    another, between which it came no further. ``progress`` is the done share, 0 to 1. ``owner`` is the worker that holds
    the lease; ``submitter`` is whose job it is ("" where callers are not told apart), and ``privileged`` whether that was
    an operator.
    """

    id: str
    kind: str
    state: JobState
    spec: dict[str, Any]
    idempotency_key: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    schema_version: int = 1
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    attempt: int = 0
    fence: int = 0
    lapses: int = 0
    owner: str | None = None
    progress: float = 0.0
    message: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    result: dict[str, Any] | None = None
    cancel_requested: bool = False
    submitter: str = ""
    privileged: bool = True


class JobEvent(Frozen):
    """Something that happened. ``type``: ``state``, ``progress``, ``log`` or ``artifact``; ``sequence`` counts from 1."""

    schema_version: int = SCHEMA_VERSION
    sequence: int
    time: float
    type: str
    data: dict[str, Any]


class Artifact(Frozen):
    """A committed file or folder of a job. ``path`` is relative to the store."""

    name: str
    path: str
    bytes: int
    sha256: str
    fence: int


class Claim(Frozen):
    """A lease on a job: the right to work on it while it is renewed."""

    job: Job
    fence: int
