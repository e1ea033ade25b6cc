"""Fast calls beside loops and memory hogs that run to their limits."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from benchmarks.client import Client
from benchmarks.results import Row
from benchmarks.sandbox.load import load
from benchmarks.sandbox.rates import LOGGED, REGISTERED, ours_execute
from tests.support.service_process import running_process

LOOPS, HOGS = 8, 2
LIMIT_S = 5.0
LOOP = {"env": "while True: pass", "expression": "0", "timeout_s": LIMIT_S}
HOG = {"env": "x = []\nwhile True: x.append(bytearray(10**6))", "expression": "0", "timeout_s": LIMIT_S}
PACE_S = 0.02
"""Between the calls of one caller, as an agent makes them: their latency is then theirs and not a queue's."""


async def noisy(rounds: int, seconds: float) -> list[Row]:
    """The 99th percentile of fast calls (4 callers, both lanes), quiet and beside the noise."""
    quiet: dict[str, list[float]] = {}
    noise: dict[str, list[float]] = {}
    samples: dict[str, int] = {}
    with running_process("mentor_sandbox", *LOGGED) as service:
        port = int(service.http.rpartition(":")[2])
        client, loud = Client(port), Client(port)
        calls = {
            "registered": client.post("/v1/execute", REGISTERED, lambda answer: answer["value"] == 5),
            "untrusted": ours_execute(client),
        }
        for name, call in calls.items():
            await load(call, 4, 1.0)
            for _ in range(rounds):
                before = await load(call, 4, LIMIT_S, PACE_S)
                quiet.setdefault(name, []).append(p99(before.seconds))
                neighbours = [asyncio.create_task(_run(loud, LOOP)) for _ in range(LOOPS)]
                neighbours += [asyncio.create_task(_run(loud, HOG)) for _ in range(HOGS)]
                beside = await load(call, 4, LIMIT_S, PACE_S)
                noise.setdefault(name, []).append(p99(beside.seconds))
                samples[name] = samples.get(name, 0) + before.calls + beside.calls
                await asyncio.gather(*neighbours)
        client.close()
        loud.close()
    title = f"p99 of fast {{}} calls beside {LOOPS} loops and {HOGS} memory hogs"
    return [
        Row(title.format(name), "ms", tuple(noise[name]), "the same without them", tuple(quiet[name]), samples[name],
            3, True)
        for name in calls
    ]  # fmt: skip


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return float(np.percentile(seconds, 99)) * 1000


async def _run(client: Client, body: dict[str, Any]) -> None:
    """Until one of its limits: its time, or its memory."""
    call = client.post("/v1/execute", body, lambda answer: answer["status"] in ("timeout", "memory"))
    await call()
