"""Server. A call before it runs and a result after: plain data between the transports and the engine."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from mentor.errors import UserError


class Status(StrEnum):
    """How a call ended; see ``CallStatus`` in sandbox.proto."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    INVALID_CALL = "invalid_call"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    INFRASTRUCTURE = "infrastructure"


Answer = tuple[Status, "str | None", str, str]
"""What a child's end amounts to: status, value as JSON, class of the error, its message."""


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; real-time signals have no names of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as a client asked for it: exactly one of a registered tool (its name or its id), a function of source,
    an expression.
    """

    tool: str | None = None
    source: str | None = None
    function: str | None = None
    expression: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        forms = (self.tool is not None, self.function is not None, self.expression is not None)
        if sum(forms) != 1:
            raise UserError("give exactly one of tool, function (with source) and expression (with env)", field="call")
        if self.function is not None and self.source is None:
            raise UserError("a function needs the source that defines it", field="source")

    @property
    def lane(self) -> Literal["registered", "untrusted"]:
        """Registered tools run code that the operator chose; everything else came with the request."""
        return "registered" if self.tool is not None else "untrusted"

    @property
    def label(self) -> str:
        """Metric label: names come from the registry only, so that clients cannot make new series."""
        return self.tool or ("expression" if self.expression is not None else "function")


@dataclass(frozen=True, slots=True)
class CallResult:
    """``value_json`` is set exactly when ``status`` is ``ok``: None is ``"null"``, no result is None."""

    status: Status
    value_json: str | None = None
    stdout: str = ""
    stderr: str = ""
    error_type: str = ""
    error_message: str = ""
    duration_ms: float = 0.0
    truncated: bool = False
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    peak_memory_bytes: int = 0
    """Peak resident memory of the process that ran it, the warm interpreter included; 0 if none did. A warm worker's is
    the highest of all calls it has run."""

    @property
    def error(self) -> str | None:
        """One line, or None if the call succeeded: ``ZeroDivisionError: division by zero``."""
        if self.status is Status.OK:
            return None
        return f"{self.error_type}: {self.error_message}" if self.error_message else self.error_type or self.status
