"""``python -m benchmarks.judges [--write FILE]``: every judge on every labelled pair, one after another."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.judges.candidates import Plain, Say, by_judge, by_qa, by_qa_raw, by_string
from benchmarks.judges.labelled import PARAPHRASE, Pair, labelled
from benchmarks.marks import write_between
from mentor.grading import MathJudge
from mentor.trajectory import Frozen


class Row(Frozen):
    """One judge. Times in milliseconds of wall time per pair."""

    judge: str
    n: int
    right: int
    false_positives: tuple[str, ...]
    false_negatives: tuple[str, ...]
    timeouts: int
    median_ms: float
    p95_ms: float


def measure(name: str, say: Say, pairs: Sequence[Pair]) -> Row:
    """One judge's verdicts beside the labels."""
    said, times = [], []
    for pair in pairs:
        started = time.perf_counter()
        said.append(say(pair))
        times.append(1000 * (time.perf_counter() - started))
    both = list(zip(pairs, said, strict=True))
    positives = tuple(pair.id for pair, verdict in both if verdict and not pair.right)
    negatives = tuple(pair.id for pair, verdict in both if not verdict and pair.right)
    return Row(
        judge=name, n=len(pairs), right=len(pairs) - len(positives) - len(negatives), false_positives=positives,
        false_negatives=negatives, timeouts=said.count(None), median_ms=statistics.median(times),
        p95_ms=statistics.quantiles(times, n=20)[-1],
    )  # fmt: skip


def table(title: str, rows: Sequence[Row], pairs: Sequence[Pair]) -> str:
    """Markdown."""
    share = f"{len(pairs)} pairs, {sum(pair.right for pair in pairs)} of them right"
    head = (
        "| judge | accuracy | false positives | false negatives | time-outs | median ms | p95 ms |\n" + "|---" * 7 + "|"
    )
    lines = [
        f"| {r.judge} | {r.right / r.n:.1%} | {len(r.false_positives)} | {len(r.false_negatives)} | {r.timeouts} "
        f"| {r.median_ms:.2f} | {r.p95_ms:.1f} |"
        for r in rows
    ]
    return "\n".join([f"### {title}\n\n{share}.\n", head, *lines, ""])


def run() -> list[tuple[str, list[Row], list[Pair]]]:
    """Every table."""
    math, qa = labelled("math"), labelled("qa")
    strings = [pair for pair in qa if pair.group != PARAPHRASE]
    readers = [pair for pair in qa if pair.group == PARAPHRASE]
    judge, plain, boxed = MathJudge(), Plain(last_box=False), Plain(last_box=True)
    judge.grade("x", "y+1")  # its zygote starts once in a process' life
    candidates: list[tuple[str, Say]] = [
        ("math_response (ours)", by_judge(judge)), ("symbolic_response (ours, second)", by_judge(judge, "symbolic")),
        ("math-verify as it comes", plain), ("math-verify, last box", boxed), ("string equality, last box", by_string),
    ]  # fmt: skip
    of_qa: list[tuple[str, Say]] = [
        ("qa_response: exact match (ours)", by_qa("em")), ("substring match (ours)", by_qa("sub_em")),
        ("exact match of the whole response", by_qa_raw("em")),
        ("substring match of the whole response", by_qa_raw("sub_em")),
    ]  # fmt: skip
    try:
        return [
            ("Mathematics", [measure(name, say, math) for name, say in candidates], math),
            ("Questions with short answers", [measure(name, say, strings) for name, say in of_qa], strings),
            (
                "Paraphrases, which only a reader can tell",
                [measure(name, say, readers) for name, say in of_qa[:2]],
                readers,
            ),
        ]
    finally:
        for each in (judge, plain, boxed):
            each.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this file")
    arguments = parser.parse_args()
    tables = run()
    text = "\n".join(table(*each) for each in tables)
    print(text)
    for row in tables[0][1][:1]:
        print("false positives:", *row.false_positives, " false negatives:", *row.false_negatives)
    if arguments.write:
        write_between(arguments.write, text)


if __name__ == "__main__":
    main()
