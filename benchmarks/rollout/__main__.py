"""``python -m benchmarks.rollout``: what the scheduling of trajectories costs, beside a bare HTTP client on the same server.

Trajectories of two turns, a server of fixed latency, each measurement in a process of its own: CPU of the process for a
trajectory, trajectories a second, and peak memory; with journal and judge too. Then latencies from a log-normal: ours beside a
barrier after every turn, which waits for the slowest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import Row, closing
from benchmarks.rollout import loops
from mentor.rollout.process import make_ready

IN_FLIGHT = (32, 500, 2000, 4000)
CPU_GOAL_MS, WITH_JUDGE_GOAL_MS = 4.0, 6.0
WAVES, FEWEST = 4, 320
"""Trajectories that every slot draws, more where these are few: all slots as many, so that none stands idle at the end."""
GOAL_SHARE = 0.95
"""Of the endpoint's capacity, or of one core's, whichever binds."""


@contextmanager
def server(*arguments: str) -> Iterator[int]:
    """The benchmark's server in a process of its own: its port."""
    command = [sys.executable, "-m", "benchmarks.rollout.server", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def measure(kind: str, port: int, count: int, in_flight: int) -> dict[str, float]:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rollout", "--measure", kind, str(port), str(count), str(in_flight)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(kind: str, port: int, count: int, in_flight: int) -> dict[str, float]:
    """CPU milliseconds a trajectory, trajectories a second once every slot has ended its first, MiB at the peak."""
    make_ready(in_flight)
    plain = {"ours": loops.ours, "bare": loops.bare, "barrier": loops.barrier}
    ends: list[float] = []
    cpu = time.process_time()

    def ended() -> None:
        ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        work = (
            plain[kind](port, count, in_flight, ended)
            if kind in plain
            else loops.judged(port, count, in_flight, Path(folder), ended)
        )
        asyncio.run(work)
    spent = time.process_time() - cpu
    first = len(ends) - count + in_flight  # the journal tells that it begins, too
    rate = (count - in_flight) / (ends[-1] - ends[first - 1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_ms": 1000 * spent / count, "rate": rate, "mib": peak}


def scheduling(rounds: int, latency_s: float, numbers: Sequence[int]) -> list[Row]:
    """Ours beside the bare client, at each number in flight, in turn."""
    rows = []
    for in_flight in numbers:
        count = max(-(-FEWEST // in_flight), WAVES) * in_flight
        with server(str(latency_s)) as port:
            seen = {kind: [] for kind in ("ours", "judged", "bare")}  # type: dict[str, list[dict[str, float]]]
            for _ in range(rounds):
                for kind, found in seen.items():
                    found.append(measure(kind, port, count, in_flight))
        samples, name = rounds * count, f"{in_flight} in flight"
        cpu = {kind: tuple(each["cpu_ms"] for each in found) for kind, found in seen.items()}
        rate = {kind: tuple(each["rate"] for each in found) for kind, found in seen.items()}
        peak = tuple(each["mib"] for each in seen["ours"])
        rows += [
            Row(f"{name}: CPU a trajectory", "ms", cpu["ours"], "allowed", (CPU_GOAL_MS,), samples, 1.0, True),
            Row(
                f"{name}: with journal and judge",
                "ms",
                cpu["judged"],
                "allowed",
                (WITH_JUDGE_GOAL_MS,),
                samples,
                1.0,
                True,
            ),
            Row(f"{name}: CPU a trajectory", "ms", cpu["ours"], "a bare aiohttp client", cpu["bare"], samples),
            Row(f"{name}: trajectories a second", "1/s", rate["ours"], "a bare aiohttp client", rate["bare"], samples),
            Row(f"{name}: peak memory", "MiB", peak, "allowed", (1024.0,), samples, 1.0, True),
        ]
        for kind, called in (("ours", "without"), ("judged", "with")):
            rows.append(bound(f"{name}, {called} journal and judge", in_flight, latency_s, seen[kind], samples))
    return rows


def bound(name: str, in_flight: int, latency_s: float, found: list[dict[str, float]], samples: int) -> Row:
    """Trajectories a second beside what binds them: the endpoint, or one core of the process that asks.

    A core's capacity is what the CPU of a trajectory allows; a core that others use has less, and misses.
    """
    endpoint = in_flight / (2 * latency_s)
    cores = [1000 / each["cpu_ms"] for each in found]
    binds = "the endpoint" if endpoint < min(cores) else "one core"
    allowed = tuple(min(endpoint, core) for core in cores)
    return Row(
        f"{name}: bound by {binds}",
        "1/s",
        tuple(each["rate"] for each in found),
        "the bound",
        allowed,
        samples,
        GOAL_SHARE,
    )


def barriers(rounds: int, median_s: float, sigma: float, in_flight: int = 64) -> list[Row]:
    """Latencies from a log-normal: samples that wait for nobody beside a barrier after every turn."""
    count = 10 * in_flight
    with server(str(median_s), str(sigma)) as port:
        seen = [
            tuple(measure(kind, port, count, in_flight)["rate"] for _ in range(rounds)) for kind in ("ours", "barrier")
        ]
    name = f"log-normal latencies (median {median_s:g} s, sigma {sigma:g}), {in_flight} in flight"
    print(f"{name}: the distribution predicts {predicted(sigma, in_flight):.2f} times the rate of a barrier")
    return [Row(name, "1/s", seen[0], "a barrier after every turn", seen[1], rounds * count)]


def predicted(sigma: float, in_flight: int, draws: int = 4000) -> float:
    """Expected slowest of so many latencies over the expected latency, by simulation (seed 0): what a barrier waits for."""
    rng = random.Random(0)
    slowest = (max(rng.lognormvariate(0.0, sigma) for _ in range(in_flight)) for _ in range(draws))
    return statistics.fmean(slowest) / math.exp(sigma * sigma / 2)


def main() -> int:
    """Print the rows; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs=4, metavar=("KIND", "PORT", "COUNT", "IN_FLIGHT"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds a turn")
    parser.add_argument("--in-flight", type=int, action="append", help="only these numbers in flight")
    args = parser.parse_args()
    if args.measure:
        kind, *numbers = args.measure
        print(json.dumps(measured(kind, *map(int, numbers))))
        return 0
    rows = [
        *scheduling(args.rounds, args.latency, args.in_flight or IN_FLIGHT),
        *barriers(args.rounds, args.latency, 1.0),
    ]
    print("\n".join(row.line() for row in rows))
    status, said = closing(rows)
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
