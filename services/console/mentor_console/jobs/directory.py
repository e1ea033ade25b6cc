"""Which job is whose: the three services' lists as one, and one job by its id alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from mentor.errors import InfrastructureError, MentorError, NotFoundError
from mentor.jobs.model import MAX_LIST, Artifact, Job
from mentor_console.context import Console
from mentor_console.settings import JOB_SERVICES


@dataclass(frozen=True)
class Found:
    """A job, and the service that has it."""

    service: str
    job: Job


@dataclass(frozen=True)
class Listing:
    """Jobs of all services, newest first. ``away``: why some are not here, by service."""

    jobs: list[Found]
    away: dict[str, str]


async def listed(
    console: Console, request: Request, limit: int = MAX_LIST, *, kind: str = "", state: str = ""
) -> Listing:
    """The jobs that the reader may see; a kind that a service does not run leaves its jobs out."""
    filters = {name: value for name, value in (("kind", kind), ("state", state)) if value}

    async def of(service: str) -> list[Found] | MentorError:
        try:
            page = await console.json(request, service, "/v1/jobs", params={"limit": limit, **filters})
        except MentorError as error:
            return error
        return [Found(service, Job.model_validate(row)) for row in page["jobs"]]

    answers = dict(zip(JOB_SERVICES, await asyncio.gather(*map(of, JOB_SERVICES)), strict=True))
    jobs = [found for answer in answers.values() if isinstance(answer, list) for found in answer]
    away = {name: a.message for name, a in answers.items() if isinstance(a, InfrastructureError)}
    return Listing(sorted(jobs, key=lambda found: found.job.created_at, reverse=True), away)


async def find(console: Console, request: Request, job_id: str) -> Found:
    """A job by its id.

    Raises:
        NotFoundError: no service has it for the reader.
        InfrastructureError: so it seems, but a service is away.
    """

    async def of(service: str) -> Found | MentorError:
        try:
            return Found(service, Job.model_validate(await console.json(request, service, job_path(job_id))))
        except MentorError as error:
            return error

    answers = await asyncio.gather(*map(of, JOB_SERVICES))
    for answer in answers:
        if isinstance(answer, Found):
            return answer
    for answer in answers:
        if isinstance(answer, InfrastructureError):
            raise answer
    raise NotFoundError(f"there is no job {job_id!r}", field="id")


async def artifacts(console: Console, request: Request, found: Found) -> list[Artifact]:
    """What a job has committed."""
    page = await console.json(request, found.service, f"{job_path(found.job.id)}/artifacts")
    return [Artifact.model_validate(row) for row in page["artifacts"]]


def job_path(job_id: str) -> str:
    """Of a job's resource at its service.

    Raises:
        NotFoundError: no job is called so.
    """
    if not job_id or not all(c.isalnum() or c in "-_." for c in job_id) or set(job_id) <= {"."}:
        raise NotFoundError(f"there is no job {job_id!r}", field="id")
    return f"/v1/jobs/{job_id}"


def resource(found: Found, *parts: str) -> str:
    """A path below a job's resource."""
    return "/".join((job_path(found.job.id), *parts))


def small(value: Any, most: int = 160) -> str:
    """One line of anything."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"
