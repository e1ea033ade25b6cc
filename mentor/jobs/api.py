"""REST of jobs: ``/v1/jobs`` on the service that runs the kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse

from mentor.jobs.archive import content
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Artifact, Job, JobEvent
from mentor.jobs.ranges import ranged

_WAIT_SECONDS = 2.0


class SubmitBody(BaseModel):
    """A job to be done. ``kind`` may be left out: it is the service's first."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any]
    kind: str | None = None
    idempotency_key: str | None = None


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[Job]


class ArtifactPage(BaseModel):
    """What a job has committed."""

    artifacts: list[Artifact] = Field(default_factory=list)


def jobs_router(manager: JobManager) -> APIRouter:
    """Routes over a manager."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    first_kind = next(iter(manager.handlers))

    @router.post("", status_code=201)
    async def submit(
        body: SubmitBody, response: Response, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Job:
        """Queue a job: 201, or 200 where the idempotency key names one that exists."""
        key = body.idempotency_key or idempotency_key
        job, created = await asyncio.to_thread(manager.submit, body.kind or first_kind, body.spec, key)
        response.status_code = 201 if created else 200
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    @router.get("")
    async def list_jobs(kind: str | None = None, state: str | None = None, limit: int = 50) -> JobPage:
        """Jobs, newest first."""
        return JobPage(jobs=await asyncio.to_thread(manager.newest, kind, state, limit))

    @router.get("/{job_id}")
    async def get_job(job_id: str) -> Job:
        """One job."""
        return await asyncio.to_thread(manager.get, job_id)

    @router.post("/{job_id}/cancel")
    async def cancel(job_id: str) -> Job:
        """Stop a queued or running job; 409 if it has ended."""
        return await asyncio.to_thread(manager.cancel, job_id)

    @router.post("/{job_id}/resume")
    async def resume(job_id: str) -> Job:
        """Queue a failed or cancelled job again, to go on from its checkpoints; 409 if it is neither."""
        return await asyncio.to_thread(manager.resume, job_id)

    @router.get("/{job_id}/events")
    async def events(
        job_id: str, request: Request, after: int = 0, last_event_id: Annotated[str | None, Header()] = None
    ) -> EventSourceResponse:
        """Events as server-sent events, from ``after`` (or Last-Event-ID) on; ends when the job has ended."""
        await asyncio.to_thread(manager.get, job_id)
        start = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
        return EventSourceResponse(event_stream(manager, job_id, start, request))

    @router.get("/{job_id}/logs")
    async def logs(job_id: str, tail: Annotated[int, Query(ge=1, le=100_000)] = 1000) -> StreamingResponse:
        """The end of the job's output, over all attempts: so many lines, and at most 16 MiB."""
        blocks = await asyncio.to_thread(manager.log_tail, job_id, tail)
        return StreamingResponse(blocks, media_type="text/plain; charset=utf-8")

    @router.get("/{job_id}/artifacts")
    async def artifacts(job_id: str) -> ArtifactPage:
        """What the job has committed."""
        await asyncio.to_thread(manager.get, job_id)
        return ArtifactPage(artifacts=await asyncio.to_thread(manager.store.artifacts, job_id))

    @router.head("/{job_id}/artifacts/{name:path}", include_in_schema=False)
    @router.get("/{job_id}/artifacts/{name:path}")
    async def artifact(job_id: str, name: str, request: Request) -> Response:
        """An artefact's bytes; a folder comes as a tar file. Ranges are served, so that a download can go on."""
        entry = await asyncio.to_thread(manager.artifact, job_id, name)
        found = await asyncio.to_thread(content, manager.files, entry)
        return ranged(found, entry.sha256, request.headers, body=request.method == "GET")

    return router


async def event_stream(
    manager: JobManager, job_id: str, after: int, request: Request | None = None
) -> AsyncIterator[dict[str, str]]:
    """A job's events, until it has ended and everything was sent, or the client is gone."""
    async for event in watch(manager, job_id, after):
        if request is not None and await request.is_disconnected():
            return
        body = {"sequence": event.sequence, "time": event.time, **event.data}
        yield {"id": str(event.sequence), "event": event.type, "data": json.dumps(body)}


async def watch(manager: JobManager, job_id: str, after: int) -> AsyncIterator[JobEvent]:
    """``JobEvent``s after a sequence number, as they come; ends with the job's final state."""
    while True:
        found = await asyncio.to_thread(manager.events, job_id, after, _WAIT_SECONDS)
        for event in found:
            after = event.sequence
            yield event
        if not found and (await asyncio.to_thread(manager.get, job_id)).state.final:
            return
