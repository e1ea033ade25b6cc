"""Home: what runs, what waits and why, how the services are, last results, the store's disk; first steps for newcomers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from mentor.errors import MentorError
from mentor.jobs.model import JobState
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.jobs.directory import Found, listed
from mentor_console.jobs.examples import EXAMPLES
from mentor_console.pages.job import page_of, waits
from mentor_console.pages.jobs import about
from mentor_console.settings import JOB_SERVICES

_RESULTS = 6
_GAUGE = re.compile(r"^mentor_store_(free_)?bytes(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_NEEDED = {
    "sandbox": "tools cannot run, and jobs that need them wait or fail",
    "retriever": "searches cannot run",
    "teacher": "no teacher job can be submitted; those that run go on",
    "trainer": "no training run can be submitted; those that run go on",
    "evaluator": "no evaluation can be submitted; those that run go on",
}


def router(console: Console) -> APIRouter:
    """The page's routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        """What runs, and how the services are."""
        authorization = session_of(request.scope).authorization
        states, found, disk = await asyncio.gather(
            console.upstream.states(authorization), listed(console, request), _disk(console, request)
        )
        running = [row for row in found.jobs if row.job.state == JobState.RUNNING]
        queued = [row for row in found.jobs if row.job.state == JobState.QUEUED]
        ended = [row for row in found.jobs if row.job.state.final]
        return console.renderer.respond(
            request, "home.html.j2", title="Home", states=states, needed=_NEEDED, running=running, queued=queued,
            ended=ended[:_RESULTS], disk=disk, gpus=sum(_gpus(row) for row in running), about=about, waits=waits,
            page_of=page_of, figure=figure, examples=EXAMPLES, new=not found.jobs, of_gpus=_gpus,
        )  # fmt: skip

    return routes


def _gpus(found: Found) -> int:
    """GPUs that a job asks for: while it runs, it holds leases of as many."""
    wanted = found.job.spec.get("gpus") or found.job.spec.get("n_gpus_per_node") or 0
    return int(wanted) if isinstance(wanted, int) and found.job.spec.get("device") != "cpu" else 0


async def _disk(console: Console, request: Request) -> dict[str, float] | None:
    """Free and all bytes of the store's disk, from the first job service that tells; None where none does."""
    authorization = session_of(request.scope).authorization
    for service in JOB_SERVICES:
        try:
            text = (await console.upstream.call(authorization, service, "GET", "/metrics")).text
        except MentorError:
            continue
        told = {"free" if free else "all": float(value) for free, value in _GAUGE.findall(text)}
        if told.keys() == {"free", "all"} and told["all"]:
            return told
    return None


def figure(found: Found) -> str:
    """The figure by which a finished job is known, with its n."""
    result: dict[str, Any] = found.job.result or {}
    if found.job.error:
        return found.job.error[:200]
    if found.job.kind == "teacher" and "kept" in result:
        return f"{result['kept']} of {result.get('trajectories')} trajectories kept"
    if found.job.kind == "train" and "step" in result:
        return f"{result['step']} of {result.get('total_steps')} steps"
    accuracy = result.get("accuracy")
    if isinstance(accuracy, dict) and {"mean", "low", "high", "n"} <= accuracy.keys():
        a = accuracy
        return f"accuracy {100 * a['mean']:.1f} % [{100 * a['low']:.1f}, {100 * a['high']:.1f}], n={a['n']}"
    cells = result.get("cells")
    if isinstance(cells, dict):
        return f"{len(cells)} cell(s): models × suites × arms"
    return ""
