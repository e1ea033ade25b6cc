"""What went wrong with a run, as one line, from the tail of its output."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

from mentor.errors import InfrastructureError, MentorError, UserError
from mentor_trainer.output import end_of

_TAIL_BYTES = 200_000
_PREFIX = re.compile(r"^\([A-Za-z_:0-9]+ pid=\d+[^)]*\)\s*")
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?(?P<name>[A-Z]\w*(?:Error|Exception|Interrupt|Exit))(?:: (?P<text>.*))?$"
)
_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|MemoryError|Cannot allocate memory|DefaultCPUAllocator: can't", re.I
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded", re.I)
_NODE = re.compile(
    r"ActorDiedError|ActorUnavailableError|NodeDiedError|WorkerCrashedError|gloo.*by peer|failed \(exitcode: -9\)", re.I
)
"""How Ray, gloo and torchrun say that they lost a process, or the node that it ran on."""
_SLOW = re.compile(r"The current node timed out during startup")
"""How Ray says that this machine was too busy for it to start."""
_FULL_BYTES = 1 << 20
"""Less than that is left: nothing more can be written, a log's last words neither."""
_LOST = re.compile(r"(?:InfrastructureError: )((?:step \d+|a process of the run was lost): .*)")


def tail(log: Path) -> str:
    """The last part of a log, colours and Ray's prefixes removed."""
    return "\n".join(_PREFIX.sub("", line) for line in end_of(log, _TAIL_BYTES).splitlines())


def explain(log: Path, code: int) -> MentorError:
    """The error to raise for a run that ended with ``code``. What another attempt may mend is infrastructure."""
    text = tail(log)
    if lost := _last(_LOST, text):
        return InfrastructureError(lost)
    if line := _line_of(_MEMORY, text):
        allowed = "a smaller micro_batch_size, max_tokens_per_gpu or max_response_length"
        return UserError(f"out of memory: {line}", field="micro_batch_size", allowed=allowed)
    if line := _line_of(_DISK, text) or _filled(log.parent):
        return UserError(f"the disk is full: {line}", field="output_dir", allowed="a folder with free space")
    if line := _line_of(_SLOW, text):
        return InfrastructureError(f"Ray did not start in time, perhaps because the machine is overloaded: {line}")
    if (line := _line_of(_NODE, text)) and "creation task" not in text:  # an actor that never came up is our own fault
        return InfrastructureError(f"a node or process of the run was lost: {line}")
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return InfrastructureError("the training process was killed, perhaps for want of memory")
    if code < 0:
        return InfrastructureError(f"the training process was ended by {signal.Signals(-code).name}")
    return MentorError(f"training failed: {_exception(text) or f'exit code {code}'} (log: {log})")


def _filled(folder: Path) -> str | None:
    """That a folder has no room left; of one that is gone nothing is known."""
    left = shutil.disk_usage(folder).free if folder.is_dir() else _FULL_BYTES
    return f"{folder} has {left >> 10} KiB left" if left < _FULL_BYTES else None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.findall(text)
    return str(found[-1]).strip() if found else None


def _line_of(pattern: re.Pattern[str], text: str) -> str | None:
    """The last line in which the pattern occurs."""
    lines = [line.strip() for line in text.splitlines() if pattern.search(line)]
    return lines[-1][:300] if lines else None


def _exception(text: str) -> str | None:
    """The innermost exception: of Python's chained reports the first is the cause."""
    found = [m for line in text.splitlines() if (m := _EXCEPTION.match(line.strip()))]
    if not found:
        return None
    # Ray repeats the worker's exception as RayTaskError; the plain one says more.
    plain = [m for m in found if not m["name"].startswith(("RayTask", "RayActor", "KeyboardInterrupt"))] or found
    return plain[-1].group(0)[:300]
