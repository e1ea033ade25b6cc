"""Zygote. A warm process that forks one child per call, or per worker or session. It is given the number of its control socket.

The first packet there is its configuration; after that it reads nothing but fixed-size packets, so no call's data ever
lies in the memory that the next one inherits. It is the reaper of everything a call leaves behind. When its server goes
away it kills every call and exits.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import select
import signal
import socket
from typing import NoReturn

from mentor_sandbox.inside import child
from mentor_sandbox.inside.template import Template
from mentor_sandbox.walls.libc import fork
from mentor_sandbox.wire.packets import (
    EXITED,
    FAILED,
    FORK,
    KILL,
    LOWERED,
    MAX_DESCRIPTORS,
    NICE,
    PACKET,
    PAUSE,
    SIGNAL,
)
from mentor_sandbox.zygote.proc import children, is_stopped, kill_group, threads, used_ms

_LONG_MS, _ENDLESS_MS = 8, 500
_NICE_LONG, _NICE_ENDLESS = 15, 19
"""Milliseconds of CPU, and the priority from then on: low enough to let short calls by, high enough to finish."""


class Zygote:
    """The loop; one packet at a time."""

    def __init__(self, control: socket.socket, template: Template) -> None:
        self.control = control
        self.template = template
        self.pids: dict[int, int] = {}
        self.calls: dict[int, int] = {}
        self.stopped: set[int] = set()
        """Children that are stopped because the server wants it."""
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.orphans = template.filter is None
        """Whether a child could have started processes: seccomp allows it none."""

    def run(self) -> None:
        """Serve until the server closes the control socket."""
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake_read, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.wake_read:
                    os.read(self.wake_read, 4096)
                    self.reap()
                elif not self.receive():
                    return

    def receive(self) -> bool:
        """Take one packet; False at the end of the control socket."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, PACKET.size, MAX_DESCRIPTORS)
        except ConnectionResetError:
            data = b""
        if not data:
            return False
        kind, call, number, _ = PACKET.unpack(data)
        if kind == FORK:
            self.fork(call, descriptors, number)
        elif kind == KILL and call in self.pids:
            kill_group(self.pids[call])
        elif kind == SIGNAL and call in self.pids:
            self.signal(self.pids[call], number)
        elif kind == PAUSE and call in self.pids:
            self.stopped.add(self.pids[call])
            os.kill(self.pids[call], signal.SIGSTOP)
            self.control.send(PACKET.pack(PAUSE, call, 0, 0))
        elif kind == NICE and call in self.pids:
            self.lower(call)
        return True

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a child alone. One that has stopped itself is not continued with those that were stopped."""
        if number == signal.SIGSTOP and pid not in self.stopped:
            if is_stopped(pid):
                return
            self.stopped.add(pid)
        elif number == signal.SIGCONT:
            if pid not in self.stopped:
                return
            self.stopped.discard(pid)
        os.kill(pid, number)

    def fork(self, call: int, descriptors: list[int], uid: int) -> None:
        """Start a child; its descriptors are closed here whatever happens."""
        parent = os.getpid()
        try:
            pid = fork()
        except OSError as error:
            self.control.send(PACKET.pack(FAILED, call, error.errno or 0, 0))
            pid = -1
        if pid == 0:
            self.become_child(parent, descriptors, uid)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            self.pids[call] = pid
            self.calls[pid] = call

    def become_child(self, parent: int, descriptors: list[int], uid: int) -> NoReturn:
        """In the child: never returns into the loop."""
        try:
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            child.run(parent, descriptors, self.template, uid)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        finally:
            os._exit(child.EXIT_BROKEN)

    def lower(self, call: int) -> None:
        """Lower the priority of a child that has been computing for some time, and further after a long time."""
        pid = self.pids[call]
        used = used_ms(pid)
        if used < _LONG_MS:
            return
        nice = _NICE_LONG if used < _ENDLESS_MS else _NICE_ENDLESS
        for thread in threads(pid):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        self.control.send(PACKET.pack(LOWERED, call, nice, 0))

    def reap(self) -> None:
        """Collect what ended. A child's process group dies before its pid can be given to anyone else."""
        while True:
            try:
                if self.orphans:
                    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    if ended is not None and ended.si_pid in self.calls:
                        kill_group(ended.si_pid)
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            call = self.calls.pop(pid, None)
            self.stopped.discard(pid)
            if self.orphans:
                self.kill_orphans()
            if call is not None:
                del self.pids[call]
                self.control.send(PACKET.pack(EXITED, call, status, usage.ru_maxrss))

    def kill_orphans(self) -> None:
        """Kill every child that is not ours by name: what a call left behind comes to us, since we are its subreaper.

        Asked after every death, for each of them may have left its own.
        """
        for pid in children():
            if pid not in self.calls:
                kill_group(pid)

    def end(self) -> None:
        """Kill every child."""
        for pid in list(self.calls):
            kill_group(pid)


def _nothing(*_: object) -> None:
    """A handler, so that the signal reaches the wake-up descriptor."""
