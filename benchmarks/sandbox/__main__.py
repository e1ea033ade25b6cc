"""``python -m benchmarks.sandbox``: the sandbox beside its peers, in one run on one machine.

Every comparison alternates ours and the peers over the rounds and prints medians with their range, the ratio of the
medians and both numbers of calls. ``--part`` runs some of them; ``--output`` writes results as JSON and Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.results import Row, closing, markdown
from benchmarks.sandbox import cpu, neighbours, rates

PARTS: dict[str, Callable[[int, float], Awaitable[list[Row]]]] = {
    "untrusted": rates.untrusted,
    "registered": rates.registered,
    "cpu": cpu.per_call,
    "neighbours": neighbours.noisy,
}


async def main() -> int:
    """Run the chosen parts; 1 if a goal was missed, 2 if one could not be compared for want of its peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS), help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--output", type=Path, help="folder for sandbox.json and sandbox.md")
    chosen = parser.parse_args()
    rows: list[Row] = []
    for part in chosen.part or PARTS:
        found = await PARTS[part](chosen.rounds, chosen.seconds)
        rows += found
        print("\n".join(row.line() for row in found), flush=True)
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        content = [row.plain() for row in rows]
        (chosen.output / "sandbox.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (chosen.output / "sandbox.md").write_text(markdown(rows), encoding="utf-8")
    status, said = closing(rows)
    print(said)
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
