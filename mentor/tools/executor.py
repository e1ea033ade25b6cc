"""Executors run tool calls where tools live; a ``Toolset`` gives each call to the right one.

What the model did wrong and what a tool did wrong come back as observations. What is ours (an outage, an overload that
lasts) is raised as ``InfrastructureError`` after retries, and never becomes an observation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from mentor.errors import UserError
from mentor.tools.render import render_error
from mentor.tools.spec import ToolSpec
from mentor.tools.validation import argument_error
from mentor.trajectory import Observation, ToolCall


class ToolExecutor(Protocol):
    """Runs calls of one backend."""

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """Run a call whose arguments fit the schema.

        Raises:
            InfrastructureError: the call could not be run; nothing is known about it.
        """
        ...

    async def close(self) -> None:
        """Close connections of the running event loop."""
        ...


class Toolset:
    """The tools of one question, and where they run.

    Args:
        specs: the tools offered, in the order in which the prompt shows them.
        executors: one per backend that the specs name.

    Raises:
        UserError: two tools share a name, or a backend has no executor.
    """

    def __init__(self, specs: Sequence[ToolSpec], executors: Mapping[str, ToolExecutor]) -> None:
        self.specs = tuple(specs)
        self._executors = dict(executors)
        self._by_name = {spec.name: spec for spec in self.specs}
        if len(self._by_name) != len(self.specs):
            raise UserError("two tools of one question share a name", field="tools")
        missing = {spec.backend for spec in self.specs} - self._executors.keys()
        if missing:
            backends = ", ".join(sorted(missing))
            raise UserError(f"no executor for backend {backends}", field="tools", allowed=", ".join(self._executors))

    def schemas(self) -> list[dict[str, object]]:
        """OpenAI tool objects, for the chat template."""
        return [spec.openai() for spec in self.specs]

    async def run(self, call: ToolCall) -> Observation:
        """Validate a call and run it.

        Raises:
            InfrastructureError: as ``ToolExecutor.execute``.
        """
        if call.error is not None:
            return refused(call, "malformed_call", call.error)
        spec = self._by_name.get(call.name)
        if spec is None:
            return refused(call, "unknown_tool")
        wrong = argument_error(spec, call.arguments)
        if wrong is not None:
            return refused(call, "invalid_arguments", wrong)
        return await self._executors[spec.backend].execute(call, spec)

    async def run_all(self, calls: Sequence[ToolCall]) -> list[Observation]:
        """Run the calls of one turn together; observations come in the order of the calls."""
        return list(await asyncio.gather(*(self.run(call) for call in calls)))


def presentable(text: str) -> str:
    """Text that a tokenizer can take: lone surrogates, which JSON can smuggle in, are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def refused(call: ToolCall, error_type: str, detail: str = "") -> Observation:
    """The observation of a call that reached no tool."""
    content = presentable(render_error(error_type, call.name, detail))
    return Observation(
        name=call.name, content=content, ok=False, executed=False, call_id=call.id, error_type=error_type
    )
