"""Zygote and child. Seccomp: system calls that no tool needs are refused.

Two filters. The zygote installs ``common`` once and every call inherits it, which costs the call nothing; each call
adds the short ``for_call``, which names its own process id and takes away what the zygote itself needs (new processes,
signals).

What a file is besides its content (mode, owner, times, attributes, flags) cannot be changed at all: Landlock does not
govern it, the kernel asks for the owner only, and where calls have no user id of their own they own the scratch of all
others, the directory above it, and whatever else the service's user owns.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Iterable
from functools import cache

from mentor_sandbox.walls.libc import PR_SET_SECCOMP, Buffer, prctl
from mentor_sandbox.walls.syscalls import DENIED, FCNTLS, IOCTLS, LAST_KNOWN, NUMBERS, ZYGOTE_ONLY

_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NR, _ARCH, _ARG0, _ARG1, _ARG2 = 0, 4, 16, 24, 32
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1
_AF_INET, _AF_INET6, _SOCK_STREAM, _SOCK_TYPE_MASK = 2, 10, 1, 0xF
_O_ACCMODE, _O_TRUNC = 0o3, 0o1000
_GOVERNS_TRUNCATION = 3
"""Landlock's version from which it governs truncation; before it, an owner can empty what it may only read."""
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT = 0x40000000
_MODE_FILTER = 2

PID = 0x7FFFFFF1
"""Stands for the process's own id in a program; no process has it."""

Instruction = tuple[int, int, int, int]


def state() -> str:
    """``on`` where the architecture is known and the kernel has seccomp filters."""
    if platform.machine() not in _ARCHES:
        return f"unavailable: no table of system calls for {platform.machine()}"
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        return "on" if "Seccomp:" in status.read() else "unavailable: the kernel has no seccomp"


def available() -> bool:
    """Whether the filters can be installed."""
    return state() == "on"


@cache
def _number(name: str) -> int | None:
    return NUMBERS[name][_ARCHES[platform.machine()][0]]


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _head() -> list[Instruction]:
    """Check the architecture, then load the number. Another architecture's calls would bypass the table."""
    arch = _ARCHES[platform.machine()][1]
    head: list[Instruction] = [
        (_LOAD_WORD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NR),
    ]
    return head


def _when(name: str, body: list[Instruction]) -> list[Instruction]:
    """Run ``body`` (which must return) if the call is ``name``."""
    number = _number(name)
    return [] if number is None else [(_JUMP_EQUAL, 0, len(body), number), *body]


def _only(place: int, allowed: Iterable[int], otherwise: int = errno.EPERM) -> list[Instruction]:
    """Allow if the argument at a place is one of ``allowed``, else refuse. Arguments that count have 32 bits."""
    checks: list[Instruction] = []
    for value in allowed:
        checks += [(_JUMP_EQUAL, 0, 1, value & 0xFFFFFFFF), (_RETURN, 0, 0, _ALLOW)]
    return [(_LOAD_WORD, 0, 0, place), *checks, _refuse(otherwise)]


def common(network: bool, landlock_version: int) -> list[Instruction]:
    """What neither a zygote nor a call ever needs. Sockets: none, or TCP only where ``network`` is set."""
    program = _head()
    if platform.machine() == "x86_64":
        program += [(_JUMP_GREATER, 0, 1, _X32_BIT - 1), _refuse(errno.EPERM)]
    program += [(_JUMP_GREATER, 0, 1, LAST_KNOWN), _refuse(errno.ENOSYS)]
    for name in DENIED:
        program += _when(name, [_refuse(errno.EPERM)])
    program += _when("socket", _tcp_only() if network else [_refuse(errno.EPERM)])
    # One of a pair of datagram sockets can be connected to any named socket of the machine (the system's log, say).
    program += _when("socketpair", _stream_only())
    program += _when("ioctl", _only(_ARG1, IOCTLS.values(), errno.ENOTTY))
    program += _when("fcntl", _only(_ARG1, FCNTLS.values()))
    if landlock_version < _GOVERNS_TRUNCATION:
        program += _no_truncation()
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _stream_only() -> list[Instruction]:
    return [
        (_LOAD_WORD, 0, 0, _ARG1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JUMP_EQUAL, 0, 1, _SOCK_STREAM),
        (_RETURN, 0, 0, _ALLOW),
        _refuse(errno.EPERM),
    ]


