"""``python -m benchmarks``: throughput of sandbox and retriever beside simple peers, alternated over three rounds."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import bm25s
import Stemmer

from mentor.local.layout import example_path
from mentor.tools import MATH_TOOLS
from mentor.tools.executor_retriever import RetrieverExecutor
from mentor.tools.executor_sandbox import SandboxExecutor
from mentor.trajectory import ToolCall
from tests.support.service_process import running_process

ROUNDS = 3
SECONDS = 3.0
ADD = next(tool for tool in MATH_TOOLS if tool.name == "add")
CALL = ToolCall(name="add", arguments={"firstNumber": 2, "secondNumber": 3})
SCRIPT = "import json, sys; a = json.load(sys.stdin); print(a['firstNumber'] + a['secondNumber'])"
QUERY = "What is the population of the capital?"


async def throughput(call: Callable[[], Awaitable[object]], concurrency: int) -> float:
    """Calls per second of ``concurrency`` callers over ``SECONDS``."""
    until = time.perf_counter() + SECONDS

    async def caller() -> int:
        done = 0
        while time.perf_counter() < until:
            await call()
            done += 1
        return done

    started = time.perf_counter()
    counts = await asyncio.gather(*(caller() for _ in range(concurrency)))
    return sum(counts) / (time.perf_counter() - started)


def subprocess_call() -> str:
    """The peer of the sandbox: a fresh isolated interpreter for every call, no walls."""
    body = json.dumps(CALL.arguments)
    return subprocess.run([sys.executable, "-I", "-c", SCRIPT], input=body, capture_output=True, text=True).stdout


async def compare(
    name: str, ours: Callable[[], Awaitable[object]], peer: str, theirs: Callable[[], Awaitable[object]]
) -> None:
    """Alternate the two over the rounds and print medians and their ratio."""
    for concurrency in (1, 8):
        rates = [(await throughput(ours, concurrency), await throughput(theirs, concurrency)) for _ in range(ROUNDS)]
        mine, other = (statistics.median(column) for column in zip(*rates, strict=True))
        print(f"{name:<22} x{concurrency:<3} {mine:9.0f}/s   {peer:<26} {other:9.0f}/s   ratio {mine / other:6.2f}")


async def sandbox() -> None:
    """One registered tool call, all walls standing, over gRPC."""
    with running_process("mentor_sandbox") as service:
        executor = SandboxExecutor(service.grpc)
        peer = "python -I per call"
        await compare(
            "sandbox, registered", lambda: executor.execute(CALL, ADD), peer, lambda: asyncio.to_thread(subprocess_call)
        )
        await executor.close()


async def retriever() -> None:
    """One BM25 query over the tiny corpus, over gRPC, beside bm25s called in-process without a service."""
    corpus = example_path("corpus.jsonl")
    texts = [json.loads(line)["contents"] for line in Path(corpus).read_text().splitlines()]
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stemmer=stemmer, show_progress=False), show_progress=False)

    async def in_process() -> object:
        tokens = bm25s.tokenize([QUERY], stemmer=stemmer, show_progress=False)
        return index.retrieve(tokens, k=5, show_progress=False)

    with running_process("mentor_retriever", "--set", f"corpus_path={corpus}") as service:
        executor = RetrieverExecutor(service.grpc)
        await compare("retriever, BM25", lambda: executor.search(QUERY, 5), "bm25s in-process", in_process)
        await executor.close()


async def main() -> None:
    print(f"median of {ROUNDS} rounds of {SECONDS:.0f} s each, ours and the peer alternated\n")
    await sandbox()
    await retriever()


if __name__ == "__main__":
    asyncio.run(main())
