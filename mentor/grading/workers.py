"""The math judge's side of its workers: started, asked and killed from any thread."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import subprocess
import sys
import time
from threading import Lock

from mentor.errors import InfrastructureError
from mentor.grading.worker_protocol import REPLY, REQUEST

_START_SECONDS = 120.0
_WALL_FACTOR = 20.0
"""A worker that gets less than a twentieth of a core is given up."""


class Zygote:
    """The process that workers are forked from; started on first need, and again if it was killed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, niceness: int) -> Worker:
        """A new worker.

        Raises:
            InfrastructureError: no process can be started.
        """
        for _ in range(2):  # the zygote may have been killed since it was last asked
            ours, theirs = socket.socketpair()
            with theirs:
                pid = self._command(b"F", niceness, theirs.fileno())
            if pid is not None:
                return Worker(pid, ours, self)
            ours.close()
        raise InfrastructureError("the math judge's worker did not start: is math-verify installed?")

    def kill(self, pid: int) -> None:
        """Kill a worker; without effect on one of an earlier zygote, which died with it."""
        self._command(b"K", pid, None, start=False)

    def close(self) -> None:
        """End the zygote and every worker."""
        with self._lock:
            self._stop()

    def _command(self, command: bytes, number: int, fd: int | None, *, start: bool = True) -> int | None:
        with self._lock:
            if self._control is None and start:
                self._start()
            if self._control is None:
                return None
            try:
                socket.send_fds(self._control, [REQUEST.pack(command, number)], [] if fd is None else [fd])
                reply = self._control.recv(REPLY.size)
            except OSError:
                reply = b""
            if len(reply) < REPLY.size:
                self._stop()
                return None
            return int(REPLY.unpack(reply)[0])

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "mentor.grading.worker", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        ours.settimeout(_START_SECONDS)
        self._control = ours
        try:
            ready = ours.recv(REPLY.size)
        except OSError:
            ready = b""
        if len(ready) < REPLY.size:
            self._stop()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


class Worker:
    """One fork; used by one thread at a time."""

    def __init__(self, pid: int, connection: socket.socket, zygote: Zygote) -> None:
        self.pid = pid
        self._connection = connection
        self._zygote = zygote
        self._lines = connection.makefile("r", encoding="utf-8")

    def ask(self, method: str, prediction: str, gold: str, cpu_s: float) -> dict[str, object] | str:
        """The verdict, or ``timeout`` or ``worker_died``; it must be killed then.

        ``cpu_s`` is the worker's own processor time, so that a verdict does not depend on what else this machine does.
        """
        request = json.dumps({"method": method, "prediction": prediction, "gold": gold}).encode() + b"\n"
        try:
            before = self._cpu()
            self._connection.sendall(request)
            if not self._answered(before, cpu_s):
                return "timeout"
            line = self._lines.readline()
        except OSError:
            return "worker_died"
        return dict(json.loads(line)) if line else "worker_died"

    def _answered(self, before: float, cpu_s: float) -> bool:
        given_up = time.monotonic() + cpu_s * _WALL_FACTOR
        while True:
            left = before + cpu_s - self._cpu()
            if left <= 0 or time.monotonic() > given_up:
                return False
            if select.select([self._connection], [], [], max(left, 0.01))[0]:
                return True

    def _cpu(self) -> float:
        """Seconds of processor time so far. Raises ``OSError`` if the process is gone."""
        return time.clock_gettime((~self.pid << 3) | 2)  # the process' clock, as clock_getcpuclockid(3) makes its id

    def kill(self) -> None:
        """End it and close its socket."""
        self._zygote.kill(self.pid)
        with contextlib.suppress(OSError):
            self._lines.close()
            self._connection.close()


class Lane:
    """A bounded number of workers at one niceness; further callers wait for one."""

    def __init__(self, zygote: Zygote, size: int, niceness: int) -> None:
        self._zygote = zygote
        self._niceness = niceness
        self._slots: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)

    def ask(self, method: str, prediction: str, gold: str, cpu_s: float) -> dict[str, object] | str:
        """As ``Worker.ask``; what must be killed is killed, and replaced when the slot is next needed.

        Raises:
            InfrastructureError: no worker can be started.
        """
        worker = self._slots.get()
        answer: dict[str, object] | str = "worker_died"
        try:
            for _ in range(2):  # a worker may have been killed from outside: only what kills a fresh one is to blame
                worker = worker or self._zygote.fork(self._niceness)
                answer = worker.ask(method, prediction, gold, cpu_s)
                if not isinstance(answer, str):
                    break
                worker.kill()
                worker = None
                if answer == "timeout":
                    break
        finally:
            self._slots.put(worker)
        return answer


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
