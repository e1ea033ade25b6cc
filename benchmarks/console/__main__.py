"""``python -m benchmarks.console``: 200,000 trajectories of five jobs, gathered by a console and searched.

Prints what the goals ask for: seconds until everything is in the index, the first page of every filter (median and worst of
the rounds), and the console's memory. All of it with a real Redis, store and services on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.console.asked import ask
from benchmarks.console.made import write_jobs
from tests.support.committed import browser, committed_jobs
from tests.support.service_process import ServiceProcess

PAGE_MS, BUILD_S, MEMORY_MB = 300.0, 120.0, 400.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.console", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="mentor-console-") as name, committed_jobs(Path(name)) as jobs:
        total, size, words = 0, 0, Counter[str]()
        for kind, artifact, path, lines in write_jobs(Path(name) / "made", args.count, args.seed):
            files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
            size += sum(file.stat().st_size for file in files)
            words.update(_words(files[0]))
            jobs.job(kind, {artifact: path})
            total += lines
        print(f"{total} trajectories of 5 jobs, {size / 1e9:.2f} GB, seed {args.seed}", flush=True)
        common = [word for word, _ in words.most_common(3)]
        rare = min(words, key=lambda word: (words[word], word))
        begun = time.perf_counter()
        console = jobs.console()
        while console.metric("mentor_console_indexed_lines_total") < total:
            time.sleep(0.2)
        while console.metric("mentor_console_trajectories") == 0:
            time.sleep(0.2)
        built = time.perf_counter() - begun
        cache = sum(file.stat().st_size for file in Path(name, "console").glob("*.sqlite*"))
        rows = int(console.metric("mentor_console_trajectories"))
        times = psutil.Process(console.process.pid).cpu_times()
        cpu = times.user + times.system
        print(f"index: {built:.1f} s from the console's start (goal {BUILD_S:.0f}), {cpu:.1f} s of one core")
        print(f"{rows} rows, {cache / 1e6:.0f} MB beside the files")
        with browser(console) as client:
            answers = ask(client, args.rounds, common, rare)
        for answer in answers:
            worst = max(answer.milliseconds)
            print(f"{answer.name:36} median {answer.median:7.1f} ms  worst {worst:7.1f} ms  {answer.rows:3} rows")
        now, peak = memory(console)
        slowest = max(answer.median for answer in answers)
        print(f"slowest median {slowest:.1f} ms of {args.rounds} rounds (goal {PAGE_MS:.0f})")
        print(f"memory {now:.0f} MB, peak {peak:.0f} MB (goal {MEMORY_MB:.0f})")
        return int(built > BUILD_S or slowest > PAGE_MS or peak > MEMORY_MB)


def memory(console: ServiceProcess) -> tuple[float, float]:
    """Resident memory of the console now, and the most it ever had, in MB."""
    pid = console.process.pid
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return psutil.Process(pid).memory_info().rss / 1e6, peak * 1024 / 1e6


def _words(file: Path) -> Counter[str]:
    with file.open() as lines:
        found = [json.loads(line) for _, line in zip(range(200), lines, strict=False)]
    told = [line.get("trajectory", line) for line in found]
    return Counter(word for trajectory in told for turn in trajectory["turns"] for word in turn["text"].split())


if __name__ == "__main__":
    sys.exit(main())
