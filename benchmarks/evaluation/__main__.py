"""``python -m benchmarks.evaluation``: samples a second of a whole evaluation beside a bare asynchronous client.

A server of fixed latency, two requests a sample; ours plans, writes a manifest, draws, scores by the math judge,
journals and reports, the bare client only asks. With ``MENTOR_BENCH_INSPECT=PYTHON``, an interpreter that has inspect-ai, its
evaluation of as many samples stands beside, start-up taken off on both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import Row, closing
from benchmarks.rollout import loops
from benchmarks.rollout.__main__ import server
from benchmarks.rollout.server import MODEL
from mentor.rollout.process import make_ready
from mentor.rollout.solve import Unwatched
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec

IN_FLIGHT = (32, 256, 1000)
GOAL = 0.9
INSPECT_SAMPLES, INSPECT_IN_FLIGHT = 200, 32


def ours(port: int, count: int, in_flight: int) -> None:
    """A whole evaluation of so many questions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ({"id": n, "question": loops.TEXT.format(n=n), "answer": 5} for n in range(count))
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        spec = EvaluationSpec.model_validate(
            {
                "models": [{"name": "fixed", "model": {"url": f"http://127.0.0.1:{port}", "name": MODEL}}],
                "own": [{"name": "eggs", "file": str(folder / "rows.jsonl")}],
                "tools": "without", "concurrency": in_flight, "sampling": {"max_tokens": 512, "seed": 0},
            }
        )  # fmt: skip
        run = folder / "run"
        cells = prepare(spec, run)
        assert draw_matrix(spec, cells, run, Unwatched(run))
        report = matrix_report(spec, cells, run)
        assert report["cells"]["fixed/eggs/no-tools"]["accuracy"]["mean"] == 1.0


def bare(port: int, count: int, in_flight: int) -> None:
    """The same requests, and nothing else."""
    make_ready(in_flight)
    asyncio.run(loops.bare(port, count, in_flight, lambda: None))


def rate(work: Callable[[int, int, int], None], port: int, count: int, in_flight: int) -> float:
    """Samples a second."""
    started = time.perf_counter()
    work(port, count, in_flight)
    return count / (time.perf_counter() - started)


def compared(rounds: int, latency_s: float) -> list[Row]:
    """Ours beside the bare client at each number in flight, in turn."""
    rows = []
    for in_flight in IN_FLIGHT:
        count = max(600, 4 * in_flight)
        with server(str(latency_s)) as port:
            ours(port, 8, 8)  # the judge's workers start once
            seen: dict[str, list[float]] = {"ours": [], "bare": []}
            for _ in range(rounds):
                seen["ours"].append(rate(ours, port, count, in_flight))
                seen["bare"].append(rate(bare, port, count, in_flight))
        name = f"{in_flight} in flight: samples a second"
        rows.append(Row(name, "1/s", tuple(seen["ours"]), "a bare loop", tuple(seen["bare"]), rounds * count, GOAL))
    return rows


def beside_inspect(python: str, latency_s: float) -> Row:
    """inspect-ai's evaluation of as many samples, as it measures itself (its log's start and end)."""
    script = Path(__file__).with_name("inspect_task.py")
    with server(str(latency_s)) as port:
        mine = rate(ours, port, INSPECT_SAMPLES, INSPECT_IN_FLIGHT)
        command = [python, str(script), str(port), str(INSPECT_SAMPLES), str(INSPECT_IN_FLIGHT)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = INSPECT_SAMPLES / float(done.stdout.splitlines()[-1])
    return Row(
        f"{INSPECT_IN_FLIGHT} in flight, one task: samples a second",
        "1/s",
        (mine,),
        "inspect-ai",
        (theirs,),
        INSPECT_SAMPLES,
    )


def main() -> int:
    """Print the rows; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds a turn")
    options = parser.parse_args()
    rows = compared(options.rounds, options.latency)
    if python := os.environ.get("MENTOR_BENCH_INSPECT"):
        rows.append(beside_inspect(python, options.latency))
    print("\n".join(row.line() for row in rows))
    status, said = closing(rows)
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
