"""Playground: talk to a model with tools, search the retriever, run a tool in the sandbox."""

from __future__ import annotations

import json
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from mentor.errors import MentorError, UserError
from mentor.tools.executor_sandbox import SandboxResult
from mentor.tools.registry import ToolRegistry
from mentor.tools.spec import ToolSpec
from mentor.trajectory import ToolCall
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.playground.talk import Talk, source_of, told
from mentor_console.playground.tools import offered, registered, search, toolset, written
from mentor_console.trajectory.rerun import Post, rerun


def router(console: Console) -> APIRouter:
    """The routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    def poster(request: Request) -> Post:
        authorization = session_of(request.scope).authorization

        async def post(service: str, path: str, **options: Any) -> httpx.Response:
            return await console.upstream.call(authorization, service, "POST", path, **options)

        return post

    async def sandboxed(request: Request) -> list[ToolSpec]:
        """The sandbox's own; none where it is away."""
        try:
            return registered((await console.json(request, "sandbox", "/v1/tools"))["tools"])
        except MentorError:
            return []

    async def page(request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        empty: dict[str, Any] = {
            "query": "", "top_n": 5, "hits": None, "problem": None, "at": "", "tool": "", "arguments": "", "source": "",
            "result": None, "verdict": "",
        }  # fmt: skip
        registry = ToolRegistry(await sandboxed(request))
        return console.renderer.respond(
            request, "playground.html.j2", status, title="Playground", models=console.settings.models,
            tools=[registry.get(name) for name in registry.names], **(empty | values),
        )  # fmt: skip

    @routes.get("/playground", response_class=HTMLResponse)
    async def playground(request: Request, query: str = "", top_n: int = 5, tool: str = "") -> HTMLResponse:
        """The page; with a query, what the retriever finds."""
        if not query.strip():
            return await page(request, tool=tool)
        try:
            hits = await search(poster(request), query, top_n)
        except MentorError as error:
            return await page(request, error.http_status, query=query, top_n=top_n, problem=error, at="search")
        return await page(request, query=query, top_n=top_n, hits=hits)

    @routes.post("/playground/tool", response_class=HTMLResponse)
    async def run_tool(
        request: Request,
        arguments: Annotated[str, Form()] = "",
        tool: Annotated[str, Form()] = "",
        source: Annotated[str, Form()] = "",
    ) -> HTMLResponse:
        """Run one call in the sandbox: the value, or what its walls said."""
        shown: dict[str, Any] = {"tool": tool, "arguments": arguments, "source": source}
        try:
            specs = {
                spec.name: spec
                for spec in (written(source) if source.strip() else offered([tool], "", await sandboxed(request)))
            }
            spec = specs.get(tool) or next(iter(specs.values()))
            if spec.backend != "sandbox":
                raise UserError(f"{spec.name} does not run in the sandbox", field="tool", allowed="search, above")
            call = ToolCall(name=spec.name, arguments=_object(arguments))
            _, result = await rerun(call, spec, poster(request))
        except MentorError as error:
            return await page(request, error.http_status, problem=error, at="tool", **shown)
        return await page(request, result=result, verdict=verdict(result), **shown)

    @routes.post("/api/playground/talk")
    async def talk(request: Request, talk: Talk) -> Response:
        """An answer as server-sent events."""
        source = source_of(talk, console.settings.models)
        tools = toolset(offered(talk.tools, talk.source, await sandboxed(request)), poster(request))
        return StreamingResponse(told(talk, source, tools), media_type="text/event-stream")

    return routes


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"the arguments are no JSON: {error}", field="arguments", allowed="a JSON object") from None
    if not isinstance(found, dict):
        raise UserError("the arguments are no JSON object", field="arguments", allowed="a JSON object")
    return found


_VERDICTS = {
    "ok": "It ran within all walls.",
    "tool_error": "It ran within all walls, and raised.",
    "invalid_call": "It was refused before it ran.",
    "timeout": "It was stopped at its time limit.",
    "memory": "It was stopped at its memory limit.",
    "output_limit": "It was stopped: more output, or a larger result, than is allowed.",
    "killed": "It was killed: by a wall's signal, or it left Python by itself.",
}


def verdict(result: SandboxResult) -> str:
    """What the sandbox's walls say of a call, in words."""
    return _VERDICTS.get(result.status, f"The sandbox says: {result.status}.")
