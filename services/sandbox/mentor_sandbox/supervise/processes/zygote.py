"""Server. The server's end of a zygote: starts it, asks it for forks, notices its death."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from mentor.errors import InfrastructureError
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.processes.kinds import ENVIRONMENT, PACKAGE_ROOT, zygote_config
from mentor_sandbox.wire.packets import EXITED, FAILED, FORK, KILL, LOWERED, NICE, PACKET, PAUSE, SIGNAL

log = structlog.get_logger("zygote")
_BOOT = "import sys; sys.path.insert(0, {root!r}); from mentor_sandbox.zygote.main import main; main(sys.argv[1:])"
_HELLO = 0


@dataclass(frozen=True)
class Exit:
    """How a call's process ended: its wait status, and peak resident memory in KiB."""

    wait_status: int
    peak_kib: int

    @property
    def signal(self) -> int | None:
        """The signal that ended it, if one did."""
        return os.WTERMSIG(self.wait_status) if os.WIFSIGNALED(self.wait_status) else None

    @property
    def code(self) -> int:
        """Its exit code; meaningless after a signal."""
        return os.waitstatus_to_exitcode(self.wait_status)


class ZygoteProcess:
    """One running zygote. Not restarted: a dead one is replaced by another object."""

    def __init__(self, kind: str, settings: SandboxSettings, *, uids: bool = False) -> None:
        self.kind = kind
        self._uids = uids
        self.alive = False
        self.died = asyncio.Event()
        self._settings = settings
        self._ids = itertools.count(1)
        self._exits: dict[int, asyncio.Future[Exit]] = {}
        self._lowered: dict[int, Callable[[], None]] = {}
        self._pausing: dict[int, asyncio.Future[None]] = {}
        self._unsent: deque[bytes] = deque()

    def __contains__(self, call: object) -> bool:
        """Whether a child has not ended yet, as far as is known."""
        return call in self._exits

    @property
    def load(self) -> int:
        """Calls that it has not reported ended."""
        return len(self._exits)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is warm.

        Raises:
            InfrastructureError: it did not come up.
        """
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        self._control.send(json.dumps(zygote_config(self.kind, self._settings, uids=self._uids)).encode())
        code = _BOOT.format(root=PACKAGE_ROOT)
        command = [sys.executable, "-s", "-P", "-X", "utf8", "-c", code, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                env=ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        hello = self._expect(_HELLO)
        self.alive = True
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._on_packet)
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s + 45):
                await hello
        except (TimeoutError, InfrastructureError):
            self.stop()
            raise InfrastructureError(f"the {self.kind} zygote did not start") from None
        log.info("zygote ready", kind=self.kind, zygote_pid=self.pid)

    def fork(self, descriptors: Sequence[int], uid: int = -1) -> tuple[int, asyncio.Future[Exit]]:
        """Ask for a child: its id, and a future of its end.

        Args:
            descriptors: its socket, standard output, standard error, and at most one more.
            uid: user id to give it; -1 for none.

        Raises:
            InfrastructureError: the zygote is gone or does not keep up.
        """
        if not self.alive:
            raise InfrastructureError(f"the {self.kind} zygote is being replaced")
        call = next(self._ids)
        ended = self._expect(call)
        try:
            socket.send_fds(self._control, [PACKET.pack(FORK, call, uid, 0)], list(descriptors))
        except OSError as error:
            del self._exits[call]
            raise InfrastructureError(f"the {self.kind} zygote takes no calls: {error.strerror}") from None
        return call, ended

    def kill(self, call: int) -> None:
        """Kill a child's process group; its end is reported as always."""
        self._tell(KILL, call)

    def signal(self, call: int, number: int) -> None:
        """Send a signal to a child alone: interrupt, stop or continue a session."""
        self._tell(SIGNAL, call, number)

    def pause(self, call: int) -> asyncio.Future[None]:
        """Stop a child alone; done when it is stopped, or gone: what was asked for before has reached it by then."""
        paused = asyncio.get_running_loop().create_future()
        if self.alive and call in self._exits:
            self._pausing[call] = paused
            self._tell(PAUSE, call)
        else:
            paused.set_result(None)
        return paused

    def lower(self, call: int, lowered: Callable[[], None]) -> None:
        """Lower a child's priority if it has computed for some time; ``lowered`` is then called."""
        self._lowered[call] = lowered
        self._tell(NICE, call)

    def _tell(self, kind: bytes, call: int, number: int = 0) -> None:
        if not self.alive or call not in self._exits:
            return
        self._unsent.append(PACKET.pack(kind, call, number, 0))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send what the socket takes, the rest when it takes more: a kill that is lost would never be repeated."""
        loop = asyncio.get_running_loop()
        while self._unsent:
            try:
                self._control.send(self._unsent[0])
            except BlockingIOError:
                loop.add_writer(self._control.fileno(), self._flush)
                return
            except OSError:
                return  # It is gone; its reader says so.
            self._unsent.popleft()
        loop.remove_writer(self._control.fileno())

    def stop(self) -> None:
        """End the zygote and with it every call."""
        if self.alive:
            self._on_death()

    def _expect(self, call: int) -> asyncio.Future[Exit]:
        self._exits[call] = asyncio.get_running_loop().create_future()
        return self._exits[call]

    def _on_packet(self) -> None:
        while True:
            try:
                data = self._control.recv(PACKET.size)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._on_death()
                return
            self._take(*PACKET.unpack(data))

    def _take(self, kind: bytes, call: int, number: int, peak: int) -> None:
        if kind == LOWERED:
            if (lowered := self._lowered.pop(call, None)) is not None:
                lowered()
            return
        if (paused := self._pausing.pop(call, None)) is not None and not paused.done():
            paused.set_result(None)
        if kind == PAUSE:
            return
        ended = self._exits.pop(call, None)
        self._lowered.pop(call, None)
        if ended is None or ended.done():
            return
        if kind == EXITED:
            ended.set_result(Exit(number, peak))
        elif kind == FAILED:
            ended.set_exception(InfrastructureError(f"cannot start a process: {os.strerror(number)}"))

    def _on_death(self) -> None:
        self.alive = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control.fileno())
        loop.remove_writer(self._control.fileno())
        self._control.close()
        self._process.kill()
        self._process.wait()
        for ended in self._exits.values():
            if not ended.done():
                ended.set_exception(InfrastructureError(f"the {self.kind} zygote died with the call in flight"))
                ended.exception()
        self._exits.clear()
        for paused in self._pausing.values():
            if not paused.done():
                paused.set_result(None)
        self._pausing.clear()
        self.died.set()
