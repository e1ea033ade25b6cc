"""Walls around a process in which a model's output is decoded, checked or executed.

The package evaluates what a model wrote. First every call is vetted (``vetting``); what still gets through meets an audit hook
that refuses and notes whatever reaches for files, processes or sockets, limits on memory, CPU and file size, an empty
environment, no network where the kernel allows that, and at last the deadline at which the whole process is killed.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MEMORY_BYTES = 2 << 30
FILE_BYTES = 16 << 20
CPU_SECONDS = 120
_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_NO_NEW_PRIVS = 0x10000000, 0x40000000, 38
_REFUSED = (
    "os.",
    "shutil.",
    "subprocess.",
    "ctypes.",
    "pty.",
    "signal.",
    "tempfile.",
    "fcntl.",
    "mmap.",
    "socket.",
    "sys.set",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """An audit hook, armed while a model's output is evaluated. ``seen`` names what it last refused."""

    def __init__(self) -> None:
        self.seen: str | None = None
        self._armed = self._network = False
        sys.addaudithook(self._audit)

    @contextmanager
    def armed(self, *, network: bool = False) -> Iterator[None]:
        """Refuse until the block ends. ``network``: public addresses may be connected to."""
        self._armed, self._network = True, network
        try:
            yield
        finally:
            self._armed = False

    def _audit(self, event: str, args: tuple[object, ...]) -> None:
        if not self._armed or not self._refuses(event, args):
            return
        self._armed, self.seen = False, event  # disarmed, so that telling of it cannot recurse
        try:
            raise PermissionError(f"{event} is not allowed here")
        finally:
            self._armed = True

    def _refuses(self, event: str, args: tuple[object, ...]) -> bool:
        if event == "open":
            return isinstance(args[2], int) and bool(args[2] & _WRITING)
        if not event.startswith(_REFUSED):
            return False
        if self._network and event.startswith("socket."):
            return event == "socket.connect" and not _public(args[1])
        return True


def _public(address: object) -> bool:
    """Whether an address to connect to lies outside: not this machine, not its neighbours, not a Unix socket."""
    try:
        return ipaddress.ip_address(str(address[0])).is_global  # type: ignore[index]
    except (ValueError, TypeError, IndexError):
        return False


def confine(*, address_space: int | None = MEMORY_BYTES) -> None:
    """Limit this process for good. ``address_space`` in bytes; None where a library maps more than it uses."""
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
    ]
    if address_space is not None:
        limits.append((resource.RLIMIT_AS, address_space))
    for kind, value in limits:
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def leave_network() -> bool:
    """Move this process and what it forks into a network namespace with nothing in it; False where the kernel refuses."""
    libc = ctypes.CDLL(None)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))
