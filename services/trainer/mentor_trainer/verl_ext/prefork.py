"""One process imports what verl's processes import, and Ray's workers are forked from it: for a private Ray on the CPU.

verl runs eight processes on one machine, and each of them would import torch, transformers and verl for about seven seconds of
CPU: most of the time from the start of a run to its first step, and most of its memory. Ray starts a worker by a command
(``py_executable`` of the runtime environment); here by ``prefork_client.py``, which hands its arguments, environment and output
to this process and waits for the fork that takes its place. With a GPU nothing is forked: CUDA does not bear it.

Forked while one thread of Python's runs. Of native ones, what is imported starts the allocator's and OpenBLAS's, which both
prepare for forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from mentor_trainer.verl_ext import prefork_client

MODULES = (
    "torch",
    "tensordict",
    "datasets",
    "hydra",
    "peft",
    "accelerate",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "fastapi",
    "uvicorn",
    "aiohttp",
    "requests",
    "zmq",
    "grpc",
    "mentor.grading",
    "mentor.rewards",
    "mentor.rollout",
    "mentor_trainer.config",
)
"""What takes time to import. Not Ray, and so not verl: Ray's library reads its settings once, from the environment of a process
that is a worker already."""
_SOCKET = "prefork.sock"
_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 64
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Worker:
    """What a process that Ray wanted started is to be: ``arguments[0]`` is a Python file."""

    arguments: list[str]
    environment: dict[str, str]
    directory: str
    outputs: list[int] = field(default_factory=list)

    def become(self) -> None:
        """Take its place in this process, and run it to its end."""
        for number, descriptor in enumerate(self.outputs):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.directory)
        sys.argv[:] = self.arguments
        numpy.random.seed()  # forks would draw the same numbers; Python's own generator reseeds itself
        runpy.run_path(self.arguments[0], run_name="__main__")


def fork_workers(folder: Path) -> str | None:
    """Import everything, and leave a process behind that forks Ray's workers as long as this one lives.

    In the workers it does not return: the process ends with it.

    Returns:
        The command that Ray is to start its workers by; None where threads run that a fork would lose: Ray starts them itself.
    """
    for module in MODULES:
        importlib.import_module(module)
    if threading.active_count() > 1:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / _SOCKET))
    (folder / _SOCKET).chmod(0o600)
    listener.listen(_BACKLOG)
    gone, alive = os.pipe()
    gc.collect()
    gc.freeze()  # collections of the workers leave the shared pages alone
    if os.fork() == 0:
        os.close(alive)
        os.setsid()
        _Forking(listener, gone).run().become()
        sys.exit()
    listener.close()
    os.close(gone)  # ``alive`` stays open until this process is gone, however it goes
    return shlex.join([sys.executable, "-I", "-S", prefork_client.__file__, str(folder / _SOCKET)])


class _Forking:
    """The process that forks. Ends when the one that made it does; its workers end with Ray."""

    def __init__(self, listener: socket.socket, gone: int) -> None:
        self._listener, self._gone = listener, gone
        self._running: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, woken = socket.socketpair()
        for end in (self._wake, woken):
            end.setblocking(False)
        self._woken = woken
        self._previous = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for thing in (listener, gone, self._wake):
            self._selector.register(thing, selectors.EVENT_READ)

    def run(self) -> Worker:
        """Serve, and return in every fork what it is to become."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._gone:
                    os._exit(0)
                elif key.fileobj is self._wake:
                    self._reap()
                elif key.fileobj is self._listener:
                    if (worker := self._accept()) is not None:
                        return worker
                else:  # whoever asked was killed: what it asked for goes too
                    self._dropped(key.data)

    def _accept(self) -> Worker | None:
        asking, _ = self._listener.accept()
        user = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
        if user != os.geteuid():
            asking.close()
            return None
        asking.settimeout(_PATIENCE_S)
        try:
            received = prefork_client.receive(asking)
        except TimeoutError:
            received = None
        if received is None:
            asking.close()
            return None
        message, outputs = received
        pid = os.fork()
        if pid == 0:
            self._leave()
            asking.close()
            return Worker(**json.loads(message), outputs=outputs)
        for descriptor in outputs:
            os.close(descriptor)
        self._running[pid] = asking
        self._selector.register(asking, selectors.EVENT_READ, data=pid)
        return None

    def _leave(self) -> None:
        """What is the forking process's alone ends in a fork."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._previous)
        self._selector.close()
        for thing in (self._listener, self._wake, self._woken, *self._running.values()):
            thing.close()
        os.close(self._gone)

    def _reap(self) -> None:
        self._wake.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                asking = self._running.pop(pid, None)
                if asking is None:
                    continue
                self._selector.unregister(asking)
                with contextlib.suppress(OSError):
                    asking.sendall(prefork_client.STATUS.pack(os.waitstatus_to_exitcode(status)))
                asking.close()

    def _dropped(self, pid: int) -> None:
        self._selector.unregister(self._running.pop(pid))
        os.kill(pid, signal.SIGKILL)
