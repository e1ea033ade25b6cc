"""A zygote's fork: walls first, then the request, then the role that the request names. Standard library only.

What a child prints goes to memory files of the server, so that nothing is lost when it is killed. Roles are modules
with a ``run(request, channel, config)``; they are imported in the zygote, so that a child imports nothing.
"""

from __future__ import annotations

import _random
import gc
import importlib
import io
import marshal
import os
import random
import socket
import sys
import threading
from collections.abc import Callable

# By name: what a child looks up in a module for the first time writes to pages that it then has to copy.
from os import _exit, chdir, closerange, dup2, getpid, getppid, setsid, umask
from time import monotonic
from typing import Any, NoReturn

from mentor_sandbox.walls import landlock, privileges, rlimits, seccomp
from mentor_sandbox.walls.libc import PR_SET_PDEATHSIG, prctl
from mentor_sandbox.wire.said import BEGUN, FRAME, frame

EXIT_BROKEN = 70
_SIGKILL = 9
_main_thread: Any = threading.main_thread()
_generator: Any = vars(random)["_inst"]
_seed = _random.Random.seed
RESULT_FD = 3
_LAST_FD = 65536
_ROLE_MODULES = ("call", "worker", "program", "session")

Role = Callable[[dict[str, Any], socket.socket, dict[str, Any]], None]


class Template:
    """What every child of a zygote has in common, prepared once."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.readable = landlock.Readable(config["readable"], config["devices"])
        self.base_memory = rlimits.base_memory()
        self.filter = seccomp.Filter(seccomp.for_call()) if config["seccomp"] else None
        self.channel = _channel()
        _occupy_low_descriptors()
        # The zygote's own output goes the same way, so that no child has to take the streams, or to give others up.
        sys.stdout = vars(sys)["__stdout__"] = _stream(1)
        sys.stderr = vars(sys)["__stderr__"] = _stream(2)
        rlimits.apply_common(file_bytes=config["file_bytes"])
        self.limits = rlimits.Limits()
        self.roles: dict[str, Role] = {
            name: importlib.import_module(f"mentor_sandbox.inside.{name}").run for name in _ROLE_MODULES
        }


def _channel() -> socket.socket:
    """The object of a child's channel, on a placeholder: it is a socket's number that the child fills."""
    placeholder, other = socket.socketpair()
    with placeholder, other:
        os.dup2(placeholder.fileno(), RESULT_FD)
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, RESULT_FD)


def _occupy_low_descriptors() -> None:
    """So that what a zygote receives never has a number that a child gives to something else."""
    while (descriptor := os.open("/dev/null", os.O_RDONLY)) < landlock.FIRST_DESCRIPTOR:
        continue
    os.close(descriptor)


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Unbuffered text output: what was printed before a kill is not lost."""
    raw: Any = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def run(parent: int, descriptors: list[int], template: Template, uid: int) -> NoReturn:
    """Be the child whose socket, stdout and stderr (and what a role needs more) are ``descriptors``.

    Args:
        uid: user and group id to take; -1 keeps the zygote's.
    """
    if uid >= 0:
        privileges.become(uid)
    prctl(PR_SET_PDEATHSIG, _SIGKILL)
    if getppid() != parent:
        _exit(EXIT_BROKEN)
    setsid()
    umask(0o077)
    _place(descriptors)
    channel = template.channel
    request: dict[str, Any] = marshal.loads(read_frame(channel))
    _raise_walls(request, template, RESULT_FD + len(descriptors) - 2)
    # What Python does after a fork of its own: every child starts from the same states of the generators.
    _main_thread._native_id = getpid()
    _seed(_generator)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(int.from_bytes(os.urandom(4), "little"))
    gc.enable()
    template.roles[request["role"]](request, channel, template.config)
    _exit(0)


def begun(channel: socket.socket) -> None:
    """Tell the server that the walls stand: the clock of a call starts here."""
    channel.sendall(frame(BEGUN.pack(monotonic())))


def read_frame(channel: socket.socket) -> bytes:
    """One frame of the server; the process ends if there is none."""
    (length,) = FRAME.unpack(_exactly(channel, FRAME.size))
    return _exactly(channel, length)


def _place(descriptors: list[int]) -> None:
    """The socket and what follows at fixed places, output to the server's files. Input is nowhere, as the zygote's."""
    dup2(descriptors[0], RESULT_FD)
    dup2(descriptors[1], 1)
    dup2(descriptors[2], 2)
    for place, descriptor in enumerate(descriptors[3:], RESULT_FD + 1):
        dup2(descriptor, place)


def _raise_walls(request: dict[str, Any], template: Template, first_closed: int) -> None:
    config = template.config
    chdir(request["scratch"])
    template.readable.restrict(request["scratch"], request["ports"])
    closerange(first_closed, _LAST_FD)
    template.limits.apply(
        cpu_s=request["cpu_s"],
        memory_bytes=template.base_memory + request["memory_bytes"],
        open_files=config["open_files"],
        processes=config["processes"] if template.filter else 0,
    )
    if template.filter is not None:
        template.filter.install(getpid())
    for name, value in request["environment"].items():
        os.environ[name] = value


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = channel.recv(size)
    if len(data) == size:
        return data
    parts = bytearray(data)
    while len(parts) < size:
        data = channel.recv(min(size - len(parts), 1 << 20))
        if not data:
            _exit(EXIT_BROKEN)
        parts += data
    return bytes(parts)
