"""The world's tools run in process: what a dialogue shows as the result of a call, and a toolset for the agent loop.

The texts are those of the real tool stack (``mentor.tools``), so that what pre-training showed is what rollouts show.
"""

from __future__ import annotations

from collections.abc import Sequence

from examples.tiny.world import SPECS, call_tool
from mentor.chat.hermes import MALFORMED
from mentor.tools import ToolSpec
from mentor.tools.executor import Toolset, refused
from mentor.tools.render import render_error
from mentor.tools.validation import argument_error
from mentor.trajectory import Observation, ToolCall


def observe(call: ToolCall) -> Observation:
    """What comes back for a call, whether or not it can be run."""
    if call.error is not None:
        return refused(call, MALFORMED, call.error.removeprefix(f"{MALFORMED}: "))
    if call.name not in SPECS:
        return refused(call, "unknown_tool")
    wrong = argument_error(SPECS[call.name], call.arguments)
    return refused(call, "invalid_arguments", wrong) if wrong else _run(call)


def _run(call: ToolCall) -> Observation:
    try:
        text, _ = call_tool(call.name, call.arguments)
    except (ArithmeticError, TypeError, ValueError) as error:
        content = render_error("tool_error", call.name, f"{type(error).__name__}: {error}")
        return Observation(name=call.name, content=content, ok=False, call_id=call.id, error_type="tool_error")
    return Observation(name=call.name, content=text, call_id=call.id)


class InProcessExecutor:
    """Runs calls here, without sandbox or retriever: for measuring the checkpoints alone."""

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """Run a call whose arguments fit the schema."""
        return _run(call)

    async def close(self) -> None:
        """Nothing is held open."""


def toolset(names: Sequence[str]) -> Toolset:
    """Tools of the world by name, run in process."""
    executor = InProcessExecutor()
    return Toolset([SPECS[name] for name in names], {"sandbox": executor, "retriever": executor})
