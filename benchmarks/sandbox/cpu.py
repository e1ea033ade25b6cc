"""CPU per untrusted call beside a bare fork-and-exit of a process warmed the same way, with the same allocator.

Scratch directories lie in memory, as in the containers: what a disk's file system does for them is not the sandbox's.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.client import Client
from benchmarks.results import Row
from benchmarks.sandbox.load import cpu_s, load
from benchmarks.sandbox.rates import LOGGED, is_five
from mentor_sandbox.supervise.processes.kinds import ENVIRONMENT
from tests.support.service_process import environment, running_process

FORKS = 500
MEMORY = "/dev/shm"
IMPORTS = {"core": "import math", "scientific": "import numpy, sympy"}


def bare_ms(kind: str) -> float:
    """CPU milliseconds of one bare fork-and-exit, parent and child together."""
    command = [sys.executable, "-m", "benchmarks.sandbox.bare_fork", kind, str(FORKS)]
    variables = {**ENVIRONMENT, "PYTHONPATH": environment()["PYTHONPATH"]}
    return float(subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout)


async def per_call(rounds: int, seconds: float) -> list[Row]:
    """Processes of the call (zygote and child) beside the floor, and the same with the server's share."""
    rows = []
    for kind, imports in IMPORTS.items():
        with running_process("mentor_sandbox", *LOGGED, "--set", f"scratch_root={MEMORY}") as service:
            client = Client(int(service.http.rpartition(":")[2]))
            body = {"env": f"{imports}\ndef add(a, b):\n    return a + b", "call": "add(2, 3)"}
            call = client.post("/execute", body, is_five)
            await load(call, 1, 1.0)
            inside, whole, floor, calls = [], [], [], 0
            for _ in range(rounds):
                floor.append(bare_ms(kind))
                before = cpu_s(service.process.pid)
                seen = await load(call, 1, seconds)
                server, others = (b - a for a, b in zip(before, cpu_s(service.process.pid), strict=True))
                inside.append(others / seen.calls * 1000)
                whole.append((server + others) / seen.calls * 1000)
                calls += seen.calls
            client.close()
        peer = f"bare fork and exit of the {kind} zygote"
        name, forks = f"CPU of an untrusted call, {kind}", rounds * FORKS
        for what, values, goal in (("zygote and child", inside, 2.0), ("with the server", whole, 1.8)):
            found = Row(
                f"{name}, {what}", "ms", tuple(values), peer, tuple(floor), calls, goal, True, peer_samples=forks
            )
            rows.append(found)
    return rows
