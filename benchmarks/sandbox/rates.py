"""Calls per second: the untrusted lane beside SandboxFusion and ``python -I``, the registered one beside ``exec``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.client import Call, Client
from benchmarks.results import Row
from benchmarks.sandbox.load import load
from benchmarks.sandbox.peers import FUSION, sandbox_fusion, stand_in
from mentor.tools import MATH_TOOLS
from tests.support.service_process import running_process

EXECUTE = {"env": MATH_TOOLS[0].source, "call": "add(2, 3)", "timeout": 10}
RUN_CODE = {"code": f"{MATH_TOOLS[0].source}\nprint(add(2, 3))", "language": "python"}
REGISTERED = {"tool": "add", "arguments": {"firstNumber": 2, "secondNumber": 3}}
BATCH = 64
LOGGED = ("--set", "access_log=false")


def is_five(answer: Any) -> bool:
    """Of ``/execute``."""
    return bool(answer["result"] == 5)


def printed_five(answer: Any) -> bool:
    """Of ``/run_code``."""
    return bool(answer["run_result"]["stdout"] == "5\n")


def ours_execute(client: Client) -> Call:
    """An untrusted call of ours."""
    return client.post("/execute", EXECUTE, is_five)


async def alternate(
    calls: Sequence[Call | None], concurrency: int, rounds: int, seconds: float
) -> list[tuple[tuple[float, ...], int]]:
    """Rates of each over the rounds, and how many calls it made."""
    rates: list[list[float]] = [[] for _ in calls]
    counts = [0] * len(calls)
    for call in calls:
        if call is not None:
            await load(call, concurrency, min(1.0, seconds))
    for _ in range(rounds):
        for place, call in enumerate(calls):
            if call is not None:
                seen = await load(call, concurrency, seconds)
                rates[place].append(seen.rate)
                counts[place] += seen.calls
    return [(tuple(values), count) for values, count in zip(rates, counts, strict=True)]


async def untrusted(rounds: int, seconds: float) -> list[Row]:
    """Eight callers of the paper's tools, source in the request; all walls on."""
    with ExitStack() as stack:
        service = stack.enter_context(running_process("mentor_sandbox", *LOGGED))
        ours = Client(int(service.http.rpartition(":")[2]))
        plain = Client(stack.enter_context(stand_in("subprocess_server")).port)
        bare = Client(stack.enter_context(stand_in("subprocess_server", "-S")).port)
        fusion = stack.enter_context(sandbox_fusion())
        calls = [
            ours_execute(ours),
            ours.post("/run_code", RUN_CODE, printed_five),
            plain.post("/execute", EXECUTE, is_five),
            bare.post("/execute", EXECUTE, is_five),
            None if fusion is None else Client(fusion.port).post("/run_code", RUN_CODE, printed_five),
        ]
        seen = await alternate(calls, 8, rounds, seconds)
        for client in (ours, plain, bare):
            client.close()
    mine, programs, python, bare_python, other = seen
    name, known = "untrusted lane, 8 callers", "SandboxFusion" if other[0] else f"SandboxFusion ({FUSION} is not set)"
    process = "python -I{} per call behind FastAPI (stand-in)"
    return [
        rates_of(f"{name}, /execute", mine, known, other, 20),
        rates_of(f"{name}, /run_code", programs, known, other, 20),
        rates_of(f"{name}, /execute", mine, process.format(""), python, 6),
        rates_of(f"{name}, /execute", mine, process.format(" -S"), bare_python),
    ]


Seen = tuple[tuple[float, ...], int]


def rates_of(name: str, ours: Seen, peer: str, theirs: Seen, goal: float | None = None) -> Row:
    """A row of rates, with both numbers of calls."""
    return Row(name, "calls/s", ours[0], peer, theirs[0], ours[1], goal, peer_samples=theirs[1])


async def registered(rounds: int, seconds: float) -> list[Row]:
    """Single calls and batches over REST beside unprotected servers: one that is sent the source, one that knows it by name."""
    rows = []
    batch = {"calls": [REGISTERED] * BATCH}
    source, named = "exec in the server (MENTOR/ReCall stand-in)", "tools by name in the server (stand-in)"
    for concurrency in (1, 8):
        with ExitStack() as stack:
            service = stack.enter_context(running_process("mentor_sandbox", *LOGGED))
            ours = Client(int(service.http.rpartition(":")[2]))
            plain = Client(stack.enter_context(stand_in("exec_server")).port)
            known = Client(stack.enter_context(stand_in("named_server")).port)
            calls = [
                ours.post("/v1/execute", REGISTERED, lambda answer: answer["value"] == 5),
                ours.post("/v1/execute_batch", batch, lambda a: a["results"][-1]["value"] == 5, BATCH),
                plain.post("/execute", EXECUTE, is_five),
                known.post("/call", REGISTERED, lambda answer: answer["value"] == 5),
                known.post("/batch", batch, lambda a: a["results"][-1]["value"] == 5, BATCH),
            ]
            single, many, theirs, one, several = await alternate(calls, concurrency, rounds, seconds)
            for client in (ours, plain, known):
                client.close()
        name = f"registered lane, {concurrency} caller{'s' if concurrency > 1 else ''}"
        rows.append(rates_of(name, single, source, theirs, 1))
        rows.append(rates_of(f"{name}, batches of {BATCH}", many, source, theirs, 5))
        rows.append(rates_of(name, single, named, one))
        rows.append(rates_of(f"{name}, batches of {BATCH}", many, f"{named}, batches of {BATCH}", several))
    return rows
