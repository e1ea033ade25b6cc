"""Zygote. What the kernel tells a zygote about its children. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def used_ms(pid: int) -> float:
    """Milliseconds of CPU that a process's first thread has used; 0 if it is gone or the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[0]) / 1e6
    except (OSError, IndexError):
        return 0.0


def is_stopped(pid: int) -> bool:
    """Whether a child is stopped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2][:1] == b"T"
    except OSError:
        return False


def threads(pid: int) -> list[int]:
    """A process's threads; none if it is gone."""
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def children() -> list[int]:
    """Pids of this process's children."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="utf-8") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return []


def kill_group(pid: int) -> None:
    """SIGKILL to a process and to its group (which it may not have made yet)."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGKILL)
