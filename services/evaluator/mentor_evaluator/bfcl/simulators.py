"""The simulators of one sample, in a process of their own: calls go out, observations come back.

A process that dies may have been killed from outside. The simulators' answers depend on nothing but the calls before, so the
sample goes on in a new one after those were repeated; the call that ends a second process is to blame for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from mentor.errors import InfrastructureError
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Frozen, Observation, ToolCall
from mentor_evaluator.bfcl.categories import Mode
from mentor_evaluator.bfcl.processes import Child, Processes, ProcessLost

_FAILED = "Error during execution:"
_START_SECONDS = 120.0
_T = TypeVar("_T")


class Opening(Frozen):
    """What a model is shown: messages that each user turn adds, and the tools (OpenAI's shape) offered in it."""

    turns: tuple[tuple[dict[str, Any], ...], ...]
    tools: tuple[tuple[dict[str, Any], ...], ...]


class OfferedTool(ToolSpec):
    """A function as the package's own converter made it, shown as it is."""

    shown: dict[str, Any]

    def openai(self) -> dict[str, Any]:
        return self.shown

    @classmethod
    def of(cls, tool: dict[str, Any]) -> Self:
        """From an OpenAI tool object."""
        function = tool["function"]
        return cls(
            name=function["name"], description=function["description"], parameters=function["parameters"], shown=tool
        )


class SimulatorLost(Exception):
    """A call ended two processes; the sample cannot go on."""


class Simulator:
    """One sample's simulators; an asynchronous context manager that ends their process.

    Args:
        start: the request that starts them.
        call_s: seconds that one call may take before its process is killed.
    """

    def __init__(self, processes: Processes, start: dict[str, Any], mode: Mode, call_s: float) -> None:
        self._processes, self._start, self._mode, self._call_s = processes, start, mode, call_s
        self._done: list[str] = []
        self._stack = AsyncExitStack()
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def open(self) -> Opening:
        """Start; the opening of the conversation.

        Raises:
            InfrastructureError: they do not start, twice. No model has said anything by then.
        """
        try:
            return await self._open()
        except ProcessLost:
            try:
                return await self._open()
            except ProcessLost as lost:
                raise InfrastructureError(f"the simulators of {self._start['id']} do not start ({lost})") from lost

    async def _open(self) -> Opening:
        await self._stack.aclose()
        self._child = await self._stack.enter_async_context(self._processes.child())
        return Opening.model_validate(await self._child.ask(self._start, _START_SECONDS))

    async def decode(self, result: Any) -> list[str] | None:
        """The calls in one step of the model, as source text; None where there is none, or none that may run."""
        answer = await self._ask({"do": "decode", "result": result, "mode": self._mode})
        calls: list[str] | None = answer.get("calls")
        return calls

    async def call(self, source: str) -> tuple[str, bool]:
        """What one call returns, and whether it was run rather than refused. Raises ``SimulatorLost``."""
        answer = await self._ask({"do": "call", "source": source})
        if "refused" in answer:
            return f"{_FAILED} {answer['refused']}", False
        self._done.append(source)
        return answer["result"], True

    async def snapshot(self) -> dict[str, Any]:
        """What a memory holds now. Raises ``SimulatorLost``."""
        return await self._ask({"do": "snapshot"})

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            assert self._child is not None
            return await self._child.ask(message, self._call_s)

        async def ask_anew() -> dict[str, Any]:
            await self._open()
            assert self._child is not None
            for source in self._done:
                await self._child.ask({"do": "call", "source": source}, self._call_s)
            return await ask()

        try:
            return await ask()
        except ProcessLost:
            return await self._again(ask_anew)

    async def _again(self, action: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await action()
        except ProcessLost as lost:
            raise SimulatorLost(f"a call ended the simulators' process twice ({lost})") from lost


class SimulatedTools:
    """The agent loop's tools for one user turn: calls run in the order in which the model wrote them.

    ``lost`` is set when the simulators are gone for good: the sample then ends as the model's doing.
    """

    def __init__(self, simulator: Simulator, tools: Sequence[dict[str, Any]], mode: Mode) -> None:
        self.specs = tuple(OfferedTool.of(tool) for tool in tools)
        self.lost: str | None = None
        self._simulator, self._mode = simulator, mode
        self._in_order = asyncio.Lock()  # the loop starts a turn's calls together, in order; a lock keeps that order

    async def run(self, call: ToolCall) -> Observation:
        async with self._in_order:
            if self.lost is not None:
                return _observed(call, f"{_FAILED} {self.lost}", executed=False)
            try:
                return await self._run(call)
            except SimulatorLost as lost:
                self.lost = str(lost)
                return _observed(call, f"{_FAILED} {lost}", executed=False)

    async def _run(self, call: ToolCall) -> Observation:
        source = call.raw
        if self._mode == "fc":
            calls = await self._simulator.decode([{call.name: json.dumps(call.arguments)}])
            if not calls:
                return _observed(call, f"{_FAILED} not a call", executed=False)
            (source,) = calls
        content, executed = await self._simulator.call(source)
        return _observed(call, content, executed=executed)


class RecordingTools:
    """The tools of a single request: its calls are what is asked for; none is run."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        self.specs = tuple(OfferedTool.of(tool) for tool in tools)

    async def run(self, call: ToolCall) -> Observation:
        return Observation(name=call.name, content="", executed=False, call_id=call.id)


def _observed(call: ToolCall, content: str, *, executed: bool) -> Observation:
    ok = executed and not content.startswith(_FAILED)
    error_type = None if ok else "tool_error" if executed else "invalid_arguments"
    return Observation(
        name=call.name, content=content, ok=ok, executed=executed, call_id=call.id, error_type=error_type
    )
