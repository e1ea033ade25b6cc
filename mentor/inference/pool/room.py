"""Room at the endpoints of a pool: who may ask whom now, and who waits."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar

from mentor.errors import InfrastructureError
from mentor.inference.pool.member import Member, Ticket

_LOOK_S = 5.0
_A_REST_S = 5.0
"""Who asks to be left alone for longer means a quota; less concerns the one request, and the limit."""
_ENTRY: ContextVar[Entry | None] = ContextVar("entry", default=None)


class Entry:
    """A trajectory that was let in. Until it asks for the first time a request is kept free for it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.pending = True

    def settle(self) -> None:
        """It has asked, or will not any more."""
        if self.pending:
            self.pending = False
            self._rooms.entering -= 1

    def leave(self) -> None:
        """It has ended."""
        self.settle()
        self._rooms.pump()


class Rooms:
    """Hands out tickets: to trajectories at home with a member first, then to any, then lets new trajectories in."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.entering = 0
        self._anywhere: deque[asyncio.Future[Ticket]] = deque()
        self._outside: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> Entry:
        """Wait until a request more than all that are running, waiting and expected would find room."""
        if self._outside or not self._has_room():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._outside.append(waiting)
            self.pump()
            try:
                await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled():
                    self.entering -= 1
                    self.pump()
                raise
        else:
            self.entering += 1
        entry = Entry(self)
        _ENTRY.set(entry)
        return entry

    def _has_room(self) -> bool:
        now = time.monotonic()
        free = sum(max(0, member.room) for member in self.members if member.up(now))
        return free > self.entering + len(self._anywhere) + sum(len(member.waiting) for member in self.members)

    async def take(self, home: Member | None, avoid: Member | None, patience_s: float) -> Ticket:
        """Leave to ask one of them.

        Args:
            home: preferred while it is up.
            avoid: not to be asked while another is up.

        Raises:
            InfrastructureError: all were down for ``patience_s``.
        """
        if (entry := _ENTRY.get()) is not None:
            entry.settle()
        now = time.monotonic()
        wanted = home if home is not None and home is not avoid and home.up(now) else None
        free = [wanted] if wanted else self._candidates(now, avoid)
        chosen = min((m for m in free if m.room > 0), key=lambda m: (m.load, m.asked), default=None)
        if chosen is not None and not chosen.waiting:
            return chosen.take()
        waiting: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        (wanted.waiting if wanted else self._anywhere).append(waiting)
        return await self._granted(waiting, patience_s)

    def _candidates(self, now: float, avoid: Member | None) -> list[Member]:
        up = [member for member in self.members if member.up(now)]
        return [member for member in up if member is not avoid] or up

    async def _granted(self, waiting: asyncio.Future[Ticket], patience_s: float) -> Ticket:
        down_since = time.monotonic()
        try:
            while True:
                self.pump()
                done, _ = await asyncio.wait([waiting], timeout=_LOOK_S)
                if done:
                    return waiting.result()
                now = time.monotonic()
                serving = any(m.served or m.breaker.until is None for m in self.members if m.up(now))
                if serving or any(m.server.coming for m in self.members):
                    down_since = now
                elif now - down_since > patience_s:
                    names = ", ".join(member.name for member in self.members)
                    raise InfrastructureError(f"no endpoint of the model is up: {names}")
        except BaseException:
            if waiting.done() and not waiting.cancelled():
                self.drop(waiting.result())
            waiting.cancel()
            raise

    def pump(self) -> None:
        """Hand out what room there is."""
        now = time.monotonic()
        for member in self.members:
            if member.waiting and not member.up(now):
                self._anywhere.extend(member.waiting)
                member.waiting.clear()
        while (free := self._next(now)) is not None:
            queue = free.waiting or self._anywhere
            waiting = queue.popleft()
            if not waiting.done():
                waiting.set_result(free.take())
        while self._outside and self._has_room():
            outside = self._outside.popleft()
            if not outside.done():
                self.entering += 1
                outside.set_result(None)

    def _next(self, now: float) -> Member | None:
        """The least loaded member that has room and somebody to give it to."""
        free = [m for m in self.members if m.room > 0 and (m.waiting or self._anywhere) and m.up(now)]
        return min(free, key=lambda m: (m.load, m.asked), default=None)

    def answered(self, ticket: Ticket, seconds: float, tokens: int | None) -> None:
        """It was answered as it should be."""
        member = ticket.member
        member.served = True
        member.breaker.succeeded()
        if member.adaptive is not None and ticket.sample is not None:
            member.adaptive.ended(ticket.sample, seconds, tokens)
        self._release(ticket)

    def refused(self, ticket: Ticket) -> None:
        """The endpoint is well, and does not want this request."""
        ticket.member.breaker.succeeded()
        self._forget(ticket)
        self._release(ticket)

    def overloaded(self, ticket: Ticket, retry_after: float) -> None:
        """It has too many requests."""
        member = ticket.member
        member.breaker.succeeded()
        if member.adaptive is not None and ticket.sample is not None:
            member.adaptive.overloaded(ticket.sample)
            member.adaptive.dropped(ticket.sample)
        if retry_after >= _A_REST_S:
            member.resting_until = max(member.resting_until, time.monotonic() + retry_after)
            self._pump_in(retry_after)
        self._release(ticket)

    def failed(self, ticket: Ticket, why: str) -> None:
        """It did not answer as it should."""
        self._forget(ticket)
        if ticket.member.breaker.failed(time.monotonic(), ticket.probe):
            self._opened(ticket.member, why)
        self._release(ticket)

    def drop(self, ticket: Ticket) -> None:
        """The request was given up."""
        ticket.member.breaker.dropped(ticket.probe)
        self._forget(ticket)
        self._release(ticket)

    def open_breaker(self, member: Member, why: str) -> None:
        """Leave a member alone that is known to be away."""
        while not member.breaker.failed(time.monotonic(), probe=False):
            pass
        self._opened(member, why)

    def _opened(self, member: Member, why: str) -> None:
        member.total.opened[why] += 1
        self._pump_in((member.breaker.until or 0.0) - time.monotonic())

    def _pump_in(self, seconds: float) -> None:
        """Those that wait may all wait for this moment, with nobody else to wake them."""
        asyncio.get_running_loop().call_later(max(0.0, seconds) + 0.01, self.pump)

    def _forget(self, ticket: Ticket) -> None:
        if ticket.member.adaptive is not None and ticket.sample is not None:
            ticket.member.adaptive.dropped(ticket.sample)

    def _release(self, ticket: Ticket) -> None:
        ticket.member.in_flight -= 1
        self.pump()
