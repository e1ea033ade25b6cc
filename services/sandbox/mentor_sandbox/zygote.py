"""A warm process that forks one child per call. It is given the number of its control socket.

The first packet there is its configuration; after that it reads nothing but fixed-size packets, so no call's data ever
lies in the memory that the next one inherits. It is the reaper of everything a call leaves behind. When its server goes
away it kills every call and exits.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from mentor_sandbox import child
from mentor_sandbox.walls import landlock, privileges, rlimits, seccomp
from mentor_sandbox.walls.libc import PR_SET_CHILD_SUBREAPER, prctl
from mentor_sandbox.wire import CONFIG_BYTES, EXITED, FAILED, FORK, KILL, PACKET


class Zygote:
    """The loop; one packet at a time."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control = control
        self.config = config
        self.pids: dict[int, int] = {}
        self.calls: dict[int, int] = {}
        self.readable = landlock.Readable(config["readable"])
        self.base_memory = rlimits.base_memory()
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the server closes the control socket."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake_read, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.wake_read:
                    os.read(self.wake_read, 4096)
                elif not self.receive():
                    return
            self.reap()

    def receive(self) -> bool:
        """Take one packet; False at the end of the control socket."""
        data, descriptors, _, _ = socket.recv_fds(self.control, PACKET.size, 3)
        if not data:
            return False
        kind, call, _, _ = PACKET.unpack(data)
        if kind == FORK:
            self.fork(call, descriptors)
        elif kind == KILL and call in self.pids:
            kill_group(self.pids[call])
        return True

    def fork(self, call: int, descriptors: list[int]) -> None:
        """Start a call; its descriptors are closed here whatever happens."""
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self.control.send(PACKET.pack(FAILED, call, error.errno or 0, 0))
            pid = -1
        if pid == 0:
            self.become_call(parent, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            self.pids[call] = pid
            self.calls[pid] = call

    def become_call(self, parent: int, descriptors: list[int]) -> NoReturn:
        """In the child: never returns into the loop."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            child.run(parent, descriptors, self.config, self.readable, self.base_memory)
        finally:
            os._exit(child.EXIT_BROKEN)

    def reap(self) -> None:
        """Collect what ended. A call's process group dies before its pid can be given to anyone else."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            call = self.calls.pop(pid, None)
            if call is not None:
                kill_group(pid)
            _, status, usage = os.wait4(pid, 0)
            self.kill_orphans()
            if call is not None:
                del self.pids[call]
                self.control.send(PACKET.pack(EXITED, call, status, usage.ru_maxrss))

    def kill_orphans(self) -> None:
        """Kill every child that is not a call: what a call left behind comes to us, since we are its subreaper.

        Asked after every death, for each of them may have left its own.
        """
        for pid in children():
            if pid not in self.calls:
                kill_group(pid)

    def end(self) -> None:
        """Kill every call."""
        for pid in list(self.calls):
            kill_group(pid)


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
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    config = json.loads(control.recv(CONFIG_BYTES))
    sys.path[:] = [path for path in sys.path if path not in config["hidden"]]
    for module in config["modules"]:
        # A module that is not installed is missed by the call that needs it, not by the zygote.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    privileges.drop()
    config["seccomp"] = seccomp.available()
    if config["seccomp"]:
        seccomp.install(seccomp.common(network=bool(config["ports"])))
    gc.collect()
    gc.disable()
    gc.freeze()
    zygote = Zygote(control, config)
    control.send(PACKET.pack(EXITED, 0, 0, 0))
    try:
        zygote.run()
    finally:
        zygote.end()


if __name__ == "__main__":
    main(sys.argv[1:])
