"""Server. A call on its way through a lane."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from mentor.errors import DeadlineError
from mentor_sandbox.results import Call, CallResult
from mentor_sandbox.supervise.registry import RegisteredTool

Work = Callable[[Any], Awaitable[CallResult]]
"""Is given the slot in which it runs (``lanes.untrusted``)."""
SLICE_S = 0.01
"""A call that runs longer is a long one: it no longer holds a slot for short ones, and yields the CPU to them."""
RECHECK_S = 0.25
"""How often a long call is looked at again; at first it is twenty times as often."""


def due(running_s: float, since_last_s: float) -> bool:
    """Whether a call that has run so long is to be looked at again."""
    return running_s > SLICE_S and since_last_s > (RECHECK_S if running_s > 1 else RECHECK_S / 20)


@dataclass(slots=True, eq=False)
class Item:
    """One call from admission to result.

    ``done`` is called exactly once, with the result or with the error that is ours. ``expires`` is when it may no
    longer wait (monotonic); ``cancelled`` says that nobody wants the result any more.
    """

    lane: str
    label: str
    """What metrics call it; see ``Call.label``."""
    timeout_s: float
    admitted: float
    expires: float
    index: int
    done: Callable[[Item, CallResult | Exception], None]
    call: Call | None = None
    tool: RegisteredTool | None = None
    work: Work | None = None
    """How it is run where it is no call but a program."""
    cancelled: bool = False

    @property
    def backend(self) -> str:
        """Where it runs: ``worker``, ``call`` (a fork) or ``mcp``."""
        if self.tool is None:
            return "call"
        return "mcp" if self.tool.spec.backend == "mcp" else self.tool.spec.isolation

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the call."""
        return {} if self.call is None else self.call.arguments


def expire(pending: deque[Item], now: float) -> None:
    """Answer the calls whose deadline passed while they waited, and forget those that nobody wants."""
    if not any(item.expires <= now or item.cancelled for item in pending):
        return
    kept = [item for item in pending if item.expires > now and not item.cancelled]
    late = [item for item in pending if item.expires <= now and not item.cancelled]
    pending.clear()
    pending.extend(kept)
    for item in late:
        item.done(item, DeadlineError("the call's deadline passed while it waited for a free slot"))


def timed(result: CallResult, seconds: float) -> CallResult:
    """The result with its duration."""
    return replace(result, duration_ms=round(seconds * 1000, 3))
