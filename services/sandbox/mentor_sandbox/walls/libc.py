"""Server, zygote and child. The few libc entry points that the walls need, with errors raised as OSError.

Arguments are plain integers (addresses included): a converted ctypes object costs a call more than the system call.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_fork = ctypes.PyDLL(None, use_errno=True).fork
_fork.argtypes = []
_fork.restype = ctypes.c_int
_syscall = _libc.syscall
_syscall.argtypes = [ctypes.c_long] * 7
_syscall.restype = ctypes.c_long
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def prctl(option: int, argument: int = 0, address: int = 0) -> None:
    """Call ``prctl``; unused arguments are 0, as the newer options demand."""
    if _prctl(option, argument, address, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def syscall(number: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """Call by number."""
    result = int(_syscall(number, a, b, c, d, e, f))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"syscall {number}: {os.strerror(ctypes.get_errno())}")
    return result


def fork() -> int:
    """Fork without what Python does around it, which costs as much as the fork itself: 0 in the child.

    Only for a process that has one thread and never had another: what Python would do is to forget the others, to renew their
    locks and to call the hooks that modules have registered. What of that matters to a child it has to do itself.
    """
    pid = int(_fork())
    if pid < 0:
        raise OSError(ctypes.get_errno(), f"fork: {os.strerror(ctypes.get_errno())}")
    return pid


class Buffer:
    """Bytes at a fixed address, for structures that the kernel reads."""

    def __init__(self, content: bytes) -> None:
        self.memory = ctypes.create_string_buffer(content, len(content))
        self.address = ctypes.addressof(self.memory)
        self.size = len(content)
