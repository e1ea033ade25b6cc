"""Jobs: the list, filtered and searched, over all services that have jobs."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from mentor.jobs.model import JobState
from mentor_console.context import Console
from mentor_console.front.page_errors import telling
from mentor_console.jobs.directory import Found, listed, small
from mentor_console.jobs.examples import EXAMPLES

_SHOWN = 200
KINDS = ("teacher", "train", "evaluation", "evaluate")


def router(console: Console) -> APIRouter:
    """The page's routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get("/jobs", response_class=HTMLResponse)
    async def jobs(request: Request, kind: str = "", state: str = "", text: str = "") -> HTMLResponse:
        """Jobs, newest first."""
        found = await listed(console, request, kind=kind, state=state)
        rows = [row for row in found.jobs if fits(row, text)]
        kinds = sorted({row.job.kind for row in found.jobs} | set(KINDS) | ({kind} if kind else set()))
        return console.renderer.respond(
            request, "jobs.html.j2", title="Jobs", rows=rows[:_SHOWN], more=max(0, len(rows) - _SHOWN), kinds=kinds,
            states=list(JobState), kind=kind, state=state, text=text, away=found.away, examples=EXAMPLES,
            about=about,
        )  # fmt: skip

    return routes


def fits(found: Found, text: str) -> bool:
    """Whether every word of a search is in the job's id, spec, message or error."""
    job = found.job
    hay = " ".join((job.id, job.kind, job.message, job.error or "", job.submitter, json.dumps(job.spec))).lower()
    return all(word in hay for word in text.lower().split())


def about(found: Found) -> str:
    """What a job is about, in a line: its model, and what it is given."""
    spec = found.job.spec
    model = spec.get("model")
    parts = [model.get("name") or model.get("path") or model.get("url") if isinstance(model, dict) else model]
    parts += [m.get("name") for m in spec.get("models") or () if isinstance(m, dict)]
    parts += [spec.get("algorithm"), spec.get("suite"), *(spec.get("suites") or ())]
    parts += [
        spec.get(name) for name in ("questions", "train_questions", "train_files") if isinstance(spec.get(name), str)
    ]
    return small(
        ", ".join(str(part).rpartition("/")[2] if "/" in str(part) else str(part) for part in parts if part), 90
    )
