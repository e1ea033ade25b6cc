"""``python -m mentor_evaluator.bfcl.child.zygote FD``: a process that has imported and read everything, and forks others.

Forking takes milliseconds where importing takes a second, so that every sample can have a process of its own. Commands come
over a socket, one packet each: ``spawn TOKEN`` (with the new process's end of a socket), ``kill TOKEN``, ``load CATEGORY``,
``import MODULE``. It evaluates nothing that a model wrote. When its socket closes, everything that it forked is killed.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from mentor_evaluator.bfcl.categories import category_of, is_multi_step
from mentor_evaluator.bfcl.child.official import preload, preload_simulators, prepare
from mentor_evaluator.bfcl.child.serving import load_checked, load_shown, serve
from mentor_evaluator.bfcl.child.simulation import known_methods
from mentor_evaluator.bfcl.child.walls import leave_network

_PR_SET_PDEATHSIG = 1


class Zygote:
    """Forks, kills and reaps."""

    def __init__(self, control: socket.socket, root: Path) -> None:
        self._control, self._root = control, root
        self._pids: dict[str, int] = {}
        self._wakeup, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def run(self) -> None:
        """Obey until the other side is gone."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wakeup], [], [])
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                break
        for token in list(self._pids):
            self._kill(token)

    def _obey(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, 4096, 1)
        if not message:
            return False
        command, _, argument = message.decode().partition(" ")
        if command == "spawn":
            self._spawn(argument, fds[0])
        elif command == "kill":
            self._kill(argument)
        else:
            self._load(command, argument)
        return True

    def _load(self, command: str, argument: str) -> None:
        if command == "import":
            import_module(argument)
        elif command == "shown":
            load_shown(argument)
        else:
            load_checked(argument)
        if is_multi_step(category_of(f"{argument}_0")):
            preload_simulators()
            known_methods()
        gc.freeze()  # pages of what is here are not touched by collections in forked processes

    def _spawn(self, token: str, fd: int) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(fd)
            self._pids[token] = pid
            return
        try:
            _become_child(self._control, parent)
            serve(socket.socket(fileno=fd), self._root)
        finally:
            os._exit(0)

    def _kill(self, token: str) -> None:
        pid = self._pids.get(token)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def _reap(self) -> None:
        for token, pid in list(self._pids.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._pids[token]


def _become_child(control: socket.socket, parent: int) -> None:
    gc.enable()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def main() -> None:
    """Load, say so with one byte, obey. What is loaded stays, so that nothing here is worth collecting."""
    gc.disable()
    control = socket.socket(fileno=int(sys.argv[1]))
    with tempfile.TemporaryDirectory(prefix="bfcl-", ignore_cleanup_errors=True) as root:
        prepare(Path(root))
        preload()
        if "--network" not in sys.argv:
            leave_network()
        control.send(b"!")
        Zygote(control, Path(root)).run()


if __name__ == "__main__":
    main()
