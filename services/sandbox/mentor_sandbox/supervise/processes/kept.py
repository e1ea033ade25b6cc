"""Server. A child that stays, a worker or a session: what it needs is taken at its start and given back at its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.processes.outputs import Outputs
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.zygote import ZygoteProcess


class Kept:
    """Its user id, directory, outputs and socket (``ours`` is the server's end); ``ended`` is done when the process is.

    Args:
        kind: what its directory is called after.
        more: a descriptor that it gets besides its socket and its outputs.

    Raises:
        InfrastructureError: no process could be started.
    """

    def __init__(self, pool: Pool, zygote: ZygoteProcess, kind: str, more: tuple[int, ...] = ()) -> None:
        self._pool = pool
        self._zygote = zygote
        self._stack = ExitStack()
        try:
            self.uid = self._stack.enter_context(pool.uid())
            self.scratch = pool.scratch.new(kind, self.uid)
            self._stack.callback(lambda: pool.spawn(scratch.remove(self.scratch)))
            self.outputs = Outputs(reused=True)
            self._stack.callback(self.outputs.close)
            self.ours, theirs = socket.socketpair()
            with theirs:
                self._fork((theirs.fileno(), *self.outputs.descriptors, *more))
        except BaseException:
            self.release()
            raise

    def _fork(self, descriptors: tuple[int, ...]) -> None:
        try:
            self._call, self.ended = self._zygote.fork(descriptors, self.uid)
        except BaseException:
            self.ours.close()
            raise

    def kill(self) -> None:
        """End it now."""
        self._zygote.kill(self._call)

    def signal(self, number: signal.Signals) -> None:
        """Interrupt, stop or continue it."""
        self._zygote.signal(self._call, number)

    def lower(self, lowered: Callable[[], None] = lambda: None) -> None:
        """Lower its priority if it has computed for some time; ``lowered`` is then called."""
        self._zygote.lower(self._call, lowered)

    def pause(self) -> asyncio.Future[None]:
        """Stop it; done when it is stopped, or gone."""
        return self._zygote.pause(self._call)

    def release(self) -> None:
        """Give everything back; nothing of it may live any more. Its directory is removed in the background."""
        self._stack.close()
