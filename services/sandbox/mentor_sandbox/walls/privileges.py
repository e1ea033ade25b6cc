"""Nothing to gain and nothing kept: no_new_privs, and every capability dropped (a root in a container has some)."""

from __future__ import annotations

import ctypes
import platform

from mentor_sandbox.walls.libc import PR_SET_NO_NEW_PRIVS, prctl, syscall
from mentor_sandbox.walls.syscalls import NUMBERS

_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def drop() -> None:
    """Give up all capabilities of this process, and any way to new ones."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = _Header(_VERSION_3, 0)
    data = (_Data * 2)()
    number = NUMBERS["capset"][0 if platform.machine() == "x86_64" else 1]
    assert number is not None
    syscall(number, ctypes.cast(ctypes.byref(header), ctypes.c_void_p), ctypes.cast(data, ctypes.c_void_p))
