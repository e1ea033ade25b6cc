"""Endpoints that serve one model, asked as if they were one.

A request goes to the endpoint with the least load that is up; a trajectory stays where it began (its prefix lies in that
server's cache) unless that is down. What an endpoint does wrong counts against it alone and is tried again elsewhere; after
five failures in a row it is left alone for a while (``breaker``). With ``adaptive`` limits (``concurrency``) requests wait
here for room, those of running trajectories before new ones (``enter``).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

from mentor.errors import InfrastructureError, MentorError, OverloadedError, RequestRefusedError, UserError
from mentor.inference.endpoint import Reading
from mentor.inference.faults import Fault, name_of
from mentor.inference.pool.figures import tokens_of
from mentor.inference.pool.member import Member, Ticket
from mentor.inference.pool.room import Entry, Rooms
from mentor.rpc.retry import RetryPolicy, backoff_s

__all__ = ["EndpointPool", "Member"]

T = TypeVar("T")
_HOMES = 1 << 16
_PATIENCE_S = 60.0
"""How long a request waits while every endpoint is down."""
_CHECK_S = 5.0


class EndpointPool:
    """See the module. Raises as ``Asked`` says; safe for any number of tasks of one event loop.

    Args:
        members: at least one.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._rooms = Rooms(self.members)
        self._homes: OrderedDict[str, Member] = OrderedDict()
        for member in self.members:
            member.server.heed(partial(self._turned, member))

    def _turned(self, member: Member) -> None:
        """A server that the job itself keeps up has gone away or come back."""
        if not member.server.away:
            member.breaker.succeeded()
        self._rooms.pump()

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.members[0].server.label

    @property
    def context_limit(self) -> int | None:
        """Of the endpoint that has least."""
        return min((n for m in self.members if (n := m.server.context_limit) is not None), default=None)

    async def enter(self) -> Entry:
        """Wait until there is room for a trajectory more."""
        return await self._rooms.enter()

    async def check(self) -> None:
        """Refuse what cannot work. Of several endpoints one may be away: it is taken up when it comes back.

        Raises:
            UserError: an endpoint does not serve its model.
            InfrastructureError: none can be reached.
        """
        if len(self.members) == 1:
            await self.members[0].server.check()
            return
        found = await asyncio.gather(*(m.server.check(_CHECK_S) for m in self.members), return_exceptions=True)
        failures = [error for error in found if isinstance(error, BaseException)]
        for error in failures:
            if not isinstance(error, InfrastructureError):
                raise error
        if len(failures) == len(self.members):
            raise failures[0]
        for member, outcome in zip(self.members, found, strict=True):
            if isinstance(outcome, InfrastructureError):
                self._rooms.open_breaker(member, name_of(outcome))

    async def ask(self, path: str, body: dict[str, Any], read: Reading[T], *, request_id: str, timeout_s: float) -> T:
        """See ``Asked.ask``. ``timeout_s`` holds for each life of servers that the job itself keeps up."""
        while True:
            lives = [member.server.life for member in self.members]
            try:
                return await self._ask(path, body, read, request_id, timeout_s)
            except InfrastructureError:
                if lives == [member.server.life for member in self.members] and not self._coming_back:
                    raise

    @property
    def _coming_back(self) -> bool:
        """None serves, and one of them is being started again: a request then waits for it."""
        servers = [member.server for member in self.members]
        return all(server.away for server in servers) and any(server.coming for server in servers)

    async def _ask(self, path: str, body: dict[str, Any], read: Reading[T], request_id: str, timeout_s: float) -> T:
        attempts = sum(member.server.endpoint.attempts for member in self.members)
        policy = RetryPolicy(attempts=attempts, backoff_s=0.2, deadline_s=timeout_s)
        trajectory = request_id.rpartition("-")[0]
        until, failed = time.monotonic() + timeout_s, None
        for number in count(1):
            began = time.monotonic()
            ticket = await self._rooms.take(self._homes.get(trajectory), failed, _PATIENCE_S)
            until += time.monotonic() - began  # who waits for room here has not been kept waiting by a server
            self._settle(trajectory, ticket.member)
            try:
                return await self._attempt(ticket, path, body, read, request_id, max(0.001, until - time.monotonic()))
            except InfrastructureError as error:
                failed = ticket.member
                wait = self._wait_s(error, number, policy, failed)
                if number == policy.attempts or time.monotonic() + wait >= until:
                    error.message = f"{error.message} (gave up after {number} attempts)"
                    error.args = (error.message,)
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("a pool has at least one endpoint")

    async def _attempt(
        self, ticket: Ticket, path: str, body: dict[str, Any], read: Reading[T], request_id: str, timeout_s: float
    ) -> T:
        member, began = ticket.member, time.monotonic()
        try:
            answer = await member.server.attempt(path, body, read, request_id, timeout_s)
        except MentorError as error:
            booked = self._failed(ticket, error)
            if booked is error:
                raise
            raise booked from error
        except BaseException:
            self._rooms.drop(ticket)
            raise
        seconds = time.monotonic() - began
        prompt, generated = tokens_of(body, answer)
        member.total.outcomes["ok"] += 1
        member.total.seconds += seconds
        member.total.prompt_tokens += prompt
        member.total.generated_tokens += generated or 0
        self._rooms.answered(ticket, seconds, generated)
        return answer

    def _failed(self, ticket: Ticket, error: MentorError) -> MentorError:
        """Book a failed attempt; the error to be raised of it."""
        member, name = ticket.member, name_of(error)
        member.total.faults[name] += 1
        if isinstance(error, RequestRefusedError):
            member.total.outcomes["refused"] += 1
            self._rooms.refused(ticket)
            return error
        if isinstance(error, OverloadedError):
            member.total.outcomes["overloaded"] += 1
            self._rooms.overloaded(ticket, error.retry_after)
            return error
        member.total.outcomes["failed"] += 1
        others = any(other.served or other.breaker.failures == 0 for other in self.members if other is not member)
        self._rooms.failed(ticket, name)
        if isinstance(error, UserError) and (member.served or others):
            return Fault(name, f"{member.server.label}: {error.message}")
        return error

    def _wait_s(self, error: InfrastructureError, number: int, policy: RetryPolicy, failed: Member) -> float:
        """No time at all where another endpoint can be asked instead."""
        now = time.monotonic()
        if number < 2 * len(self.members) and any(m.up(now) and m.room > 0 for m in self.members if m is not failed):
            return 0.0
        return backoff_s(error, number, policy)

    def _settle(self, trajectory: str, member: Member) -> None:
        """Remember where a trajectory is at home; of very many only the latest."""
        self._homes[trajectory] = member
        self._homes.move_to_end(trajectory)
        if len(self._homes) > _HOMES:
            self._homes.popitem(last=False)

    async def close(self) -> None:
        """Close this loop's connections."""
        for member in self.members:
            await member.server.close()
