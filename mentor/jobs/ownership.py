"""Whose jobs and files are whose. A job belongs to whoever submitted it; operators see all.

What is somebody else's is answered like what does not exist: an id tells nothing to those who may not use it.
"""

from __future__ import annotations

import hashlib

from mentor.errors import NotFoundError
from mentor.jobs.model import Job
from mentor.rpc.principal import ALL_ROLES, Principal, Role, caller


def visible(job: Job) -> bool:
    """Whether the present caller may see a job and what it made. Jobs of before there were callers: operators only."""
    present = caller.get()
    return present.operator or bool(job.submitter and job.submitter == present.name)


def require_visible(job: Job) -> Job:
    """The job; raises ``NotFoundError`` unless the present caller may see it."""
    if not visible(job):
        raise NotFoundError(f"there is no job {job.id!r}", field="id")
    return job


def only_of() -> str | None:
    """The submitter whose jobs the present caller may list; None: everybody's."""
    present = caller.get()
    return None if present.operator else present.name


def submitter_of(job: Job) -> Principal:
    """Whom a running job acts for: what it reads and names is held against its submitter's rights, not its worker's."""
    return Principal(job.submitter, ALL_ROLES if job.privileged else frozenset({Role.SUBMIT}))


def key_of(submitter: str, key: str) -> str:
    """An idempotency key in its submitter's own space: two callers may choose the same."""
    return hashlib.sha256(f"{submitter}\n{key}".encode()).hexdigest() if submitter and key else key


def upload_folder(digest: str) -> str:
    """Folder, under the store's ``files``, of what the present caller uploads: to know a digest is not to own a file.

    Operators share one space, and every other owner has one.
    """
    present = caller.get()
    if present.operator:
        return digest
    return f"{digest}-{hashlib.sha256(present.name.encode()).hexdigest()[:16]}"
