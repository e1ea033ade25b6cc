"""``python -m benchmarks.rollout``: what the scheduling of trajectories costs, beside a bare HTTP client on the same server.

Trajectories of two turns, a server of fixed latency, each measurement in a process of its own: CPU of the process for a
trajectory, trajectories a second, and peak memory; with journal and judge too. Then latencies from a log-normal: ours beside a
barrier after every turn, which waits for the slowest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import Row, closing
from benchmarks.rollout import loops
from mentor.rollout.descriptors import make_room

IN_FLIGHT = (32, 500, 2000, 4000)
CPU_GOAL_MS, WITH_JUDGE_GOAL_MS = 4.0, 6.0


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
    """CPU milliseconds a trajectory, trajectories a second, MiB at the peak."""
    make_room(in_flight)
    plain = {"ours": loops.ours, "bare": loops.bare, "barrier": loops.barrier}
    cpu, started = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = (
            plain[kind](port, count, in_flight) if kind in plain else loops.judged(port, count, in_flight, Path(folder))
        )
        asyncio.run(work)
    spent, lasted = time.process_time() - cpu, time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_ms": 1000 * spent / count, "rate": count / lasted, "mib": peak}


def scheduling(rounds: int, latency_s: float) -> list[Row]:
    """Ours beside the bare client, at each number in flight, in turn."""
    rows = []
    for in_flight in IN_FLIGHT:
        count = max(300, 3 * in_flight)
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
    return rows


def barriers(rounds: int, median_s: float, sigma: float, in_flight: int = 64) -> list[Row]:
    """Latencies from a log-normal: samples that wait for nobody beside a barrier after every turn."""
    count = 10 * in_flight
    with server(str(median_s), str(sigma)) as port:
        seen = [
            tuple(measure(kind, port, count, in_flight)["rate"] for _ in range(rounds)) for kind in ("ours", "barrier")
        ]
    name = f"log-normal latencies (median {median_s:g} s, sigma {sigma:g}), {in_flight} in flight"
    return [Row(name, "1/s", seen[0], "a barrier after every turn", seen[1], rounds * count)]


def main() -> int:
    """Print the rows; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs=4, metavar=("KIND", "PORT", "COUNT", "IN_FLIGHT"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds a turn")
    args = parser.parse_args()
    if args.measure:
        kind, *numbers = args.measure
        print(json.dumps(measured(kind, *map(int, numbers))))
        return 0
    rows = [*scheduling(args.rounds, args.latency), *barriers(args.rounds, args.latency, 1.0)]
    print("\n".join(row.line() for row in rows))
    status, said = closing(rows)
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
