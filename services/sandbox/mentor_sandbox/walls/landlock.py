"""Landlock: a call reads the interpreter and its packages, writes its scratch directory, and sees no other file.

It also confines signals and abstract sockets to the call itself (ABI 6) and TCP to named ports (ABI 4).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import struct
from collections.abc import Iterable, Sequence

from mentor_sandbox.walls.libc import syscall

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_READ = _READ_FILE | _READ_DIR
# Write, read, list, remove directories and files, make directories, regular files, fifos and links; truncate.
_SCRATCH = _READ | _WRITE_FILE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 14
_ALL_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
FIRST_DESCRIPTOR = 16
"""The zygote's own descriptors lie from here on, clear of those that a call puts in fixed places."""
_CONNECT_TCP, _ALL_TCP = 1 << 1, 0b11
_ALL_SCOPES = 0b11


def abi() -> int:
    """The kernel's Landlock version; 0 where it has none or it is switched off."""
    try:
        return syscall(_CREATE, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def state() -> str:
    """``on`` with what it covers, or ``unavailable``."""
    version = abi()
    if version == 0:
        return "unavailable: the kernel offers no Landlock"
    missing = [name for name, since in (("tcp", 4), ("signals", 6)) if version < since]
    return f"on (ABI {version}{', without ' + ' and '.join(missing) if missing else ''})"


class Readable:
    """Paths that every call may read, opened once in the zygote. A path that does not exist is left out."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._version = abi()
        self._rules: list[tuple[int, int]] = []
        for path in paths if self._version else ():
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            low, descriptor = descriptor, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
            os.close(low)
            directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            self._rules.append((descriptor, _READ if directory else _READ_FILE))

    def restrict(self, scratch: str, writable: Sequence[str] = (), ports: Sequence[int] = ()) -> None:
        """Confine this process for good. Does nothing on a kernel without Landlock; ``state`` says so."""
        if not self._version:
            return
        handled = _ALL_BY_ABI.get(self._version, (1 << 16) - 1)
        ruleset = self._create(handled)
        for descriptor, rights in self._rules:
            _allow_path(ruleset, descriptor, rights & handled)
        for path, rights in ((scratch, _SCRATCH), *((p, _READ_FILE | _WRITE_FILE) for p in writable)):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            _allow_path(ruleset, descriptor, rights & handled)
        if self._version >= 4:
            for port in ports:
                _add(ruleset, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port))
        syscall(_RESTRICT_SELF, ruleset, 0)

    def _create(self, handled: int) -> int:
        attributes = struct.pack("=Q", handled)
        if self._version >= 4:
            attributes += struct.pack("=Q", _ALL_TCP)
        if self._version >= 6:
            attributes += struct.pack("=Q", _ALL_SCOPES)
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        return syscall(_CREATE, ctypes.cast(buffer, ctypes.c_void_p), len(attributes), 0)


def _allow_path(ruleset: int, descriptor: int, rights: int) -> None:
    _add(ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor))


def _add(ruleset: int, kind: int, attributes: bytes) -> None:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    syscall(_ADD_RULE, ruleset, kind, ctypes.cast(buffer, ctypes.c_void_p), 0)
