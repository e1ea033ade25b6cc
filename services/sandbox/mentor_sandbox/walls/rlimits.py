"""Resource limits of one call."""

from __future__ import annotations

import math
import resource

SPARE_CPU_S = 1
"""The wall clock is the limit that counts; the CPU limit only catches what the server could not kill."""


def state() -> str:
    """Always available on Linux."""
    return "on"


def base_memory() -> int:
    """Bytes of address space that this process already has."""
    with open("/proc/self/statm", encoding="utf-8") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def apply_common(*, file_bytes: int) -> None:
    """Set, in a zygote, what all its children have in common.

    Args:
        file_bytes: largest file that can be written.
    """
    _set(resource.RLIMIT_FSIZE, file_bytes)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_MEMLOCK, 0)


def apply(*, cpu_s: float | None, memory_bytes: int, open_files: int, processes: int) -> None:
    """Set the limits of this process.

    Args:
        cpu_s: seconds of CPU; None leaves it (a worker runs many calls; the server keeps each one's time).
        memory_bytes: address space in total, what the warm process already has included.
        processes: of this user id, threads included. The kernel exempts root; seccomp refuses processes to everyone.
    """
    if cpu_s is not None:
        _set(resource.RLIMIT_CPU, math.ceil(cpu_s) + SPARE_CPU_S)
    _set(resource.RLIMIT_AS, memory_bytes)
    _set(resource.RLIMIT_NOFILE, open_files)
    _set(resource.RLIMIT_NPROC, processes)


def _set(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and hard < value:
        value = hard
    resource.setrlimit(kind, (value, value))
