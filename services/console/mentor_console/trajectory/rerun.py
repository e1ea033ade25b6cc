"""A call once more, in the sandbox or the retriever, with the key of whoever asks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import httpx

from mentor.errors import NotFoundError, UserError
from mentor.tools.executor_sandbox import SandboxResult, observed, request_of
from mentor.tools.registry import ToolRegistry
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, ToolCall, Trajectory

_JSON = {"content-type": "application/json"}
Post = Callable[..., Awaitable[httpx.Response]]
"""(service, path, content) to its answer."""


def call_of(trajectory: Trajectory, turn: int, call: int) -> ToolCall:
    """A call by its place, from 1.

    Raises:
        NotFoundError: there is none.
        UserError: it was never a call.
    """
    if turn < 1 or call < 1 or turn > len(trajectory.turns) or call > len(trajectory.turns[turn - 1].tool_calls):
        raise NotFoundError("the trajectory has no such call", field="call")
    found = trajectory.turns[turn - 1].tool_calls[call - 1]
    if found.error is not None:
        raise UserError(
            f"it could not be parsed into a call: {found.error}", field="call", allowed="a call that names a tool"
        )
    return found


def tool_of(call: ToolCall, question: Question | None) -> ToolSpec:
    """The tool as the question brings it, else the one that is built in, else whatever the sandbox has under this name.

    Raises:
        UserError: an MCP server's: nobody here can reach it.
    """
    offered = {tool.name: tool for tool in ToolRegistry().for_question(question)} if question is not None else {}
    registry = ToolRegistry()
    tool = offered.get(call.name) or (registry.get(call.name) if call.name in registry.names else None)
    tool = tool or ToolSpec(name=call.name, description="")
    if tool.backend != "sandbox":
        raise UserError(
            f"{call.name} does not run in the sandbox", field="call", allowed="calls of the sandbox's tools"
        )
    return tool


async def rerun(call: ToolCall, tool: ToolSpec, post: Post) -> tuple[Observation, SandboxResult]:
    """Run it; what the model would see, and what the sandbox says.

    Raises:
        MentorError: as the sandbox refuses it, or ``InfrastructureError``.
    """
    # json.dumps, not httpx's own encoder: models write NaN, which that refuses.
    answer = await post("sandbox", "/v1/execute", content=json.dumps(request_of(call, tool)), headers=_JSON)
    result = SandboxResult(**{name: answer.json()[name] for name in SandboxResult.model_fields})
    return observed(call, tool, result), result
