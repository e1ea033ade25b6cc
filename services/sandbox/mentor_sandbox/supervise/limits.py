"""Server. What one child may use, and what callers may ask for: calls, programs and sessions alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from mentor.errors import UserError
from mentor_sandbox.results import Answer, Status
from mentor_sandbox.settings import MIB, SandboxSettings

_SAID_BEYOND_RESULT = 262144


@dataclass(frozen=True)
class Limits:
    """What one child may use. ``timeout_s`` None: no deadline (a worker's or a session's process)."""

    timeout_s: float | None
    memory_bytes: int
    scratch_bytes: int
    said_bytes: int
    """Most that is kept of what it says on its channel."""
    ports: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: SandboxSettings, timeout_s: float | None, memory_mb: int | None = None) -> Self:
        """The service's own limits, with the memory that was asked for if any was; more than it gives at most is cut."""
        megabytes = settings.memory_mb if memory_mb is None else min(memory_mb, settings.max_memory_mb)
        return cls(
            timeout_s, megabytes * MIB, settings.scratch_mb * MIB, settings.result_mb * MIB + _SAID_BEYOND_RESULT
        )

    def reaching(self, port: int, environment: dict[str, str]) -> Self:
        """The same, and the one port that may be connected to."""
        return replace(self, ports=(port,), environment=environment)


def checked_timeout(wanted: float | None, settings: SandboxSettings, default: float | None = None) -> float:
    """A time limit that the service allows; ``default`` (None: the service's own) if none is asked for.

    Raises:
        UserError: it is not between 0 and the service's own.
    """
    usual = settings.default_timeout_s if default is None else default
    return _within("a time limit", usual if wanted is None else wanted, settings.max_timeout_s, "timeout")


def checked_idle(wanted: float | None, settings: SandboxSettings) -> float:
    """How long a session may lie unused.

    Raises:
        UserError: it is not between 0 and the service's own.
    """
    most = settings.session_idle_s
    return _within("an idle time", most if wanted is None else wanted, most, "idle_timeout_s")


def _within(what: str, wanted: float, most: float, field_name: str) -> float:
    if not 0 < wanted <= most:
        message = f"{what} lies between 0 and {most:g} s, got {wanted:g}"
        raise UserError(message, field=field_name, allowed=f"0 to {most:g}")
    return wanted


def late(timeout_s: float) -> Answer:
    """A call was too slow."""
    return Status.TIMEOUT, None, "Timeout", f"the call exceeded its time limit of {timeout_s:g} s"


def overfull(scratch_bytes: int, what: str = "the call") -> Answer:
    """It filled its directory."""
    message = f"{what} wrote more than {scratch_bytes // MIB} MiB of files"
    return Status.OUTPUT_LIMIT, None, "ScratchLimit", message
