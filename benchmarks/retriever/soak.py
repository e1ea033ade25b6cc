"""``python -m benchmarks.retriever.soak``: mixed traffic for an hour, after which the service must be as it was.

One service with BM25 and vectors (hybrid), callers that search, batch, retrieve and repeat themselves, and beside them
callers that vanish in the middle of a request, oversized and malformed requests, and a swap to another index at regular
intervals. It fails if an accepted request got no answer or a wrong one, or if memory, threads or descriptors grew: a line
is fitted through the second half of the samples, and its rise over that half must stay below a share of the mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.retriever import corpus
from benchmarks.retriever.building import start_build
from tests.support.service_process import ServiceProcess, running_process

SAMPLES = 60
GROWTH = {"private_mib": 0.05, "threads": 0.10, "descriptors": 0.10}
_SWAPS = 6
"""In the whole run; memory must not grow with them."""


@dataclass(frozen=True)
class Sample:
    """What the service holds at one moment."""

    seconds: float
    answered: int
    private_mib: float
    threads: int
    descriptors: int


class Traffic:
    """Callers of one service; ``counts`` says what became of their requests."""

    def __init__(self, service: ServiceProcess, until: float, seed: int) -> None:
        self.service, self.until = service, until
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._chance = random.Random(seed)
        self._client = httpx.AsyncClient(base_url=service.http, timeout=60, trust_env=False)

    async def run(self, callers: int, pause_s: float) -> None:
        """All callers, until the end."""
        await asyncio.gather(*(self._caller(pause_s) for _ in range(callers)), self._vanishing(), self._nonsense())
        await self._client.aclose()

    async def _caller(self, pause_s: float) -> None:
        while time.monotonic() < self.until:
            number = self._chance.randrange(2000)
            query = f"passage {number} about the river and its bridge"
            path, body, sizes = self._chance.choice(
                (
                    ("/search", {"query": query, "top_n": 5}, [5]),
                    ("/batch_search", {"query": [query, f"{query} again"], "top_n": 3}, [3, 3]),
                    ("/retrieve", {"queries": [query] * 3, "topk": 2, "return_scores": True}, [2, 2, 2]),
                )
            )
            answer = await self._client.post(path, json=body)
            self._judge(path, answer, sizes)
            await asyncio.sleep(pause_s)

    def _judge(self, path: str, answer: httpx.Response, sizes: list[int]) -> None:
        if answer.status_code == 429:
            self.counts["refused"] += 1
            return
        found = answer.json() if answer.status_code == 200 else None
        lists = {"/search": lambda f: [f], "/batch_search": lambda f: f, "/retrieve": lambda f: f["result"]}[path](found) \
            if found is not None else []  # fmt: skip
        if [len(hits) for hits in lists] == sizes:
            self.counts["answered"] += 1
        else:
            self.wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")

    async def _vanishing(self) -> None:
        port = int(self.service.http.rpartition(":")[2])
        while time.monotonic() < self.until:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            body = json.dumps({"query": [f"gone {n} {time.monotonic()}" for n in range(64)]}).encode()
            head = "POST /batch_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(
                f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // self._chance.choice((1, 2))]
            )
            await writer.drain()
            await asyncio.sleep(self._chance.uniform(0, 0.02))
            writer.close()
            self.counts["vanished"] += 1
            await asyncio.sleep(0.25)

    async def _nonsense(self) -> None:
        bodies: tuple[tuple[bytes, tuple[int, ...]], ...] = (
            (b'{"query": "' + b"x" * 20_000 + b'"}', (400,)),
            (b'{"query": "' + b"x" * 17_000_000 + b'"}', (413,)),
            (json.dumps({"query": "a", "top_n": 10**9}).encode(), (400,)),
            (b'{"query": ["a"]}', (422, 400)),
            (b"{", (422, 400)),
        )
        while time.monotonic() < self.until:
            body, right = self._chance.choice(bodies)
            try:
                answer = await self._client.post("/search", content=body, headers={"content-type": "application/json"})
            except httpx.WriteError:
                self.counts["cut off"] += 1  # a server may close before it has read what is too large
                continue
            self.counts["nonsense"] += 1
            if answer.status_code not in right:
                self.wrong.append(f"nonsense: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.5)


async def soak(minutes: float, callers: int, pause_s: float, seed: int, work: Path) -> tuple[list[Sample], Traffic]:
    """Run it; the samples and what became of the requests."""
    made = corpus.make(work, 20_000, vectors=False)
    with tempfile.TemporaryDirectory() as folder:
        indexes = [Path(folder, name) for name in ("one", "two")]
        for index in indexes:
            assert start_build(made.passages, index).wait() == 0
        options = ["--corpus-path", str(made.passages), "--index-path", str(indexes[0]), "--retrieval-method", "dense"]
        settings = ("encoder_factory=tests.support.synthetic_encoder:make", "hybrid=true", "cache_size=500")
        for setting in settings:
            options += ["--set", setting]
        with running_process("mentor_retriever", *options) as service:
            until = time.monotonic() + 60 * minutes
            traffic = Traffic(service, until, seed)
            samples: list[Sample] = []
            await asyncio.gather(
                traffic.run(callers, pause_s),
                _sampled(service, traffic, until, samples),
                _swapped(service, indexes, until, traffic),
            )
            return samples, traffic


async def _sampled(service: ServiceProcess, traffic: Traffic, until: float, samples: list[Sample]) -> None:
    began = time.monotonic()
    every = (until - began) / SAMPLES
    process = psutil.Process(service.process.pid)
    while time.monotonic() < until:
        memory = await asyncio.to_thread(process.memory_full_info)
        samples.append(
            Sample(
                seconds=round(time.monotonic() - began, 1),
                answered=traffic.counts["answered"],
                private_mib=round(memory.uss / 2**20, 1),
                threads=process.num_threads(),
                descriptors=process.num_fds(),
            )
        )
        print(samples[-1], flush=True)
        await asyncio.sleep(every)


async def _swapped(service: ServiceProcess, indexes: list[Path], until: float, traffic: Traffic) -> None:
    every = (until - time.monotonic()) / (_SWAPS + 1)
    async with httpx.AsyncClient(base_url=service.http, timeout=300, trust_env=False) as client:
        for number in range(1, _SWAPS + 1):
            await asyncio.sleep(every)
            answer = await client.post("/v1/index/swap", json={"index_path": str(indexes[number % 2])})
            if answer.status_code != 200 or answer.json()["generation"] != number + 1:
                traffic.wrong.append(f"swap: {answer.status_code} {answer.text[:200]}")
            traffic.counts["swaps"] += 1


def grown(samples: list[Sample]) -> list[str]:
    """What rose over the second half by more than it may."""
    later = samples[len(samples) // 2 :]
    found = []
    for name, share in GROWTH.items():
        values = np.array([getattr(sample, name) for sample in later], dtype=float)
        slope = np.polyfit(range(len(values)), values, 1)[0]
        rise = slope * (len(values) - 1)
        if rise > share * values.mean():
            found.append(f"{name} rose by {rise:.1f} of {values.mean():.1f}")
    return found


def main() -> int:
    """Run and judge; 1 if something failed or grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds of a caller between requests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(".mentor/bench-retriever"))
    parser.add_argument("--output", type=Path, default=Path("runs/soak-retriever"))
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    samples, traffic = asyncio.run(soak(chosen.minutes, chosen.callers, chosen.pause, chosen.seed, work))
    problems = [*traffic.wrong[:20], *grown(samples)]
    chosen.output.mkdir(parents=True, exist_ok=True)
    content = {"counts": traffic.counts, "problems": problems, "samples": [asdict(sample) for sample in samples]}
    (chosen.output / "soak.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(traffic.counts), *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
