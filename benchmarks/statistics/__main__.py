"""Simulate every kind of interval and write the table of coverages: ``python -m benchmarks.statistics``.

The table replaces what stands between the two marks in the document; the exit code is 1 where an interval holds the truth
less often than it must and the report would not have warned.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import typer

from benchmarks.statistics.coverage import SIZES, Covered, cases, covered

LEAST = 0.93
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
_SLACK = 2
"""Standard errors of the simulation."""


def main(
    trials: int = 2000, seed: int = 0, write: Path = Path("docs/statistics.md"), only: str = "", check: bool = True
) -> None:
    """Simulate; ``only`` takes kinds that contain a text."""
    names = [number for number, case in enumerate(cases()) if only in case.kind]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(_run, [(number, trials, seed + number) for number in names], chunksize=4))
    listed = list(cases())
    rows = [Covered(listed[number], *result) for number, result in zip(names, found, strict=True)]
    text = table(rows, trials, seed)
    print(text)
    if not only:
        document = write.read_text()
        head, _, rest = document.partition(BEGIN)
        write.write_text(f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2]}")
    slack = _SLACK * (LEAST * (1 - LEAST) / trials) ** 0.5
    short = [r for r in rows if r.either < LEAST - slack and not r.case.kind.startswith("(")]
    for row in short:
        print(f"short: {row.case.kind}, {row.case.world}, n={row.case.questions}: {row.coverage:.3f}", file=sys.stderr)
    if short and check:
        raise typer.Exit(1)


def _run(job: tuple[int, int, int]) -> tuple[float, float, float]:
    number, trials, seed = job
    found = covered(list(cases())[number], trials, seed)
    return float(found.coverage), float(found.warned), float(found.either)


def table(rows: Sequence[Covered], trials: int, seed: int) -> str:
    """By kind and number of questions: the least and the mean coverage, and where the least was."""
    grouped: dict[tuple[str, int], list[Covered]] = defaultdict(list)
    for row in rows:
        grouped[row.case.kind, row.case.questions].append(row)
    kinds = dict.fromkeys(kind for kind, _ in grouped)
    lines = [
        f"{trials} trials a world, seed {seed}; simulation error about {100 * (0.05 * 0.95 / trials) ** 0.5:.1f} points.\n",
        "| interval | questions | worlds | mean coverage % | least coverage % | in the world | warned there % |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for kind in kinds:
        for n in SIZES:
            found = grouped[kind, n]
            least = min(found, key=lambda row: row.coverage)
            mean = sum(row.coverage for row in found) / len(found)
            lines.append(
                f"| {kind} | {n} | {len(found)} | {100 * mean:.1f} | {100 * least.coverage:.1f} | {least.case.world} | "
                f"{100 * least.warned:.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
