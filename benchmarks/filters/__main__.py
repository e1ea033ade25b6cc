"""``python -m benchmarks.filters [--size N] [--seed N] [--questions FILE] [--write FILE]``: recall and precision of every
filter.

Questions of a file (GSM8K's, say) take the templates' place where a filter looks at questions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.filters.made import Filtered, made
from benchmarks.marks import write_between
from mentor.analysis.shares import exact_interval
from mentor.data import read_questions
from mentor.trajectory import Frozen, Question
from mentor_teacher.filters import run_filter
from mentor_teacher.keeping import parse_uses

SIZE, SEED = 400, 0


class Row(Frozen):
    """One filter. ``missed`` and ``wrongly``: how cases were made that it let through, or dropped without cause, with
    their number.
    """

    name: str
    planted: int
    clean: int
    found: int
    missed: dict[str, int]
    wrongly: dict[str, int]

    @property
    def recall(self) -> float:
        return self.found / max(1, self.planted)

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + sum(self.wrongly.values()))


def measure(name: str, filtered: Filtered) -> Row:
    """What a filter says of its cases."""
    (use,) = parse_uses([filtered.use])
    said = run_filter(use, [case.candidate for case in filtered.cases])
    both = list(zip(filtered.cases, said, strict=True))
    missed = Counter(case.planted for case, why in both if case.planted is not None and why is None)
    wrongly = Counter(case.clean for case, why in both if case.planted is None and why is not None)
    planted = sum(case.planted is not None for case, _ in both)
    return Row(
        name=name, planted=planted, clean=len(both) - planted, found=planted - missed.total(),
        missed=dict(missed.most_common()), wrongly=dict(wrongly.most_common()),
    )  # fmt: skip


def rows(seed: int = SEED, size: int = SIZE, questions: Sequence[Question] = ()) -> list[Row]:
    """Every filter."""
    with tempfile.TemporaryDirectory() as folder:
        return [measure(name, filtered) for name, filtered in made(seed, size, Path(folder), questions).items()]


def table(found: Sequence[Row], seed: int, of: str) -> str:
    """Markdown."""
    head = "| filter | planted | clean | recall | precision | let through | dropped wrongly |\n|---|---:|---:|---|---|---|---|"
    lines = [
        f"| `{r.name}` | {r.planted} | {r.clean} | {_share(r.found, r.planted)} | "
        f"{_share(r.found, r.found + sum(r.wrongly.values()))} | {_listed(r.missed)} | {_listed(r.wrongly)} |"
        for r in found
    ]
    return "\n".join([f"Questions: {of}; seed {seed}; 95% intervals (Clopper-Pearson).\n", head, *lines, ""])


def _share(hits: int, of: int) -> str:
    if not of:
        return "–"
    low, high = exact_interval(hits / of, of)
    return f"{hits / of:.3f} ({low:.3f}–{high:.3f})"


def _listed(counts: dict[str, int], most: int = 4) -> str:
    shown = [
        f"{number} × {' '.join(name.split())[:60].replace('|', '/')}" for name, number in list(counts.items())[:most]
    ]
    rest = sum(list(counts.values())[most:])
    return "; ".join([*shown, *([f"{rest} others"] if rest else [])]) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help="planted cases of a filter")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--questions", type=Path, help="a question set to make cases of")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    arguments = parser.parse_args()
    questions = read_questions(arguments.questions) if arguments.questions else []
    of = f"of {arguments.questions.name}, then templates" if questions else "of templates"
    text = table(rows(arguments.seed, arguments.size, questions), arguments.seed, of)
    print(text)
    if arguments.write:
        write_between(arguments.write, text)


if __name__ == "__main__":
    main()
