"""Child. A zygote's fork: walls first, then the request, then the role that the request names. Standard library only.

What a child prints goes to memory files of the server, so that nothing is lost when it is killed. Roles are modules
with a ``run(request, channel, config)``; they are imported in the zygote, so that a child imports nothing.
"""

from __future__ import annotations

import _random
import gc
import marshal
import os
import random
import socket
import sys
import threading

# By name: what a child looks up in a module for the first time writes to pages that it then has to copy.
from os import _exit, chdir, closerange, dup2, getpid, getppid, setsid, umask
from time import monotonic
from typing import Any, NoReturn

from mentor_sandbox.inside.template import RESULT_FD, Template
from mentor_sandbox.walls import privileges
from mentor_sandbox.walls.libc import PR_SET_PDEATHSIG, prctl
from mentor_sandbox.wire.frames import BEGUN, FRAME, frame

EXIT_BROKEN = 70
_SIGKILL = 9
_main_thread: Any = threading.main_thread()
_generator: Any = vars(random)["_inst"]
_seed = _random.Random.seed
_LAST_FD = 65536


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
