"""One upstream stream of a job's events, whoever many follow it.

Followers wait for one clock tick together, and are sent bytes that were made once. A break upstream (a service that
restarts) is bridged here by ``Last-Event-ID``; a break downstream is bridged by the browser in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncIterator

import httpx

from mentor.errors import InfrastructureError, MentorError
from mentor.jobs.model import JobState
from mentor_console.upstream import Upstream

_TICK_S = 0.25
_AGAIN_S = 1.0
_AT_ONCE = 500
END = b"event: end\ndata: {}\n\n"
AWAY = b"event: away\ndata: {}\n\n"
BACK = b"event: back\ndata: {}\n\n"


class Following:
    """All streams that somebody follows now."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._hubs: dict[tuple[str, str], _Hub] = {}

    async def events(self, authorization: str, service: str, job: str, after: int) -> AsyncIterator[bytes]:
        """Server-sent events after a sequence number, until the job has ended.

        The caller has made sure that this reader may see the job.
        """
        hub = self._hubs.get((service, job))
        if hub is None or hub.over:
            hub = self._hubs[service, job] = _Hub(self._upstream, authorization, service, job)
        hub.followers += 1
        try:
            async for block in hub.after(after):
                yield block
        finally:
            hub.followers -= 1
            if not hub.followers:
                hub.close()
                if self._hubs.get((service, job)) is hub:
                    del self._hubs[service, job]


class _Hub:
    """One job's events so far (services keep some 20,000), and a task that reads more."""

    def __init__(self, upstream: Upstream, authorization: str, service: str, job: str) -> None:
        self._upstream, self._authorization, self._service, self._job = upstream, authorization, service, job
        self.followers = 0
        self.over = self.away = False
        self._sequences: list[int] = []
        self._blocks: list[bytes] = []
        self._last = END
        self._changed = asyncio.Event()
        self._ticking = False
        self._task = asyncio.create_task(self._read())

    async def after(self, sequence: int) -> AsyncIterator[bytes]:
        """What there is after a sequence number, and then what comes."""
        place, away = 0, False
        while True:
            changed, over = self._changed, self.over
            place = max(place, bisect_right(self._sequences, sequence))
            while place < len(self._blocks):
                until = place + _AT_ONCE
                yield b"".join(self._blocks[place:until])
                place = min(until, len(self._blocks))
            if over:
                yield self._last
                return
            if away != self.away:
                away = self.away
                yield AWAY if away else BACK
            await changed.wait()

    def close(self) -> None:
        """Stop reading."""
        self._task.cancel()

    async def _read(self) -> None:
        while not self.over:
            try:
                await self._once()
                self.over = await self._ended()
            except InfrastructureError:
                self.away = True
            except MentorError:
                self.over, self._last = True, b""  # no longer this reader's: each follower asks anew, with its own key
            self._tell()
            if not self.over:
                await asyncio.sleep(_AGAIN_S)

    async def _once(self) -> None:
        last = str(self._sequences[-1] if self._sequences else 0)
        path, headers = f"/v1/jobs/{self._job}/events", {"last-event-id": last}
        async with self._upstream.stream(self._authorization, self._service, path, headers) as response:
            if self.away:
                self.away = False
                self._tell()
            async for sequence, block in blocks(response):
                if not self._sequences or sequence > self._sequences[-1]:
                    self._sequences.append(sequence)
                    self._blocks.append(block)
                    self._soon()

    async def _ended(self) -> bool:
        job = await self._upstream.json(self._authorization, self._service, f"/v1/jobs/{self._job}")
        return JobState(job["state"]).final

    def _soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK_S, self._tell)

    def _tell(self) -> None:
        self._ticking = False
        self._changed, changed = asyncio.Event(), self._changed
        changed.set()


async def blocks(response: httpx.Response) -> AsyncIterator[tuple[int, bytes]]:
    """Sequence number and bytes of every event of a stream; pings are left out."""
    lines: list[str] = []
    async for line in response.aiter_lines():
        if line:
            lines.append(line)
            continue
        kept, lines = [x for x in lines if not x.startswith(":")], []
        number = next((x.partition(":")[2].strip() for x in kept if x.startswith("id:")), "")
        if number.isdecimal():
            yield int(number), ("\n".join(kept) + "\n\n").encode()


async def so_far(
    upstream: Upstream, authorization: str, service: str, job: str, quiet_s: float = 0.6
) -> list[tuple[int, bytes]]:
    """Events until the stream ends or has been quiet for a while: what has happened, not what will.

    Raises:
        MentorError: as the service says.
    """
    found: list[tuple[int, bytes]] = []
    async with upstream.stream(authorization, service, f"/v1/jobs/{job}/events") as response:
        stream = blocks(response)
        with contextlib.suppress(StopAsyncIteration, TimeoutError):
            while True:
                found.append(await asyncio.wait_for(anext(stream), quiet_s if found else 3.0))
    return found
