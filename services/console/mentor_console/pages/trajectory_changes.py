"""What people do with a trajectory: tag it, write a note, run a call again; and everything they wrote, as JSON lines."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mentor.rpc.principal import caller
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.index.notes import add_note, add_tag, exported, remove_note, remove_tag
from mentor_console.pages.trajectories import PATH
from mentor_console.pages.trajectory import opened
from mentor_console.trajectory.rerun import call_of, rerun, tool_of

Change = Callable[[sqlite3.Connection], None]


def router(console: Console) -> APIRouter:
    """The routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    async def changed(request: Request, key: str, change: Change) -> RedirectResponse:
        await console.index.run(change)
        return RedirectResponse(f"{PATH}/{key}#notes", 303)

    @routes.get(PATH + "/notes.jsonl")
    async def export(request: Request) -> Response:
        """Tags and notes of all trajectories that the reader may see."""
        jobs = await console.index.visible(session_of(request.scope).authorization)
        records = await console.index.run(lambda connection: list(exported(connection, jobs)))
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        headers = {"content-disposition": 'attachment; filename="notes.jsonl"'}
        return Response(lines, media_type="application/jsonl; charset=utf-8", headers=headers)

    @routes.post(PATH + "/{key}/tags")
    async def tag(
        request: Request, key: str, tag: Annotated[str, Form()], remove: Annotated[bool, Form()] = False
    ) -> Response:
        """Give a tag, or take it away."""
        job = (await opened(console, request, key)).stored.row["job"]
        author = caller.get().name
        if remove:
            return await changed(request, key, lambda connection: remove_tag(connection, key, tag))
        return await changed(request, key, lambda connection: add_tag(connection, key, job, tag, author))

    @routes.post(PATH + "/{key}/notes")
    async def note(
        request: Request, key: str, text: Annotated[str, Form()] = "", remove: Annotated[int | None, Form()] = None
    ) -> Response:
        """Write a note, or take one away."""
        job = (await opened(console, request, key)).stored.row["job"]
        author = caller.get().name
        if remove is not None:
            return await changed(request, key, lambda connection: remove_note(connection, key, remove))
        return await changed(request, key, lambda connection: add_note(connection, key, job, text, author))

    @routes.post(PATH + "/{key}/rerun", response_class=HTMLResponse)
    async def run_again(
        request: Request, key: str, turn: Annotated[int, Form(ge=1)], call: Annotated[int, Form(ge=1)]
    ) -> HTMLResponse:
        """Run a call once more, in the sandbox, with the reader's key; shows what came back then and now."""
        found = await opened(console, request, key)
        made = call_of(found.trajectory, turn, call)
        authorization = session_of(request.scope).authorization

        async def post(service: str, path: str, **options: Any) -> httpx.Response:
            return await console.upstream.call(authorization, service, "POST", path, **options)

        now, result = await rerun(made, tool_of(made, found.question), post)
        seen = found.trajectory.turns[turn - 1].observations
        before = seen[call - 1] if call <= len(seen) else None
        return console.renderer.respond(
            request, "rerun.html.j2", title="Call, run again", row=found.stored.row, call=made, turn=turn, before=before,
            now=now, result=result,
        )  # fmt: skip

    return routes
