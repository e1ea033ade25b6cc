"""``python -m tests.hostile``: every hostile case against the sandbox in a locked-down container, and against peers.

Prints a table of scores. Needs Docker (or root, to start one). Peers run in containers too, without walls inside: what is
compared is what the service itself keeps apart. A case is won if nothing leaked, nothing stayed, the service still answers,
and the status is right (of peers only ok, error or time-out is asked).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.sandbox.peers import FUSION, FUSION_PYTHON
from tests.hostile.case import Case
from tests.hostile.cases import CASES
from tests.hostile.containers import IMAGE, Peer, SandboxFusion, StandIn, canary_folder, locked_down_sandbox
from tests.hostile.ours import LANES, client_of
from tests.hostile.suite import Canaries, Outcome, attack
from tests.smoke.docker import Docker, build_base_and, can_have_docker, daemon

PEERS = {
    "exec in the server (MENTOR/ReCall stand-in)": "exec_server",
    "python -I per call (stand-in)": "subprocess_server",
}
Scores = dict[str, dict[str, tuple[int, int]]]


def score(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, int]]:
    """(won, tried) by class."""
    tried = Counter(outcome.case.klass for outcome in outcomes)
    won = Counter(outcome.case.klass for outcome in outcomes if not outcome.problems)
    return {klass: (won[klass], number) for klass, number in tried.items()}


def problems(outcomes: dict[str, list[Outcome]]) -> dict[str, list[str]]:
    """Of every case that was not won."""
    return {f"{name}: {o.case.name}": list(o.problems) for name, found in outcomes.items() for o in found if o.problems}


def table(scores: Scores) -> str:
    """Markdown: a row for every class, a column for every service."""
    classes = sorted({klass for found in scores.values() for klass in found})
    lines = [f"| class | {' | '.join(scores)} |", f"|---|{'---|' * len(scores)}"]
    for klass in classes:
        cells = [f"{found[klass][0]}/{found[klass][1]}" if klass in found else "" for found in scores.values()]
        lines.append(f"| {klass} | {' | '.join(cells)} |")
    sums = [[sum(column) for column in zip(*found.values(), strict=True)] for found in scores.values()]
    lines.append(f"| all | {' | '.join(f'{won}/{tried}' for won, tried in sums)} |")
    return "\n".join(lines)


async def ours(url: str, canaries: Canaries, cases: Sequence[Case]) -> dict[str, list[Outcome]]:
    """Every lane of the sandbox at a URL."""
    found = {}
    async with client_of(url) as client:
        for lane in LANES:
            found[lane.name] = await attack(lane(client), cases, canaries, concurrency=8)
    return found


def peers(docker: Docker, canaries: Canaries) -> Iterator[Peer]:
    """The stand-ins, and SandboxFusion where its sources are named."""
    for name, module in PEERS.items():
        yield StandIn(docker, name, module, canaries)
    if FUSION in os.environ:
        yield SandboxFusion(docker, os.environ[FUSION], os.environ.get(FUSION_PYTHON, sys.executable), canaries)
    else:
        print(f"SandboxFusion is left out: {FUSION} names no checkout", file=sys.stderr)


async def peer(target: Peer, canaries: Canaries, cases: Sequence[Case]) -> list[Outcome]:
    """One after another: a case that takes the peer down must not count against the next."""
    target.restart()
    try:
        return await attack(target, cases, canaries, concurrency=1)
    finally:
        target.remove()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--output", type=Path, help="folder for hostile.md and hostile.json")
    options = parser.parse_args()
    if reason := can_have_docker():
        print(reason, file=sys.stderr)
        return 2
    with daemon() as docker, canary_folder() as canaries:
        build_base_and(docker, ["sandbox"])
        lost = run(docker, canaries, options.no_peers, options.output)
    return 1 if lost else 0


def run(docker: Docker, canaries: Canaries, no_peers: bool, output: Path | None) -> dict[str, list[str]]:
    """Attack, print, and return what the sandbox lost."""
    with locked_down_sandbox(docker, canaries) as url:
        outcomes = asyncio.run(ours(url, canaries, CASES))
    lost = problems(outcomes)
    for target in () if no_peers else peers(docker, canaries):
        outcomes[target.name] = asyncio.run(peer(target, canaries, CASES))
        print(f"{target.name}: started {target.starts} times", file=sys.stderr)
    scores: Scores = {name: score(found) for name, found in outcomes.items()}
    print(table(scores))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "hostile.md").write_text(table(scores) + "\n")
        (output / "hostile.json").write_text(
            json.dumps({"image": IMAGE, "scores": scores, "lost": problems(outcomes)}, indent=1) + "\n"
        )
    if lost:
        print(json.dumps(lost, indent=1), file=sys.stderr)
    return lost


if __name__ == "__main__":
    sys.exit(main())
