"""Server. What the end of a child amounts to, for its caller: calls, programs, cells and workers alike.

The server's own findings come first (limits, signals, exit codes), and only then what the child says of itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, TypeVar

from mentor_sandbox.results import Answer, CallResult, Status, signal_name
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise.from_inside import answer_of
from mentor_sandbox.supervise.processes.execution import Outcome
from mentor_sandbox.supervise.processes.outputs import Printed
from mentor_sandbox.supervise.processes.zygote import Exit

R = TypeVar("R", bound=CallResult)
FORGED = "ForgedResult"


def verdict(outcome: Outcome, nonce: int, settings: SandboxSettings) -> CallResult:
    """What a call's end amounts to; its duration is not known here."""
    answer = flooded(_of_call(outcome, nonce), outcome.printed, settings, "the call")
    return result(CallResult, answer, outcome.printed, peak_memory_bytes=outcome.end.peak_kib * 1024)


def _of_call(outcome: Outcome, nonce: int) -> Answer:
    end = outcome.end
    if outcome.limit is not None:
        return outcome.limit
    if (spent := cpu_spent(end, "the call")) is not None:
        return spent
    if end.signal is not None or end.code != 0 or not outcome.said:
        return ended(end, "the process", " before the call returned")
    return answer_of(outcome.said, nonce) or forged("the call wrote to the result channel")


def result(make: Callable[..., R], answer: Answer, printed: Printed, **more: Any) -> R:
    """A result of any kind of work, with what was printed; ``more`` are fields that others lack."""
    status, value, kind, message = answer
    return make(status=status, value_json=value, error_type=kind, error_message=message, **printed.fields(), **more)


def cpu_spent(end: Exit, what: str) -> Answer | None:
    """The kernel ended it for its CPU time; None if it did not."""
    if end.signal != signal.SIGXCPU:
        return None
    return Status.TIMEOUT, None, "CpuTimeout", f"{what} used up its CPU time"


def ended(end: Exit, what: str, when: str = "") -> Answer:
    """It ended, by a signal or of itself, and left no answer."""
    if end.signal is not None:
        name = signal_name(end.signal)
        return Status.KILLED, None, name, f"{what} was ended by {name}"
    return Status.KILLED, None, "Exited", f"{what} exited with code {end.code}{when}"


def forged(message: str) -> Answer:
    """It said what no well-behaved child says."""
    return Status.KILLED, None, FORGED, message


def flooded(answer: Answer, printed: Printed, settings: SandboxSettings, what: str) -> Answer:
    """An exception after as much output as may be is that limit's: what could not be written made it."""
    if answer[0] is not Status.TOOL_ERROR or printed.most < settings.file_mb * MIB:
        return answer
    return Status.OUTPUT_LIMIT, None, "OutputLimit", f"{what} printed more than {settings.file_mb} MiB"
