"""Zygote and child. Resource limits of one call."""

from __future__ import annotations

import math
import resource
import sys

_setrlimit = resource.setrlimit
_CPU, _AS, _NOFILE, _NPROC = resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC
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


class Limits:
    """Sets the limits of a child. What the zygote may give at most is asked once, there."""

    def __init__(self) -> None:
        hard = (resource.getrlimit(kind)[1] for kind in (_CPU, _AS, _NOFILE, _NPROC))
        self._most = tuple(sys.maxsize if most == resource.RLIM_INFINITY else most for most in hard)

    def apply(self, *, cpu_s: float | None, memory_bytes: int, open_files: int, processes: int) -> None:
        """Set the limits of this process.

        Args:
            cpu_s: seconds of CPU; None leaves it (a worker runs many calls; the server keeps each one's time).
            memory_bytes: address space in total, what the warm process already has included.
            processes: of this user id, threads included. The kernel exempts root; seccomp refuses processes to everyone.
        """
        cpu, memory, files, most = self._most
        if cpu_s is not None:
            cpu = min(cpu, math.ceil(cpu_s) + SPARE_CPU_S)
            _setrlimit(_CPU, (cpu, cpu))
        memory = min(memory, memory_bytes)
        _setrlimit(_AS, (memory, memory))
        files = min(files, open_files)
        _setrlimit(_NOFILE, (files, files))
        most = min(most, processes)
        _setrlimit(_NPROC, (most, most))


def _set(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and hard < value:
        value = hard
    resource.setrlimit(kind, (value, value))
