"""A warm process that forks one child per call, or per worker or session. It is given the number of its control socket.

The first packet there is its configuration; after that it reads nothing but fixed-size packets, so no call's data ever
lies in the memory that the next one inherits. It is the reaper of everything a call leaves behind. When its server goes
away it kills every call and exits.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import marshal
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from mentor_sandbox import child, heap, tolerance
from mentor_sandbox.call import MODULE_NAME, guarded, perform
from mentor_sandbox.walls import landlock, privileges, seccomp
from mentor_sandbox.walls.libc import PR_SET_CHILD_SUBREAPER, fork, prctl
from mentor_sandbox.wire import (
    CONFIG_BYTES,
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
    frame,
    pack_result,
)

_LONG_MS, _ENDLESS_MS = 8, 500
_NICE_LONG, _NICE_ENDLESS = 15, 19
"""Milliseconds of CPU, and the priority from then on: low enough to let short calls by, high enough to finish."""


class Zygote:
    """The loop; one packet at a time."""

    def __init__(self, control: socket.socket, template: child.Template) -> None:
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


def used_ms(pid: int) -> float:
    """Milliseconds of CPU that a process's first thread has used; 0 if it is gone or the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[0]) / 1e6
    except (OSError, IndexError):
        return 0.0


def is_stopped(pid: int) -> bool:
    """Whether a child is stopped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2][:1] == b"T"
    except OSError:
        return False


def threads(pid: int) -> list[int]:
    """A process's threads; none if it is gone."""
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def children() -> list[int]:
    """Pids of this process's children."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="utf-8") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return []


def kill_group(pid: int) -> None:
    """SIGKILL to a process and to its group (which it may not have made yet)."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Warm up, put on the walls that calls inherit, say hello, serve."""
    given = int(arguments[0])
    control = socket.socket(fileno=fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, landlock.FIRST_DESCRIPTOR))
    os.close(given)
    config = json.loads(control.recv(CONFIG_BYTES))
    sys.path[:] = [path for path in sys.path if path not in config["hidden"]]
    for module in config["modules"]:
        # A module that is not installed is missed by the call that needs it, not by the zygote.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    tolerance.tolerate()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    privileges.drop(privileges.FOR_UIDS if config["uids"] else ())
    config["seccomp"] = seccomp.available()
    os.environ.clear()
    sys.argv[:] = [""]
    template = child.Template(config)
    if config["seccomp"]:
        seccomp.install(seccomp.common(config["network"], landlock.abi()))
    _rehearse(template)
    gc.collect()
    gc.disable()
    gc.freeze()
    heap.settle()
    zygote = Zygote(control, template)
    control.send(PACKET.pack(EXITED, 0, 0, 0))
    try:
        zygote.run()
    finally:
        zygote.end()


def _rehearse(template: child.Template) -> None:
    """Run what a child runs, as far as it can be undone: caches that are warm here need not be filled in every child."""
    request = {"code": None, "source": "def add(a, b):\n    return a + b\n", "arguments": {"a": 1, "b": 2}}
    forms = {"function": "add", "expression": None}, {"function": None, "expression": "[add(1, 2), 'a', {'b': 2.5}]"}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in range(20):
            if "numpy" in sys.modules:
                sys.modules["numpy"].random.seed(0)
            if template.filter is not None and landlock.abi():
                os.close(template.readable.ruleset("/"))
            ours.sendall(frame(marshal.dumps(request)))
            given = marshal.loads(child.read_frame(theirs))
            child.begun(theirs)
            theirs.sendall(frame(pack_result(number, guarded(functools.partial(perform, given | forms[number % 2])))))
            ours.recv(1 << 16)
    del sys.modules[MODULE_NAME]


if __name__ == "__main__":
    main(sys.argv[1:])
