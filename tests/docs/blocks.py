"""Shell blocks of the documentation.

A fence's second word says where it runs: none here, in a test of its own; ``stack`` on a Compose stack that is up; ``walk`` in
``tests/e2e``, with two steps of training; ``norun`` nowhere by machine (it needs a cluster, a GPU, or is the gate itself).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ("README.md", "k8s/README.md", "docs/operations.md", "docs/teacher.md")
_FENCE = re.compile(r"^```sh([^\n]*)\n(.*?)^```$", re.M | re.S)
WHERE = ("", "stack", "walk", "norun")


@dataclass(frozen=True)
class Block:
    """A block and where it stands."""

    file: str
    line: int
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks() -> list[Block]:
    """Every shell block of the files, in order."""
    found = []
    for file in FILES:
        text = (ROOT / file).read_text()
        for match in _FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            found.append(Block(file, line, match[1].strip(), match[2]))
    return found
