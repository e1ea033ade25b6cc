"""Callers in a closed loop with single, distinct queries; runs as a process of its own.

``python -m benchmarks.retriever.load PORT ROUTE CONCURRENCY SECONDS QUERIES FIRST`` prints what the callers saw.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.client import Client
from benchmarks.retriever.queries import distinct
from tests.support.service_process import environment

TOP = 5
WARM_S = 1.0
_GIVE_UP_S = 120.0


@dataclass(frozen=True)
class Seen:
    """Answers, answers per second, latencies in milliseconds, failed requests and the first failure."""

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    failure: str


@dataclass
class _Tally:
    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def body(route: str, query: str) -> dict[str, Any]:
    """The published request for one query: ``/retrieve`` (Search-R1), ``/search``, ``/batch_search`` (MENTOR/ReCall)."""
    if route == "/retrieve":
        return {"queries": [query], "topk": TOP, "return_scores": True}
    return {"query": [query] if route == "/batch_search" else query, "top_n": TOP, "return_score": True}


def ranking(route: str, answer: Any) -> list[tuple[str, float]]:
    """Ids and scores of an answer to ``body``, best first."""
    if route == "/retrieve":
        return [(str(hit["document"]["id"]), float(hit["score"])) for hit in answer["result"][0]]
    documents, scores = (part[0] for part in answer) if route == "/batch_search" else answer
    return [(str(document["id"]), float(score)) for document, score in zip(documents, scores, strict=True)]


def measure(port: int, route: str, concurrency: int, seconds: float, queries: Path, first: int) -> Seen:
    """Run this module as a process; ``first`` is the number of its first query."""
    arguments = [str(value) for value in (port, route, concurrency, seconds, queries, first)]
    command = [sys.executable, "-m", "benchmarks.retriever.load", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)
    return Seen(**json.loads(done.stdout))


async def load(port: int, route: str, concurrency: int, seconds: float, texts: list[str], first: int) -> Seen:
    """A warm-up, then ``concurrency`` callers, one request after the other, for so long; the last ones end."""
    client = Client(port)
    numbers = count(first)

    async def caller(tally: _Tally, until: float) -> None:
        while time.perf_counter() < until:
            request = _request(route, distinct(texts, next(numbers)))
            begun = time.perf_counter()
            failure = await _failure(client, route, request)
            if failure:
                tally.failures.append(failure)
                return
            tally.took.append(time.perf_counter() - begun)

    async def callers(period: float) -> tuple[_Tally, float]:
        tally, begun = _Tally(), time.perf_counter()
        await asyncio.gather(*(caller(tally, begun + period) for _ in range(concurrency)))
        return tally, time.perf_counter() - begun

    warm, _ = await callers(min(WARM_S, seconds))
    tally, lasted = await callers(seconds)
    client.close()
    failures = warm.failures + tally.failures
    low, high = (float(np.percentile(tally.took or [0.0], share)) * 1000 for share in (50, 99))
    answers = len(tally.took)
    return Seen(answers, answers / lasted, low, high, len(failures), failures[0] if failures else "")


async def _failure(client: Client, route: str, request: bytes) -> str:
    try:
        status, answer = await asyncio.wait_for(client.exchange(request), _GIVE_UP_S)
    except (OSError, EOFError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"
    if status != 200:
        return f"{status}: {answer[:200].decode('utf-8', 'replace')}"
    found = len(ranking(route, json.loads(answer)))
    return "" if found == TOP else f"{found} documents instead of {TOP}"


def _request(route: str, query: str) -> bytes:
    content = json.dumps(body(route, query)).encode()
    head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def main() -> None:
    """See the module."""
    port, route, concurrency, seconds, queries, first = sys.argv[1:]
    texts = json.loads(Path(queries).read_text(encoding="utf-8"))
    seen = asyncio.run(load(int(port), route, int(concurrency), float(seconds), texts, int(first)))
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
