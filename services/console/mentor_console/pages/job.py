"""One job: its spec, attempts, events and log as they come, metrics, artefacts, its place in a chain; and what can be done."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from sse_starlette import EventSourceResponse

from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.index.gather import gathered
from mentor_console.jobs.causes import Cause, causes_of
from mentor_console.jobs.chain import children, references
from mentor_console.jobs.directory import Found, artifacts, find, job_path, listed, resource
from mentor_console.jobs.evidence import shown_by
from mentor_console.jobs.following import Following
from mentor_console.text import visible

_LOG_S = 2.0
_TAIL = Query(ge=1, le=20_000)


def router(console: Console) -> APIRouter:
    """The routes."""
    routes = APIRouter(route_class=telling(console.renderer))
    following = Following(console.upstream)
    logs: dict[tuple[str, str, int, float | None], tuple[float, str]] = {}

    @routes.get("/jobs/{job_id}", response_class=HTMLResponse)
    async def one(request: Request, job_id: str) -> HTMLResponse:
        """The job's page."""
        found = await find(console, request, job_id)
        committed = await artifacts(console, request, found)
        family = children(job_id, (await listed(console, request)).jobs)
        causes, complete = await _why(request, found)
        return console.renderer.respond(
            request, "job.html.j2", title=f"Job {job_id}", job=found.job, service=found.service, artifacts=committed,
            parents=sorted(set(references(found.job.spec))), children=family, waits=waits(found),
            log=await _log(request, found, 200), page=page_of(found), causes=causes, gathering=not complete,
        )  # fmt: skip

    async def _why(request: Request, found: Found) -> tuple[list[Cause], bool]:
        """What is wrong with a job, and whether everything that it left has been looked at."""
        authorization = session_of(request.scope).authorization
        console.gatherer.seen(authorization)
        jobs = await console.index.visible(authorization)

        def look(connection: sqlite3.Connection) -> tuple[list[Cause], bool]:
            shown = shown_by(connection, console.index.folder, found.job, jobs)
            causes = sorted([*causes_of(found.job), *shown], key=lambda cause: cause.vague)
            return causes, gathered(connection, found.job)

        return await console.index.run(look)

    @routes.get("/api/jobs/{job_id}/gathered")
    async def gathered_yet(request: Request, job_id: str) -> dict[str, bool]:
        """Whether the trajectories of a job that has ended are in the index: a page that is open is then made again."""
        found = await find(console, request, job_id)
        console.gatherer.seen(session_of(request.scope).authorization)
        return {"gathered": await console.index.run(lambda connection: gathered(connection, found.job))}

    @routes.get("/api/jobs/{job_id}/events")
    async def events(
        request: Request, job_id: str, after: int = 0, last_event_id: Annotated[str | None, Header()] = None
    ) -> Response:
        """Its events as they come, from ``after`` (or Last-Event-ID) on."""
        found = await find(console, request, job_id)
        start = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
        authorization = session_of(request.scope).authorization
        return EventSourceResponse(following.events(authorization, found.service, job_id, start))

    @routes.get("/api/jobs/{job_id}/log")
    async def log(request: Request, job_id: str, tail: Annotated[int, _TAIL] = 200) -> PlainTextResponse:
        """The end of its output."""
        return PlainTextResponse(await _log(request, await find(console, request, job_id), tail))

    async def _log(request: Request, found: Found, tail: int) -> str:
        """Asked of the service once in a while, whoever many look; anew when the job has ended: its last words came then."""
        key = (found.service, found.job.id, tail, found.job.finished_at)
        until, text = logs.get(key, (0.0, ""))
        if time.monotonic() > until:
            authorization = session_of(request.scope).authorization
            path = resource(found, "logs")
            answer = await console.upstream.call(authorization, found.service, "GET", path, params={"tail": tail})
            text = visible(answer.text)
            if len(logs) > 100:
                logs.clear()
            logs[key] = (time.monotonic() + _LOG_S, text)
        return text

    @routes.get("/jobs/{job_id}/artifacts/{name:path}")
    async def artifact(
        request: Request, job_id: str, name: str, requested: Annotated[str | None, Header(alias="range")] = None
    ) -> Response:
        """An artefact, streamed through; a folder comes as a tar file."""
        found = await find(console, request, job_id)
        known = {entry.name: entry for entry in await artifacts(console, request, found)}
        authorization = session_of(request.scope).authorization
        path = resource(found, "artifacts", quote(name, safe="/"))
        stream = console.upstream.stream(authorization, found.service, path, {"range": requested} if requested else {})
        answer = await stream.__aenter__()

        async def body() -> AsyncIterator[bytes]:
            try:
                async for block in answer.aiter_raw(1 << 16):
                    yield block
            finally:
                await stream.__aexit__(None, None, None)

        kept = ("content-length", "content-range", "accept-ranges", "etag")
        headers = {key: answer.headers[key] for key in kept if key in answer.headers}
        entry = known.get(name)
        file = name.rpartition("/")[2] + (".tar" if entry and entry.path.endswith("/") else "")
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(file)}"
        return StreamingResponse(body(), answer.status_code, headers, "application/octet-stream")

    async def change(request: Request, job_id: str, what: str) -> RedirectResponse:
        found = await find(console, request, job_id)
        authorization = session_of(request.scope).authorization
        await console.upstream.call(authorization, found.service, "POST", f"{job_path(job_id)}/{what}")
        return RedirectResponse(f"/jobs/{job_id}", 303)

    @routes.post("/jobs/{job_id}/cancel")
    async def cancel(request: Request, job_id: str) -> Response:
        """Stop it."""
        return await change(request, job_id, "cancel")

    @routes.post("/jobs/{job_id}/resume")
    async def resume(request: Request, job_id: str) -> Response:
        """Queue it again."""
        return await change(request, job_id, "resume")

    return routes


def waits(found: Found) -> str:
    """Why a job that is queued has not begun, as far as its service knows; "" for one that is not."""
    job = found.job
    if job.state != "queued":
        return ""
    wanted = job.spec.get("gpus") or job.spec.get("n_gpus_per_node") or 0
    if job.message:
        return job.message
    if wanted and job.kind:
        return f"for a worker, and for a lease of {wanted} GPU(s) that running jobs may hold"
    return "for a worker that is free"


def page_of(found: Found) -> tuple[str, str] | None:
    """The page that shows a job's results: address and name."""
    job = found.job
    return {
        "train": (f"/training?job={job.id}", "Curves"),
        "teacher": (f"/datasets/{job.id}", "Data set"),
        "evaluation": (f"/evaluations/{job.id}", "Results"),
        "evaluate": (f"/evaluations/{job.id}", "Results"),
    }.get(job.kind)
