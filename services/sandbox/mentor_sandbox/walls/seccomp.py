"""seccomp: system calls that no tool needs are refused.

Two filters. The zygote installs ``common`` once and every call inherits it, which costs the call nothing; each call
adds the short ``for_call``, which names its own process id and takes away what the zygote itself needs (new processes,
signals).
"""

from __future__ import annotations

import errno
import platform
import struct
from functools import cache

from mentor_sandbox.walls.libc import PR_SET_SECCOMP, Buffer, prctl
from mentor_sandbox.walls.syscalls import DENIED, LAST_KNOWN, NUMBERS, ZYGOTE_ONLY

_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1
_AF_INET, _AF_INET6, _SOCK_STREAM, _SOCK_TYPE_MASK = 2, 10, 1, 0xF
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


def _unless_first_argument(allowed: tuple[int, ...]) -> list[Instruction]:
    """Allow if the first argument is one of ``allowed``, else refuse."""
    checks: list[Instruction] = []
    for value in allowed:
        checks += [(_JUMP_EQUAL, 0, 1, value & 0xFFFFFFFF), (_RETURN, 0, 0, _ALLOW)]
    return [(_LOAD_WORD, 0, 0, _ARG0), *checks, _refuse(errno.EPERM)]


def common(network: bool) -> list[Instruction]:
    """What neither a zygote nor a call ever needs. Sockets: none, or TCP only where ``network`` is set."""
    program = _head()
    if platform.machine() == "x86_64":
        program += [(_JUMP_GREATER, 0, 1, _X32_BIT - 1), _refuse(errno.EPERM)]
    program += [(_JUMP_GREATER, 0, 1, LAST_KNOWN), _refuse(errno.ENOSYS)]
    for name in DENIED:
        program += _when(name, [_refuse(errno.EPERM)])
    program += _when("socket", _tcp_only() if network else [_refuse(errno.EPERM)])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


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
        program += _when(name, _unless_first_argument((pid,)))
    for name in ("prlimit64", "sched_setaffinity"):
        program += _when(name, _unless_first_argument((0, pid)))
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
