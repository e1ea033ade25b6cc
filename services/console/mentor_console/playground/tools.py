"""Tools of the playground: they run in the sandbox and the retriever with the key of whoever talks."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from mentor.errors import ForbiddenError, UnauthenticatedError, UserError
from mentor.tools.executor import Toolset, presentable, refused
from mentor.tools.registry import ToolRegistry
from mentor.tools.render import render_passages
from mentor.tools.source import load_tools
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, ToolCall
from mentor_console.trajectory.rerun import Post, rerun

_JSON = {"content-type": "application/json"}
_MOST_PASSAGES = 50


class Sandbox:
    """Executor of the sandbox's tools."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """As ``ToolExecutor.execute``."""
        return (await rerun(call, spec, self._post))[0]

    async def close(self) -> None:
        """Nothing of its own is open."""


class Search:
    """Executor of the retriever's tool."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """As ``ToolExecutor.execute``; what the retriever refuses is the model's error."""
        started = time.perf_counter()
        try:
            hits = await search(
                self._post, presentable(str(call.arguments["query"])), int(call.arguments.get("top_n", 5))
            )
        except (UnauthenticatedError, ForbiddenError):
            raise
        except UserError as error:
            return refused(call, "invalid_arguments", error.message)
        passages = [str(hit["document"]["contents"]) for hit in hits]
        took = round((time.perf_counter() - started) * 1000, 3)
        return Observation(name=call.name, content=render_passages(passages), call_id=call.id, duration_ms=took)

    async def close(self) -> None:
        """Nothing of its own is open."""


async def search(post: Post, query: str, top_n: int) -> list[dict[str, Any]]:
    """The retriever's hits, best first.

    Raises:
        MentorError: as the retriever says, or ``InfrastructureError``.
    """
    body = json.dumps({"query": query, "top_n": max(1, min(_MOST_PASSAGES, top_n))})
    answer: httpx.Response = await post("retriever", "/v1/search", content=body, headers=_JSON)
    return list(answer.json()["hits"])


def registered(listed: Iterable[Mapping[str, Any]]) -> list[ToolSpec]:
    """The tools that the sandbox lists and that are not built in."""
    known = set(ToolRegistry().names)
    fields = ToolSpec.model_fields.keys() - {"backend", "source"}
    specs = [ToolSpec.model_validate({k: v for k, v in row.items() if k in fields}) for row in listed]
    return [spec for spec in specs if spec.name not in known]


def offered(names: Sequence[str], source: str, more: Sequence[ToolSpec] = ()) -> tuple[ToolSpec, ...]:
    """Built-in tools and ``more`` by name, and those that a text of Python defines (parsed here, run in the sandbox alone).

    Raises:
        UserError: an unknown name, or a text that defines no tool.
    """
    registry = ToolRegistry(more)
    return (*(registry.get(name) for name in names), *(written(source) if source.strip() else ()))


def written(source: str) -> list[ToolSpec]:
    """The tools of a text of Python.

    Raises:
        UserError: it defines none, naming the line.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tools.py"
        path.write_text(source, encoding="utf-8", errors="replace")
        try:
            return load_tools(path)
        except UserError as error:
            raise UserError(error.message.replace(str(path), "line"), field="source", allowed=error.allowed) from None


def toolset(specs: Sequence[ToolSpec], post: Post) -> Toolset:
    """What runs them.

    Raises:
        UserError: two have one name.
    """
    return Toolset(specs, {"sandbox": Sandbox(post), "retriever": Search(post)})
