"""``python -m benchmarks.adaptive``: `concurrency: auto` on three kinds of servers, alone and beside another client.

For each kind, whose best throughput is measured first by a client that knows the right number: the share of it that is reached
over time, alone for a minute and a half, then while another client keeps half of the places busy, then alone again. 1 if less
than nine tenths are reached within a minute, or the other client does not get two fifths of what is served.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from benchmarks.adaptive.server import MODEL
from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.inference.pool import EndpointPool, Member
from mentor.inference.pool.concurrency import AdaptiveLimit
from mentor.rollout import ChatPolicy, RolloutLimits, Schedule, Task, run_many
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, ToolCall

KINDS = ("queues", "refuses", "slows")
PLACES, SECONDS, MOST = 64, 0.5, 512
ALONE_S, SHARED_S, WINDOW_S, FOUND_S = 90, 90, 10, 60
GOAL, OTHERS_SHARE = 0.9, 0.4


@contextmanager
def server(kind: str) -> Iterator[str]:
    """The server in a process of its own: its URL."""
    command = [sys.executable, "-m", "benchmarks.adaptive.server", kind, str(PLACES), str(SECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


async def plain(url: str, in_flight: int, client: str) -> None:
    """A client that keeps so many requests out, until it is cancelled."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"x-client": client}) as session:

        async def worker() -> None:
            while True:
                async with session.post(f"{url}/v1/chat/completions", json={}) as answer:
                    await answer.read()
                if answer.status == 429:
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(worker() for _ in range(in_flight)))


@asynccontextmanager
async def beside(work: asyncio.Task[None]) -> AsyncIterator[None]:
    """Work that goes on while the block does."""
    try:
        yield
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


class NoTools:
    """Offers nothing."""

    specs: tuple[ToolSpec, ...] = ()

    async def run(self, call: ToolCall) -> Observation:
        raise AssertionError("nothing is offered")


async def ours(member: Member) -> None:
    """Questions without end through the driver, as many at once as the limit lets in."""
    pool = EndpointPool([member])
    await pool.check()
    policy = ChatPolicy(OpenAIChatClient(pool), MODEL, enter=pool.enter)
    tasks = (Task(question=Question(id=f"q{n}", question="?")) for n in range(10**9))
    tools = NoTools()
    stream = run_many(
        tasks, policy, lambda _: tools, RolloutLimits(), SamplingParams(max_tokens=16), Schedule(concurrency=MOST)
    )
    try:
        async for _ in stream:
            pass
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
        await pool.close()


async def served(url: str) -> dict[str, int]:
    """How many requests of each client have been served."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/ended") as answer:
        found: dict[str, int] = await answer.json()
    return found


async def windows(url: str, seconds: int) -> AsyncIterator[dict[str, float]]:
    """Requests a second by client, window by window."""
    before, began = await served(url), time.monotonic()
    for _ in range(seconds // WINDOW_S):
        await asyncio.sleep(WINDOW_S)
        after, now = await served(url), time.monotonic()
        yield {name: (after[name] - before.get(name, 0)) / (now - began) for name in after}
        before, began = after, now


async def best_rate(url: str) -> float:
    """Requests a second of a client that knows the number of places."""
    async with beside(asyncio.create_task(plain(url, PLACES, "plain"))):
        await asyncio.sleep(5)
        return [window["plain"] async for window in windows(url, 20)][-1]


async def measure(kind: str) -> bool:
    """Print one server's story; True if both goals are met."""
    with server(kind) as url:
        best = await best_rate(url)
        print(f"{kind}: {PLACES} places of {SECONDS} s, best {best:.0f} requests/s with {PLACES} in flight")
        member = Member(OpenAIServer(Endpoint(url=url, model=MODEL)), "server", AdaptiveLimit(MOST))
        async with beside(asyncio.create_task(ours(member))):
            alone = await told("alone", url, ALONE_S, best, member)
            async with beside(asyncio.create_task(plain(url, PLACES // 2, "other"))):
                shared = await told("shared", url, SHARED_S, best, member)
            await told("alone again", url, ALONE_S, best, member)
    reached = [window.get("ours", 0.0) / best for window in alone]
    last = shared[-3:]
    share = sum(w.get("other", 0.0) for w in last) / sum(w.get("other", 0.0) + w.get("ours", 0.0) for w in last)
    settled = reached[FOUND_S // WINDOW_S :]
    fine = min(settled) >= GOAL and share >= OTHERS_SHARE
    print(
        f"{kind}: {min(settled):.3f} of the best in the worst {WINDOW_S} s from {FOUND_S} s on (goal {GOAL}; "
        f"mean {sum(settled) / len(settled):.3f}); "
        f"the other client's share {share:.2f} (goal {OTHERS_SHARE}): {'met' if fine else 'MISSED'}\n"
    )
    return fine


async def told(phase: str, url: str, seconds: int, best: float, member: Member) -> list[dict[str, float]]:
    """Print and return the windows of a phase."""
    found = []
    async for window in windows(url, seconds):
        found.append(window)
        limit = member.adaptive.limit if member.adaptive else 0
        other = f", other {window['other'] / best:.2f}" if window.get("other") else ""
        share = window.get("ours", 0.0) / best
        print(f"  {phase:<12} {len(found) * WINDOW_S:>4} s  ours {share:.2f}{other}  limit {limit}", flush=True)
    return found


def main() -> int:
    """1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, action="append")
    met = [asyncio.run(measure(kind)) for kind in parser.parse_args().kind or KINDS]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
