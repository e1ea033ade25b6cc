"""``python -m benchmarks.sandbox.soak``: a long run of mixed calls, after which the service must be as it was.

One service, one client, calls of all lanes in batches (registered tools, sources, expressions, scientific code) and, in
between, hostile ones: loops, memory hogs, crashes, floods, forged results, leftovers in warm workers. At intervals it
takes what the service holds: resident memory of the server and of everything it started, processes, open descriptors,
files in scratch. It fails if a call was lost or answered wrongly, or if one of these grew: a straight line is fitted
through the second half of the samples, and its rise over that half must stay below a share of the mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import grpc
import psutil

from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from tests.support.service_process import ServiceProcess, running_process

BATCH = 64
SAMPLES = 40
GROWTH = {"server_mib": 0.05, "others_mib": 0.10, "processes": 0.10, "descriptors": 0.10, "scratch_files": 1.0}
"""Most that each may rise over the second half, as a share of its mean."""
TOOLS = """
import sys, threading

def leave_file(name: str) -> str:
    open(name, "w").write("x")
    return name

def leave_thread(n: int) -> int:
    threading.Thread(target=lambda: threading.Event().wait(30), daemon=True).start()
    return n

def shout(text: str) -> str:
    print(text.upper())
    return text.upper()
"""


@dataclass(frozen=True)
class Sample:
    """What the service holds at one moment."""

    calls: int
    seconds: float
    server_mib: float
    others_mib: float
    """Proportional memory of zygotes and workers."""
    processes: int
    descriptors: int
    scratch_files: int


@dataclass(frozen=True)
class Kind:
    """Calls of one kind and the status that they must get; ``every`` so many batches, ``count`` at a time."""

    name: str
    body: dict[str, Any]
    status: str
    every: int
    count: int


def _expression(env: str, expression: str = "0", timeout_s: float = 20) -> dict[str, Any]:
    return {"env": env, "expression": expression, "timeout_s": timeout_s}


def kinds() -> list[Kind]:
    """The mixture. Registered calls fill what the others leave of each batch."""
    forged = "import os\nos.write(3, b'\\x05\\0\\0\\0hello')"
    return [
        Kind("source", {"source": "def f(x):\n    return x", "function": "f", "arguments": {"x": [1]}}, "ok", 2, 1),
        Kind("expression", _expression("a = 20", "a + 1"), "ok", 2, 1),
        Kind("scientific", _expression("import numpy as np", "float(np.arange(4).sum())"), "ok", 20, 1),
        Kind("raises", _expression("", "1 / 0"), "tool_error", 10, 1),
        Kind("prints", {"tool": "shout", "arguments": {"text": "quiet"}}, "ok", 1, 2),
        Kind("leaves a file", {"tool": "leave_file", "arguments": {"name": "left"}}, "ok", 200, 1),
        Kind("leaves a thread", {"tool": "leave_thread", "arguments": {"n": 1}}, "ok", 200, 1),
        Kind("loop", _expression("while True: pass", timeout_s=0.2), "timeout", 100, 2),
        Kind("registered loop", {"tool": "power", "arguments": {"base": 9**9, "exponent": 9**8}, "timeout_s": 0.2},
             "timeout", 400, 1),
        Kind("memory", _expression("x = 'a' * 10**11"), "memory", 100, 1),
        Kind("hog", _expression("x = []\nwhile True: x.append(b'x' * 10**7)"), "memory", 500, 1),
        Kind("exit", _expression("import os\nos._exit(3)"), "killed", 50, 1),
        Kind("crash", _expression("import ctypes\nctypes.string_at(0)"), "killed", 100, 1),
        Kind("forged", _expression(forged), "killed", 100, 1),
        Kind("flood", _expression("while True: print('x' * 100_000)"), "output_limit", 400, 1),
        Kind("files", _expression("import os\nfor n in range(20): open(str(n), 'w').write('x')"), "ok", 50, 1),
        Kind("invalid", {"tool": "add", "arguments": {"firstNumber": 1}}, "invalid_call", 10, 1),
    ]  # fmt: skip


def message(body: dict[str, Any]) -> pb.ToolCall:
    """A call as the RPC takes it."""
    call = pb.ToolCall(arguments_json=json.dumps(body.get("arguments", {})), timeout_s=body.get("timeout_s", 0))
    if "tool" in body:
        call.tool = body["tool"]
    elif "function" in body:
        call.source.source, call.source.function = body["source"], body["function"]
    else:
        call.expression.env, call.expression.expression = body["env"], body["expression"]
    return call


class Soak:
    """One run against one service."""

    def __init__(self, service: ServiceProcess, scratch: Path, calls: int, seconds: float) -> None:
        self._service = service
        self._scratch = scratch
        self._calls = calls
        self._seconds = seconds
        self._kinds = [(kind, message(kind.body)) for kind in kinds()]
        self.seen: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[tuple[str, str]] = Counter()
        self.samples: list[Sample] = []
        self._done = self._batches = 0
        self._started = time.monotonic()

    async def run(self, concurrency: int) -> None:
        """Until so many calls, or so many seconds."""
        async with grpc.aio.insecure_channel(self._service.grpc) as channel:
            stub: Any = SandboxServiceStub(channel)
            every = self._calls / SAMPLES
            while not self._over:
                goal = min(self._calls, self._done + every)
                await asyncio.gather(*(self._until(stub, goal) for _ in range(concurrency)))
                await asyncio.sleep(0.5)
                self.samples.append(self._sample())
                print(json.dumps(asdict(self.samples[-1])), flush=True)

    @property
    def _over(self) -> bool:
        return self._done >= self._calls or time.monotonic() - self._started > self._seconds

    async def _until(self, stub: Any, goal: float) -> None:
        while self._done < goal and time.monotonic() - self._started < self._seconds:
            await self._batch(stub)

    async def _batch(self, stub: Any) -> None:
        self._batches += 1
        expected: list[tuple[str, str]] = []
        calls = []
        for kind, call in self._kinds:
            if self._batches % kind.every == 0:
                expected += [(kind.name, kind.status)] * kind.count
                calls += [call] * kind.count
        for number in range(BATCH - len(calls)):
            arguments = json.dumps({"firstNumber": number, "secondNumber": self._batches})
            calls.append(pb.ToolCall(tool="add", arguments_json=arguments))
            expected.append(("add", "ok"))
        answer = await stub.ExecuteBatch(pb.ExecuteBatchRequest(calls=calls), timeout=300)
        self._done += len(calls)
        for (name, status), result in zip(expected, answer.results, strict=True):
            said = pb.CallStatus.Name(result.status).removeprefix("CALL_STATUS_").lower()
            self.seen[name, said] += 1
            if said != status:
                self.wrong[name, said] += 1

    def _sample(self) -> Sample:
        server = psutil.Process(self._service.process.pid)
        others = server.children(recursive=True)
        return Sample(
            calls=self._done,
            seconds=round(time.monotonic() - self._started, 1),
            server_mib=round(server.memory_info().rss / 2**20, 1),
            others_mib=round(sum(_pss(process) for process in others) / 2**20, 1),
            processes=1 + len(others),
            descriptors=sum(_descriptors(process) for process in (server, *others)),
            scratch_files=sum(1 for _ in self._scratch.rglob("*")),
        )

    def verdict(self) -> list[str]:
        """What is not as it should be."""
        found = [f"{count} calls of kind {name!r} were {status!r}" for (name, status), count in self.wrong.items()]
        half = self.samples[len(self.samples) // 2 :]
        for field in fields(Sample)[2:]:
            values = [float(getattr(sample, field.name)) for sample in half]
            mean = sum(values) / len(values)
            grown = rise([float(sample.calls) for sample in half], values)
            if grown > GROWTH[field.name] * mean:
                found.append(f"{field.name} rose by {grown:.1f} over the second half (mean {mean:.1f})")
        return found


def rise(x: list[float], y: list[float]) -> float:
    """Rise of the least-squares line through the points from the first x to the last."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((value - mean_x) ** 2 for value in x)
    if spread == 0:
        return 0.0
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return slope * (x[-1] - x[0])


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return 0.0


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0