def _no_truncation() -> list[Instruction]:
    """No truncation but of what is open for writing, which Landlock has seen."""
    program = _when("truncate", [_refuse(errno.EPERM)])
    # Its flags lie behind a pointer; ENOSYS makes callers fall back to openat.
    program += _when("openat2", [_refuse(errno.ENOSYS)])
    for name, flags in (("open", _ARG1), ("openat", _ARG2)):
        body: list[Instruction] = [
            (_LOAD_WORD, 0, 0, flags),
            (_JUMP_SET, 1, 0, _O_TRUNC),
            (_RETURN, 0, 0, _ALLOW),
            (_AND, 0, 0, _O_ACCMODE),
            (_JUMP_EQUAL, 1, 0, os.O_RDONLY),
            (_RETURN, 0, 0, _ALLOW),
            _refuse(errno.EPERM),
        ]
        program += _when(name, body)
    return program


def _tcp_only() -> list[Instruction]:
    return [
        (_LOAD_WORD, 0, 0, _ARG0),
        (_JUMP_EQUAL, 2, 0, _AF_INET),
        (_JUMP_EQUAL, 1, 0, _AF_INET6),
        _refuse(errno.EPERM),
        (_LOAD_WORD, 0, 0, _ARG1),
        (_AND, 0, 0, _SOCK_TYPE_MASK),
        (_JUMP_EQUAL, 1, 0, _SOCK_STREAM),
        _refuse(errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def for_call(pid: int = PID) -> list[Instruction]:
    """What a call may not do: start processes (threads it may), touch other processes, change its own walls."""
    program = _head()
    for name in (*ZYGOTE_ONLY, "fork", "vfork", "setsid", "setpgid", "seccomp", "capset"):
        program += _when(name, [_refuse(errno.EPERM)])
    # clone3 hides its flags behind a pointer; ENOSYS makes libc fall back to clone.
    program += _when("clone3", [_refuse(errno.ENOSYS)])
    thread_only: list[Instruction] = [
        (_LOAD_WORD, 0, 0, _ARG0),
        (_JUMP_SET, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        _refuse(errno.EPERM),
    ]
    program += _when("clone", thread_only)
    for name in ("kill", "tgkill"):
        program += _when(name, _only(_ARG0, (pid,)))
    for name in ("prlimit64", "sched_setaffinity"):
        program += _when(name, _only(_ARG0, (0, pid)))
    pdeathsig: list[Instruction] = [
        (_LOAD_WORD, 0, 0, _ARG0),
        (_JUMP_EQUAL, 0, 1, _PR_SET_PDEATHSIG),
        _refuse(errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program += _when("prctl", pdeathsig)
    return [*program, (_RETURN, 0, 0, _ALLOW)]


class Filter:
    """A program in the form that the kernel takes, prepared once. ``pid`` stands where ``PID`` does in the program."""

    def __init__(self, program: list[Instruction]) -> None:
        code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
        self._code = Buffer(code)
        self._pids = [8 * n + 4 for n, instruction in enumerate(program) if instruction[3] == PID]
        self._holder = Buffer(struct.pack("HxxxxxxP", len(program), self._code.address))

    def install(self, pid: int = 0) -> None:
        """Put the filter on this process for good; no_new_privs must be set. Filters add up."""
        for place in self._pids:
            struct.pack_into("=I", self._code.memory, place, pid)
        prctl(PR_SET_SECCOMP, _MODE_FILTER, self._holder.address)


def install(program: list[Instruction]) -> None:
    """Put a filter on this process for good; no_new_privs must be set."""
    Filter(program).install()
