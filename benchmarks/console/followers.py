"""``python -m benchmarks.console.followers``: many browsers follow one job's events; what share of a core the console takes.

The job reports as often as a job may at most, five times a second. Real Redis, store, trainer service and console.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from tests.support.committed import CommittedJobs, committed_jobs
from tests.support.service_process import ServiceProcess

GOAL = 0.10
_PER_SECOND = 5


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.console.followers", description=__doc__)
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory(prefix="mentor-console-") as name,
        committed_jobs(Path(name), services=("trainer",)) as jobs,
    ):
        away = {f"MENTOR_CONSOLE_{other}_URL": "http://127.0.0.1:9" for other in ("TEACHER", "EVALUATOR")}
        console = jobs.console(MENTOR_CONSOLE_GATHER_S="3600", **away)
        share, heard, told = asyncio.run(_follow(jobs, console, args.followers, args.seconds))
    print(f"{args.followers} followers, {told} events in {args.seconds:.0f} s, {heard} heard in all")
    print(f"{100 * share:.1f} % of a core (goal {100 * GOAL:.0f})")
    return int(share > GOAL or heard < args.followers * told)


async def _follow(
    jobs: CommittedJobs, console: ServiceProcess, followers: int, seconds: float
) -> tuple[float, int, int]:
    job, _ = jobs.store.submit("train", {"model": "student"})
    claim = jobs.store.claim(job.id, "benchmark")
    assert claim is not None
    heard = 0

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal heard
        async with client.stream("GET", f"/api/jobs/{job.id}/events", timeout=None) as answer:
            async for line in answer.aiter_lines():
                heard += line.startswith("event: progress")

    limits = httpx.Limits(max_connections=followers + 1)
    async with httpx.AsyncClient(base_url=console.http, trust_env=False, limits=limits) as client:
        tasks = [asyncio.create_task(one(client)) for _ in range(followers)]
        await asyncio.sleep(5)
        process, begun = psutil.Process(console.process.pid), time.perf_counter()
        before, told = sum(process.cpu_times()[:2]), 0
        while time.perf_counter() - begun < seconds:
            figures = {f"figure_{n}": n * told / 7 for n in range(20)}
            data = {"fraction": 0.5, "message": f"step {told}", "metrics": figures}
            await asyncio.to_thread(jobs.store.record, job.id, claim.fence, "progress", data)
            told += 1
            await asyncio.sleep(1 / _PER_SECOND)
        await asyncio.sleep(2)
        took = time.perf_counter() - begun
        share = (sum(process.cpu_times()[:2]) - before) / took
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return share, heard, told


if __name__ == "__main__":
    sys.exit(main())
