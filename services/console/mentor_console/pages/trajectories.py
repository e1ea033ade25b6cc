"""Trajectories of all jobs: search, filters, facets; page by page, every state of it in the address."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.index.leaving import gone
from mentor_console.index.notes import known_tags, tags_of
from mentor_console.index.phrases import phrases_of
from mentor_console.index.query import Facets, Filters, Page, facets, facets_of, find

PATH = "/trajectories"
LABELS = {
    "job": "Job", "kind": "Kind of job", "model": "Model", "suite": "Suite", "arm": "Arm", "correct": "Answer",
    "termination": "Ended", "tool": "Tool", "error": "Error of a call",
}  # fmt: skip
_PLACE = Query(ge=0, le=2**62)


def router(console: Console) -> APIRouter:
    """The page's routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get(PATH, response_class=HTMLResponse)
    async def trajectories(
        request: Request,
        before: Annotated[int | None, _PLACE] = None,
        after: Annotated[int | None, _PLACE] = None,
    ) -> HTMLResponse:
        """What the filters find, the newest first."""
        authorization = session_of(request.scope).authorization
        console.gatherer.seen(authorization)
        asked = filters_of(request)
        jobs = await console.index.visible(authorization)

        def query(connection: sqlite3.Connection) -> dict[str, Any]:
            page = find(connection, asked, jobs, folder=console.index.folder, before=before, after=after)
            counted = facets_of(page) if phrases_of(asked.text) else facets(connection, asked, jobs)
            return {
                "page": page, "facets": _linked(asked, counted),
                "tags": tags_of(connection, (row["key"] for row in page.rows)), "known_tags": known_tags(connection, jobs),
                "gone": gone(connection, jobs),
            }  # fmt: skip

        found = await console.index.run(query)
        return console.renderer.respond(
            request, "trajectories.html.j2", title="Trajectories", filters=asked,
            links=_links(asked, found["page"]), problems=console.gatherer.problems, narrowed=asked.address(),
            cache_gb=console.settings.cache_gb,
            gathering=not console.gatherer.through(authorization), **found,
        )  # fmt: skip

    return routes


def filters_of(request: Request) -> Filters:
    """The filters in an address. A field left empty, as forms send it, is not set.

    Raises:
        RequestValidationError: a value that is none.
    """
    given = {name: value.strip() for name, value in request.query_params.items() if name in Filters.model_fields}
    try:
        return Filters.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise RequestValidationError([e | {"loc": ("query", *e["loc"])} for e in error.errors()]) from None


def address(fields: dict[str, str]) -> str:
    """An address of this page."""
    return f"{PATH}?{urlencode(fields, errors='replace')}" if fields else PATH


def _links(asked: Filters, page: Page) -> dict[str, str | None]:
    older, newer = page.older, page.newer
    return {
        "older": None if older is None else address(asked.address() | {"before": str(older)}),
        "newer": None if newer is None else address(asked.address() | {"after": str(newer)}),
    }


def _linked(asked: Filters, found: Facets) -> dict[str, Any]:
    """Facets with the address of the page that each value leads to; the one that is set leads back."""
    groups = []
    for name, values in found.values.items():
        rows = []
        for value, count in values:
            chosen = getattr(asked, name) == value
            changes = {name: None if chosen else value}
            rows.append(
                {"value": value, "count": count, "chosen": chosen, "address": address(asked.address(**changes))}
            )
        if len(rows) > 1 or any(row["chosen"] for row in rows):
            groups.append({"name": name, "label": LABELS[name], "rows": rows})
    return {"groups": groups, "counted": found.counted, "all": found.all}
