"""Server. One timer for everything that runs: cheaper than a timer and a task for each call."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import structlog

log = structlog.get_logger("ticker")
PERIOD_S = 0.005


class Ticking(Protocol):
    """Something to look after while it runs."""

    def tick(self, now: float) -> None:
        """Called about every ``PERIOD_S`` with the monotonic time."""
        ...


class Ticker:
    """Ticks its members every ``PERIOD_S`` while there are any."""

    def __init__(self) -> None:
        self._members: dict[Ticking, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Ticking) -> None:
        """Tick it from now on."""
        self._members[member] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._tick)

    def discard(self, member: Ticking) -> None:
        """No longer."""
        self._members.pop(member, None)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        for member in list(self._members):
            try:
                member.tick(now)
            except Exception:
                # A boundary: one call's oddity must not stop the clock of all others.
                log.exception("a tick failed", member=type(member).__name__)
        if self._members and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._tick)
