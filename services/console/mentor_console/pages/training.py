"""Training runs: curves as they come, several over one another, alarms, checkpoints, the way to rollouts, what was printed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from mentor.errors import UserError
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.jobs.curves import curves, evaluations_of
from mentor_console.jobs.directory import Found, artifacts, find, listed, resource
from mentor_console.jobs.following import so_far
from mentor_console.jobs.printed import printed, printed_of
from mentor_console.text import visible

_MOST = 8
_RESULTS = "evaluations.jsonl"
_LINES = 200


def router(console: Console) -> APIRouter:
    """The routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get("/training", response_class=HTMLResponse)
    async def training(request: Request, smooth: float = 0.0) -> HTMLResponse:
        """The runs, and the curves of those that are chosen."""
        found = await listed(console, request, 100, kind="train")
        chosen = list(dict.fromkeys(request.query_params.getlist("job")))[:_MOST]
        if not chosen:
            chosen = [row.job.id for row in found.jobs if row.job.state != "queued"][:1]
        return console.renderer.respond(
            request, "training.html.j2", title="Training", runs=[row.job for row in found.jobs], chosen=chosen,
            smooth=min(0.99, max(0.0, smooth)), away=found.away, printed=await printed_of(console, request, chosen, _LINES),
        )  # fmt: skip

    async def run(request: Request, job_id: str) -> Found:
        """A training job.

        Raises:
            UserError: it is of another kind.
        """
        found = await find(console, request, job_id)
        if found.job.kind != "train":
            raise UserError(f"{job_id} is a {found.job.kind} job", field="job", allowed="a training job")
        return found

    @routes.get("/api/training/{job_id}/output")
    async def output(
        request: Request, job_id: str, tail: Annotated[int, Query(ge=1, le=20_000)] = _LINES
    ) -> PlainTextResponse:
        """The end of what verl or TRL printed, as text."""
        return PlainTextResponse(visible(await printed(console, request, await run(request, job_id), tail)))

    @routes.get("/api/training/{job_id}/curves")
    async def series(request: Request, job_id: str) -> dict[str, Any]:
        """What has happened in a run so far; a page follows its events from ``last`` on."""
        found = await run(request, job_id)
        authorization = session_of(request.scope).authorization
        made = curves(found.job, await so_far(console.upstream, authorization, found.service, job_id))
        if any(entry.name == _RESULTS for entry in await artifacts(console, request, found)):
            path = resource(found, "artifacts", _RESULTS)
            answer = await console.upstream.call(authorization, found.service, "GET", path)
            made["evaluations"] = evaluations_of(answer.text)
        return made

    return routes
