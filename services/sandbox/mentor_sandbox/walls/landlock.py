"""Zygote and child. Landlock: a call reads the interpreter and its packages, writes its scratch directory, and no other file.

It also confines signals and abstract sockets to the call itself (ABI 6) and TCP to named ports (ABI 4).
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from os import close
from os import open as open_
from struct import pack

from mentor_sandbox.walls.libc import Buffer, syscall

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
_PATH = os.O_PATH | os.O_CLOEXEC


def abi() -> int:
    """The kernel's Landlock version; 0 where it has none or it is switched off."""
    try:
        return syscall(_CREATE, 0, 0, _VERSION_FLAG)
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
    """Paths that every child may read, opened once in the zygote. A path that does not exist is left out.

    All that can be prepared is prepared here: a child only makes system calls.
    """

    def __init__(self, paths: Iterable[str], devices: Sequence[str] = ()) -> None:
        self._version = abi()
        self._handled = _ALL_BY_ABI.get(self._version, (1 << 16) - 1)
        self._attributes = Buffer(self._packed())
        self._rules: list[Buffer] = []
        self._addresses: list[int] = []
        if not self._version:
            return
        for path in _outermost(paths):
            self._prepare(path, _READ)
        for path in devices:
            self._prepare(path, _READ_FILE | _WRITE_FILE)
        self._addresses = [rule.address for rule in self._rules]

    def _packed(self) -> bytes:
        attributes = struct.pack("=Q", self._handled)
        if self._version >= 4:
            attributes += struct.pack("=Q", _ALL_TCP)
        if self._version >= 6:
            attributes += struct.pack("=Q", _ALL_SCOPES)
        return attributes

    def _prepare(self, path: str, rights: int) -> None:
        try:
            low = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        descriptor = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
        os.close(low)
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _READ_FILE | _WRITE_FILE
        self._rules.append(_path_rule(descriptor, rights & self._handled))

    def restrict(self, scratch: str, ports: Sequence[int] = ()) -> None:
        """Confine this process for good. Does nothing on a kernel without Landlock; ``state`` says so."""
        if not self._version:
            return
        syscall(_RESTRICT_SELF, self.ruleset(scratch, ports))

    def ruleset(self, scratch: str, ports: Sequence[int] = ()) -> int:
        """A descriptor of the rules for a child with that scratch directory."""
        ruleset = syscall(_CREATE, self._attributes.address, self._attributes.size)
        for rule in self._addresses:
            syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule)
        descriptor = open_(scratch, _PATH)
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _path_rule(descriptor, _SCRATCH & self._handled).address)
        close(descriptor)
        if self._version >= 4:
            for port in ports:
                syscall(_ADD_RULE, ruleset, _NET_PORT, Buffer(pack("=QQ", _CONNECT_TCP, port)).address)
        return ruleset


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without what lies below another of them: fewer rules cost every child less."""
    real = sorted({os.path.realpath(path) for path in paths})
    kept: list[str] = []
    for path in real:
        if not any(path.startswith(other.rstrip("/") + "/") for other in kept):
            kept.append(path)
    return kept


def _path_rule(descriptor: int, rights: int) -> Buffer:
    return Buffer(pack("=Qi", rights, descriptor))
