"""Server. Who gets in, and how long they may wait: calls, programs and sessions pass here alike."""

from __future__ import annotations

from mentor.errors import ConflictError, OverloadedError
from mentor.rpc.context import remaining
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.mcp import McpLane
from mentor_sandbox.supervise.lanes.registered import RegisteredLane
from mentor_sandbox.supervise.lanes.untrusted import UntrustedLane

_SESSION_RETRY_S = 5.0


class Admission:
    """The door of one sandbox. What it refuses is counted."""

    def __init__(
        self,
        settings: SandboxSettings,
        metrics: SandboxMetrics,
        registered: RegisteredLane,
        untrusted: UntrustedLane,
        remote: McpLane,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._registered, self._untrusted, self._remote = registered, untrusted, remote

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return self._registered.waiting + self._untrusted.waiting + self._remote.waiting

    @property
    def running(self) -> int:
        """Calls that have."""
        return self._registered.running + self._untrusted.running + self._remote.running

    def require(self, lane: str) -> None:
        """Raises ConflictError if this service serves another lane."""
        if self._settings.lane is not None and self._settings.lane != lane:
            raise ConflictError(f"this sandbox serves the lane {self._settings.lane!r}, not {lane!r}")

    def patience_s(self) -> float:
        """How long this request may wait for its turn: the service's own limit, or less if the caller waits less."""
        return remaining(self._settings.queue_timeout_s)

    def admit(self, warm: int, cold: int) -> None:
        """Make sure that so many calls for workers and for forks fit into the queue.

        Raises:
            OverloadedError: they do not, with the time after which to try again.
        """
        if not warm and not cold:
            return
        queued = max(0, warm - self._registered.free) + max(0, cold - self._untrusted.free)
        waiting = self.waiting
        if queued and queued + waiting > self._settings.max_queue:
            wait_s = max(self._registered.wait_s(warm) if warm else 0.0, self._untrusted.wait_s(cold) if cold else 0.0)
            message = f"the queue is full ({waiting} calls wait, {self._settings.max_queue} may)"
            self._refuse(message, warm + cold, min(30.0, max(0.1, round(wait_s, 2))))

    def admit_session(self, open_: int) -> None:
        """Make sure that there may be one more session than ``open_``.

        Raises:
            OverloadedError: there may not.
        """
        most = self._settings.max_sessions
        if open_ >= most:
            self._refuse(f"{most} sessions are open, which is the most", 1, _SESSION_RETRY_S)

    def _refuse(self, message: str, count: int, retry_after: float) -> None:
        self._metrics.refused.inc(count)
        raise OverloadedError(message, retry_after=retry_after)
