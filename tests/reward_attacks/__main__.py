"""``python -m tests.reward_attacks [--write FILE]``: what every attack earns, beside a reward that reads text."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.marks import write_between
from mentor.grading import MathJudge
from tests.reward_attacks.cases import ATTACKS, DESERVED, HONEST, Attack
from tests.reward_attacks.referee import Row, play, totals

START, END = "<!-- attacks -->", "<!-- /attacks -->"
COLUMNS = ("flexible", "paper_strict", "published_code", "sparse")


def rows(attacks: tuple[Attack, ...]) -> list[Row]:
    """Play and score."""

    async def all_of_them() -> list[Row]:
        return totals([await play(attack) for attack in attacks], judge)

    judge = MathJudge()
    try:
        return asyncio.run(all_of_them())
    finally:
        judge.close()


def table(found: list[Row]) -> str:
    """Markdown."""
    lines = [f"| what the student did | {' | '.join(f'`{c}`' for c in COLUMNS)} | reading text |", "|---" * 6 + "|"]
    for row in found:
        lines.append(f"| {row.name} | {' | '.join(f'{row.totals[c]:.2f}' for c in COLUMNS)} | {row.text:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    arguments = parser.parse_args()
    deserved, honest, *attacks = rows((DESERVED, HONEST, *ATTACKS))
    ours = sum(any(row.totals[name] > honest.totals[name] + 1e-9 for name in row.totals) for row in attacks)
    theirs = sum(row.text > honest.text + 1e-9 for row in attacks)
    summary = (
        f"{len(attacks)} attacks. Above an honest wrong answer: {ours} by any of our {len(honest.totals)} presets, "
        f"{theirs} by a reward that reads text."
    )
    text = f"{summary}\n\n{table([deserved, honest, *attacks])}"
    print(text)
    if arguments.write:
        write_between(arguments.write, f"{text}\n", START, END)


if __name__ == "__main__":
    main()
