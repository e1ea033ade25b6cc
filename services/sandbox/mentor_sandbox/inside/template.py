"""Zygote, then child. What all children of a zygote have in common: made once, before any caller's code, used after the fork.

Roles are modules with a ``run(request, channel, config)``; they are imported here, so that a child imports nothing.
Standard library only.
"""

from __future__ import annotations

import importlib
import io
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from mentor_sandbox.walls import landlock, rlimits, seccomp

RESULT_FD = 3
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
