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
        fusion = stack.enter_context(sandbox_fusion())
        theirs = None if fusion is None else Client(fusion.port).post("/run_code", RUN_CODE, printed_five)
        seen = await alternate(
            [
                ours_execute(ours),
                plain.post("/execute", EXECUTE, is_five),
                theirs,
                ours.post("/run_code", RUN_CODE, printed_five),
            ],
            8,
            rounds,
            seconds,
        )
        for client in (ours, plain):
            client.close()
    (mine, n), (python, _), (other, _), (programs, m) = seen
    name = "untrusted lane, 8 callers"
    known = "SandboxFusion" if other else f"SandboxFusion left out ({FUSION} is not set)"
    return [
        Row(f"{name}, /execute", "calls/s", mine, known, other, n, 20),
        Row(f"{name}, /run_code", "calls/s", programs, known, other, m, 20),
        Row(f"{name}, /execute", "calls/s", mine, "python -I per call behind FastAPI (stand-in)", python, n, 6),
    ]


async def registered(rounds: int, seconds: float) -> list[Row]:
    """Single calls and batches over REST beside an unprotected ``exec`` in the server."""
    rows = []
    batch = {"calls": [REGISTERED] * BATCH}
    peer = "exec in the server (MENTOR/ReCall stand-in)"
    for concurrency in (1, 8):
        with ExitStack() as stack:
            service = stack.enter_context(running_process("mentor_sandbox", *LOGGED))
            ours = Client(int(service.http.rpartition(":")[2]))
            plain = Client(stack.enter_context(stand_in("exec_server")).port)
            calls = [
                ours.post("/v1/execute", REGISTERED, lambda answer: answer["value"] == 5),
                plain.post("/execute", EXECUTE, is_five),
                ours.post("/v1/execute_batch", batch, lambda a: a["results"][-1]["value"] == 5, BATCH),
            ]
            (single, n), (theirs, _), (many, m) = await alternate(calls, concurrency, rounds, seconds)
            for client in (ours, plain):
                client.close()
        name = f"registered lane, {concurrency} caller{'s' if concurrency > 1 else ''}"
        rows.append(Row(name, "calls/s", single, peer, theirs, n, 1))
        rows.append(Row(f"{name}, batches of {BATCH}", "calls/s", many, peer, theirs, m, 5))
    return rows
