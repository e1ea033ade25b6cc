"""Server. Long computations take turns, so that short calls always find a free core.

Priorities alone do not do it: a kernel with autogroups weighs sessions, not processes, against one another, and every
call is a session. So calls that have shown themselves to be long computations are stopped and continued in turn. While
short calls are about, half of the cores are theirs; when there are none, the long ones have all. It costs no privilege
and works in any container.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from typing import Protocol

from mentor_sandbox.supervise.processes.ticker import Ticker

_TURN_S = 0.05
_LINGER_S = 0.1
"""So long after the last short call its kind is still expected."""


class Stoppable(Protocol):
    """A call's process."""

    def signal(self, number: signal.Signals) -> None:
        """Send it (SIGSTOP or SIGCONT)."""
        ...


class Throttle:
    """Gives turns to long computations. ``short_seen`` is told when a short call begins or ends."""

    def __init__(self, ticker: Ticker, cores: int | None = None) -> None:
        self._ticker = ticker
        self._cores = cores or os.cpu_count() or 1
        self._waiting: deque[Stoppable] = deque()
        self._running: deque[Stoppable] = deque()
        self._short_at = 0.0
        self._turn_ends = 0.0

    def short_seen(self, now: float) -> None:
        """A short call is about."""
        self._short_at = now

    def add(self, process: Stoppable) -> None:
        """From now on it takes turns; it is running."""
        if process not in self._running and process not in self._waiting:
            self._running.append(process)
            self._ticker.add(self)

    def discard(self, process: Stoppable) -> None:
        """It has ended, or is no long computation any more (a stopped one is continued)."""
        if process in self._waiting:
            self._waiting.remove(process)
            process.signal(signal.SIGCONT)
        elif process in self._running:
            self._running.remove(process)

    def tick(self, now: float) -> None:
        """Stop and continue."""
        if not self._running and not self._waiting:
            self._ticker.discard(self)
            return
        most = max(1, self._cores // 2) if now - self._short_at < _LINGER_S else self._cores
        if now >= self._turn_ends and self._waiting:
            self._turn_ends = now + _TURN_S
            for _ in range(min(most, len(self._waiting), len(self._running))):
                self._stop()
        while len(self._running) > most:
            self._stop()
        while self._waiting and len(self._running) < most:
            process = self._waiting.popleft()
            self._running.append(process)
            process.signal(signal.SIGCONT)

    def _stop(self) -> None:
        process = self._running.popleft()
        self._waiting.append(process)
        process.signal(signal.SIGSTOP)
