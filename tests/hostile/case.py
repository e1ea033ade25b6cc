"""One hostile call.

Cases are harmless by design, since they are also run against services without walls: they read canaries, never real
secrets; they write only below the working directory or /tmp, never delete, and every flood is bounded. What must not
happen, a case reports itself by printing ``BREACHED``; what it found out, it prints, and canaries are looked for there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BREACHED = "BREACHED"
OK, TOOL_ERROR, INVALID = ("ok",), ("tool_error",), ("invalid_call",)
TIMEOUT, MEMORY, OUTPUT, KILLED, REFUSED = ("timeout",), ("memory",), ("output_limit",), ("killed",), ("refused",)
TIME_LIMIT_S = 0.5
PATIENCE_S = 15.0


@dataclass(frozen=True)
class Case:
    """A program and what has to become of it.

    Args:
        id: unique, within its class.
        klass: the kind of attack.
        code: Python. ``@CANARY_FILE@``, ``@CANARY_DIR@`` and ``@SERVER_PID@`` are replaced.
        expected: right statuses of it as the source of a tool.
        program: the same as a whole program, where that differs: an exit code is a program's to choose.
        session: the same as a cell.
        limit_s: its time limit.
        request: a whole request for ``POST /v1/execute`` in place of ``code``, made when it is needed.
    """

    id: str
    klass: str
    code: str
    expected: tuple[str, ...] = OK
    program: tuple[str, ...] | None = None
    session: tuple[str, ...] | None = None
    request: Callable[[], dict[str, Any]] | None = None
    limit_s: float = TIME_LIMIT_S

    @property
    def name(self) -> str:
        """Unique in the suite."""
        return f"{self.klass}/{self.id}"

    def seconds(self, lane: str) -> float:
        """Its time limit in a lane: where running into it would be wrong, there is time for a machine that is busy."""
        return self.limit_s if "timeout" in self.right(lane) else max(self.limit_s, PATIENCE_S)

    def right(self, lane: str) -> tuple[str, ...]:
        """Right statuses in a lane: ``source``, ``program`` or ``session``."""
        own = {"program": self.program, "session": self.session}.get(lane)
        return self.expected if own is None else own


@dataclass(frozen=True)
class Answer:
    """What a service said: its status in our words, what the program printed or returned, and all text of it."""

    status: str
    printed: str
    text: str


def attempt(*lines: str, then: str = "") -> str:
    """Code that tries something: it is a breach if no exception comes."""
    body = "\n".join(f"    {line}" for block in lines for line in block.splitlines())
    return f"{then}\ntry:\n{body}\n    print('BREACHED')\nexcept BaseException as e:\n    print('refused', type(e).__name__)"
