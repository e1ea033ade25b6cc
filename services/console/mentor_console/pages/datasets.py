"""Data sets: what a teacher drew, what filters left of it and dropped, where it comes from; and two of them compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from mentor_console.context import Console
from mentor_console.datasets.dropped import dropped
from mentor_console.datasets.facts import DataSet, data_set
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.jobs.directory import listed

_COUNTS = ("questions", "questions_with_references", "trajectories")


def router(console: Console) -> APIRouter:
    """The pages' routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get("/datasets", response_class=HTMLResponse)
    async def datasets(request: Request) -> HTMLResponse:
        """Every data set."""
        found = await listed(console, request, 200, kind="teacher")
        return console.renderer.respond(
            request, "datasets.html.j2", title="Data sets", jobs=[row.job for row in found.jobs], away=found.away
        )

    @routes.get("/datasets/compare", response_class=HTMLResponse)
    async def compare(request: Request, a: str, b: str) -> HTMLResponse:
        """Two data sets beside one another."""
        one, two = await data_set(console, request, a), await data_set(console, request, b)
        return console.renderer.respond(
            request, "dataset_compare.html.j2", title="Compare data sets", a=one, b=two, counts=_counted(one, two),
            specs=differing(one.found.job.spec, two.found.job.spec),
        )  # fmt: skip

    @routes.get("/datasets/{job_id}", response_class=HTMLResponse)
    async def one(request: Request, job_id: str) -> HTMLResponse:
        """One data set."""
        console.gatherer.seen(session_of(request.scope).authorization)
        found = await data_set(console, request, job_id)
        seen = await console.index.run(lambda connection: dropped(connection, console.index.folder, job_id))
        return console.renderer.respond(
            request, "dataset.html.j2", title=f"Data set of {job_id}", data=found, job=found.found.job, seen=seen
        )

    return routes


def _counted(one: DataSet, two: DataSet) -> list[tuple[str, int, int]]:
    names = dict.fromkeys((*_COUNTS, "lost", *one.filters, *two.filters, "surplus", "kept"))
    return [(name, int(one.summary.get(name, 0)), int(two.summary.get(name, 0))) for name in names]


def differing(one: Mapping[str, Any], two: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str, str]]:
    """Fields in which two specs differ, by dotted path."""
    found: list[tuple[str, str, str]] = []
    for name in dict.fromkeys((*one, *two)):
        a, b = one.get(name), two.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differing(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append((f"{prefix}{name}", json.dumps(a, ensure_ascii=False), json.dumps(b, ensure_ascii=False)))
    return found
