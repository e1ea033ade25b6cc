"""Server. One child from fork to end: descriptors, deadline, limits, and nothing left behind.

The server does not follow a child's every word. It hears of its end from the zygote, then reads what the child has
said; in between a ticker (``Ticker``) looks at all running children every few milliseconds: has it begun, is it over
its deadline, does it fill its disk or its socket. That keeps a short call to one wake-up of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import structlog

from mentor.errors import InfrastructureError
from mentor_sandbox.results import Answer
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise import to_inside
from mentor_sandbox.supervise.files import scratch, transfer
from mentor_sandbox.supervise.files.root import ScratchRoot
from mentor_sandbox.supervise.from_inside import FIRST_BYTES, begun_at
from mentor_sandbox.supervise.limits import Limits, late, overfull
from mentor_sandbox.supervise.processes.outputs import Outputs, Printed
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.processes.zygote import Exit, ZygoteProcess

log = structlog.get_logger("execution")
_CHUNK = 262144
_SCRATCH_PERIOD_S = 0.25


@dataclass(frozen=True)
class Outcome:
    """How a child ended and what it left: ``said`` on its channel after its begin, and what it printed."""

    end: Exit
    limit: Answer | None
    """The limit of the server's that it hit."""
    said: bytes
    printed: Printed
    seconds: float
    """From its begin to its end."""


@dataclass(frozen=True)
class Luggage:
    """Files that are put into a child's directory before it begins, and paths of those to save at its end."""

    given: Mapping[str, bytes] = field(default_factory=dict)
    fetch: tuple[str, ...] = ()


NO_LUGGAGE = Luggage()


class Execution:
    """Runs one prepared request in a fork of ``zygote``. Use once.

    Args:
        root: where its scratch directory is made.
        uid: user id to give it; -1 for none.
        luggage: what is in that directory at the start, and saved to ``files`` at the end.
    """

    def __init__(
        self,
        zygote: ZygoteProcess,
        settings: SandboxSettings,
        root: ScratchRoot,
        ticker: Ticker,
        uid: int = -1,
        luggage: Luggage = NO_LUGGAGE,
    ) -> None:
        self._zygote = zygote
        self._settings = settings
        self._ticker = ticker
        self._uid = uid
        self._root = root
        self._luggage = luggage
        self.files: dict[str, bytes] = {}
        self.started = time.monotonic()
        self.begun: float | None = None
        self.killed_for: str | None = None
        self.descriptors: tuple[int, ...] = ()
        """What the child gets besides its socket and its outputs: at most one."""
        self._limit_hit: Answer | None = None
        self._said = bytearray()
        self._reading = False
        self._checked = 0.0

    async def run(self, request: dict[str, Any], limits: Limits) -> Outcome:
        """The outcome. ``request`` names the child's role and holds what the role needs.

        Raises:
            InfrastructureError: the zygote died, no directory could be made or process started, or it did not begin in time.
        """
        self._limits = limits
        self.scratch = self._root.new("call", self._uid)
        try:
            transfer.write(self.scratch, self._luggage.given, self._uid)
            with _Ends() as ends:
                outcome = await self._run(request, ends)
            self.files = transfer.read(self.scratch, self._luggage.fetch, self._settings.max_files_bytes)
            return outcome
        finally:
            await scratch.remove(self.scratch)

    async def _run(self, request: dict[str, Any], ends: _Ends) -> Outcome:
        self._ours = ends.ours
        send = self._send(to_inside.request(request, self.scratch, self._limits))
        descriptors = (ends.theirs.fileno(), *ends.outputs.descriptors, *self.descriptors)
        self.call, self._ended = self._zygote.fork(descriptors, self._uid)
        ends.theirs.close()
        self._ticker.add(self)
        try:
            end = await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            self.kill("cancelled")
            await self._ended
            raise
        finally:
            self._ticker.discard(self)
            if send is not None:
                send.cancel()
            self._listen(False)
        self._drain()
        return self._outcome(end, ends)

    def kill(self, cause: str) -> None:
        """End it now."""
        self.killed_for = self.killed_for or cause
        self._zygote.kill(self.call)

    def lower(self, lowered: Callable[[], None]) -> None:
        """Lower its priority if it has been computing for some time; ``lowered`` is then called."""
        self._zygote.lower(self.call, lowered)

    def signal(self, number: signal.Signals) -> None:
        """Stop or continue it."""
        self._zygote.signal(self.call, number)

    def tick(self, now: float) -> None:
        """Look after it; called every few milliseconds."""
        if self.begun is None or self._reading:
            self._drain()
        if self.killed_for is not None:
            return
        timeout_s = self._limits.timeout_s
        if self.begun is None:
            if now - self.started > self._settings.startup_timeout_s:
                self.kill("startup")
        elif timeout_s is not None and now - self.begun > timeout_s:
            self._limit_hit = late(timeout_s)
            self.kill("timeout")
        elif now - self._checked > _SCRATCH_PERIOD_S:
            self._checked = now
            self._drain()
            if scratch.exceeds(self.scratch, self._limits.scratch_bytes):
                self._limit_hit = overfull(self._limits.scratch_bytes)
                self.kill("scratch")

    def _send(self, data: bytes) -> asyncio.Task[None] | None:
        """Put the request into the socket; what does not fit there follows in a task."""
        sent = self._ours.send(data)
        if sent == len(data):
            return None
        return asyncio.create_task(self._send_rest(memoryview(data)[sent:]))

    async def _send_rest(self, data: memoryview) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._ours, data)

    def _drain(self) -> None:
        """Read what is there. A child that says much is listened to until its end, so that it is not blocked."""
        while True:
            try:
                data = self._ours.recv(_CHUNK)
            except (BlockingIOError, ConnectionResetError):
                return
            if not data:
                self._listen(False)
                return
            self._said += data
            del self._said[self._limits.said_bytes :]
            if self.begun is None and len(self._said) >= FIRST_BYTES:
                self.begun = begun_at(self._said)
                del self._said[:FIRST_BYTES]
            if self._said and self.call in self._zygote:
                self._listen(True)

    def _listen(self, on: bool) -> None:
        if on == self._reading:
            return
        self._reading = on
        loop = asyncio.get_running_loop()
        if on:
            loop.add_reader(self._ours.fileno(), self._drain)
        else:
            loop.remove_reader(self._ours.fileno())

    def _outcome(self, end: Exit, ends: _Ends) -> Outcome:
        if self.begun is None:
            output = os.pread(ends.outputs.descriptors[1], 4000, 0).decode("utf-8", "replace")
            log.error("child did not begin", output=output, status=end.wait_status)
            if self.killed_for == "startup":
                limit = self._settings.startup_timeout_s
                raise InfrastructureError(f"no process began the call within {limit:g} s")
            raise InfrastructureError("the call's process ended before it began")
        return Outcome(
            end=end,
            limit=self._limit_hit,
            said=bytes(self._said),
            printed=ends.outputs.printed(self._settings.output_kb * 1024),
            seconds=time.monotonic() - self.begun,
        )


class _Ends:
    """What server and child share: a socket, of which each has an end, and its outputs.

    Raises:
        InfrastructureError: this process has no descriptors left.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self.ours, self.theirs = (self._stack.enter_context(end) for end in socket.socketpair())
            self.outputs = Outputs()
            self._stack.callback(self.outputs.close)
        except OSError as error:
            self._stack.close()
            raise InfrastructureError(f"cannot prepare a call: {error.strerror}") from None
        self.ours.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
