"""``python -m benchmarks.bfcl``: score the 2,501 AST entries (gold) with isolation and without, in alternation.

``whole``: from files to verdicts; the processes that it takes are started, their imports and reading included. ``checking``:
verdicts alone, everything read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mentor_evaluator.bfcl.categories import AST, Mode
from mentor_evaluator.bfcl.processes import Processes
from mentor_evaluator.bfcl.results import read_results, write_results
from mentor_evaluator.bfcl.scoring import Scorer
from tests.support.bfcl_gold import gold


def bare(folder: Path, mode: Mode) -> tuple[float, float]:
    """A fresh process with nothing around the package's checker: seconds of the whole, and of checking alone."""
    command = [sys.executable, "-m", "benchmarks.bfcl.bare", str(folder), mode, *AST]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, json.loads(done.stdout)["check_s"]


def isolated(folder: Path, mode: Mode) -> float:
    """As a running service does it: processes started, entries read, results scored, processes ended."""
    started = time.perf_counter()
    items = [(row["id"], row["result"]) for row in read_results(folder)]
    with Processes() as processes:
        asyncio.run(Scorer(processes, mode).score(items))
    return time.perf_counter() - started


def warm(folder: Path, mode: Mode, rounds: int) -> list[float]:
    """Seconds of scoring with everything read."""
    items = [(row["id"], row["result"]) for row in read_results(folder)]
    with Processes() as processes:
        asyncio.run(Scorer(processes, mode).score(items))
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            asyncio.run(Scorer(processes, mode).score(items))
            seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Alternate, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for mode in ("fc", "prompt"):
        compare(mode, arguments.rounds)


def compare(mode: Mode, rounds: int) -> None:
    """Both sides over the same result files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_results(({"id": i, "result": r} for category in AST for i, r in gold(category, mode)), folder)
        pairs = [(bare(folder, mode), isolated(folder, mode)) for _ in range(rounds)]
        checked = warm(folder, mode, rounds)
    _say(mode, "whole", [theirs[0] for theirs, _ in pairs], [ours for _, ours in pairs])
    _say(mode, "checking", [theirs[1] for theirs, _ in pairs], checked)


def _say(mode: str, what: str, theirs: list[float], ours: list[float]) -> None:
    bare_s, ours_s = statistics.median(theirs), statistics.median(ours)
    print(f"{mode:6} {what:8} bare {bare_s:6.3f} s  isolated {ours_s:6.3f} s  ratio {ours_s / bare_s:5.2f}")


if __name__ == "__main__":
    main()
