"""Find and kill every process of a job's attempt, whatever sessions, groups and daemons it has made.

Two nets: descendants (found through a subreaper, see ``guardian``), and the environment variable ``MENTOR_ATTEMPT`` that
every descendant inherits, which finds what escaped when the guardian itself was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable

import psutil

ATTEMPT_VARIABLE = "MENTOR_ATTEMPT"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def attempt_mark(job_id: str, fence: int) -> str:
    """Value of ``MENTOR_ATTEMPT`` for one attempt."""
    return f"{job_id}:{fence}"


def become_subreaper() -> None:
    """Orphaned descendants become children of this process instead of init's, so none gets out of sight."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies. To be called between fork and exec."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def marked(job_id: str, last_fence: int | None = None) -> list[psutil.Process]:
    """Processes of attempts at a job, on this machine, except this one and its ancestors.

    Args:
        last_fence: attempts up to this fencing number: a later one is nobody's to kill but its own worker's.
    """
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get(ATTEMPT_VARIABLE, "") if process.pid not in own else ""
            of, _, fence = mark.rpartition(":")
            if of == job_id and (last_fence is None or int(fence) <= last_fence):
                found.append(process)
    return found


def carrying(variable: str, value: str) -> list[psutil.Process]:
    """Living processes of this machine whose environment has that value, except this one and its ancestors."""
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marked = process.pid not in own and process.environ().get(variable) == value
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def descendants() -> list[psutil.Process]:
    """All living descendants of this process."""
    with contextlib.suppress(psutil.Error):
        return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return []


def kill_until_gone(find: Callable[[], list[psutil.Process]]) -> int:
    """Kill what ``find`` finds until it finds nothing; returns how many processes were killed.

    Looks again after each round, because what is being killed may still be forking.
    """
    killed: set[int] = set()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        alive = find()
        if not alive:
            break
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
                killed.add(process.pid)
        psutil.wait_procs(alive, timeout=0.5)
    return len(killed)
