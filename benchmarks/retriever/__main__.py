"""``python -m benchmarks.retriever``: the retriever beside the published servers, in one run on one machine.

Same corpus, same flat index, same encoder, single queries, no two of them the same. Every comparison alternates ours
and the peers over the rounds and prints medians with their range, the ratio of the medians and the number of answers.
``--part`` runs some of them; ``--output`` writes results as JSON and Markdown, and keeps there what an earlier run with
other parts has written. ``peers`` says how to name the peers' checkouts, ``corpus`` and ``queries`` real text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import Row, by_published_peers, closing, markdown
from benchmarks.retriever.limits import limits
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.rates import GOALS, encoder, scan
from benchmarks.retriever.recall import answer_recall
from benchmarks.retriever.same import same
from benchmarks.retriever.start import start

PARTS: dict[str, Callable[[Plan], list[Row]]] = {
    "same": same,
    "start": start,
    "scan": scan,
    "encoder": encoder,
    "recall": answer_recall,
    "limits": limits,
}

SETTINGS = {
    "--set": "a setting of our server",
    "--fast": "settings of our server that choose the faster encoder",
    "--memory": "settings of our server that hold the index in memory",
}


def main() -> int:
    """Run the chosen parts; 1 if a goal was missed or a request failed, 2 if one was not compared."""
    chosen = _arguments()
    plan = Plan(
        chosen.work.resolve(), chosen.rounds, chosen.seconds, chosen.passages, tuple(chosen.concurrency or GOALS),
        tuple(chosen.set), tuple(chosen.fast), tuple(chosen.memory),
    )  # fmt: skip
    rows: list[Row] = []
    for part in chosen.part or PARTS:
        print(f"-- {part}", file=sys.stderr, flush=True)
        found = by_published_peers(PARTS[part](plan))
        rows += found
        print("\n".join(row.line() for row in found), flush=True)
        if chosen.output:
            _write(chosen.output, found)
    status, said = closing(rows)
    print(said)
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS), help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one measurement, after a warm-up")
    parser.add_argument("--passages", type=int, help="in place of a million and a hundred thousand")
    parser.add_argument("--concurrency", type=int, action="append", help="callers of the part scan; default: 64, 16, 1")
    parser.add_argument("--work", type=Path, default=Path(".mentor/bench-retriever"), help="corpora are kept there")
    parser.add_argument("--output", type=Path, help="folder for retriever.json and retriever.md")
    for flag, meaning in SETTINGS.items():
        parser.add_argument(flag, action="append", default=[], metavar="NAME=VALUE", help=meaning)
    return parser.parse_args()


def _write(folder: Path, rows: list[Row]) -> None:
    """Add to what is there; a comparison of the same name with the same peer is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "retriever.json"
    kept = {(row.name, row.peer): row for row in (_read(path) if path.exists() else [])}
    every = list((kept | {(row.name, row.peer): row for row in rows}).values())
    path.write_text(json.dumps([row.plain() for row in every], indent=1) + "\n", encoding="utf-8")
    (folder / "retriever.md").write_text(markdown(every), encoding="utf-8")


def _read(path: Path) -> list[Row]:
    plain = json.loads(path.read_text(encoding="utf-8"))
    return [
        Row(**{name: value for name, value in row.items() if name not in ("ratio", "missed", "not_compared")})
        for row in plain
    ]


if __name__ == "__main__":
    sys.exit(main())