def main() -> int:
    """Run, print, and return 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=7200.0, help="stop then, whatever has been done")
    parser.add_argument("--concurrency", type=int, default=2, help="batches at a time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        scratch = Path(folder, "scratch")
        tools = Path(folder, "tools.py")
        tools.write_text(TOOLS, encoding="utf-8")
        settings = (f"scratch_root={scratch}", f"tools_path={tools}", "access_log=false")
        flags = [flag for setting in settings for flag in ("--set", setting)]
        with running_process("mentor_sandbox", *flags) as service:
            soak = Soak(service, scratch, chosen.calls, chosen.seconds)
            asyncio.run(soak.run(chosen.concurrency))
    _report(soak)
    return 1 if soak.verdict() else 0


def _report(soak: Soak) -> None:
    samples = soak.samples
    shown = [samples[0], samples[len(samples) // 4], samples[len(samples) // 2], samples[-1]]
    names = [field.name for field in fields(Sample)]
    print("\n" + "  ".join(f"{name:>13}" for name in names))
    for sample in shown:
        print("  ".join(f"{getattr(sample, name):>13}" for name in names))
    print("\ncalls by kind and status: " + ", ".join(f"{n} {s}: {c}" for (n, s), c in sorted(soak.seen.items())))
    found = soak.verdict()
    print("FAILED: " + "; ".join(found) if found else "flat")


if __name__ == "__main__":
    sys.exit(main())
