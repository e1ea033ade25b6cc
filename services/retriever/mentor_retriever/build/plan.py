"""What is to be built, and the journal of how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor_retriever.settings import RetrieverSettings

JOURNAL = "build.json"
Seen = Callable[[str, int, int], None]
"""Told of progress: the stage (``encode``, ``add``, ``checksum``), how many are done, and of how many."""


@dataclass(frozen=True)
class BuildPlan:
    """``chunk``: passages encoded and written at a time, what bounds memory; ``devices``: one process each if several."""

    settings: RetrieverSettings
    output: Path
    kind: str
    seed: int = 0
    chunk: int = 2048
    devices: tuple[str, ...] = ()
    threads: int = 1
    keep_vectors: bool = False


@dataclass(frozen=True)
class Journal:
    """What a build began as. A build with another beginning is not continued."""

    kind: str
    encoder: str
    dimension: int
    documents: int
    corpus_sha256: str
    seed: int
    chunk: int
    ranges: list[list[int]] = field(default_factory=list)
    """Rows [begin, end) that are encoded by themselves; they stay what they were if a build goes on with other devices."""

    def resume(self, folder: Path) -> Journal:
        """The journal that is in the folder if it began as this one does, else this one, now written there.

        Raises:
            UserError: another build was begun there.
        """
        path = folder / JOURNAL
        if not path.is_file():
            write_json(path, asdict(self))
            return self
        kept = Journal(**read_json(path))
        for name, value in asdict(self).items():
            if name != "ranges" and getattr(kept, name) != value:
                message = (
                    f"{folder} holds an unfinished build of another {name} ({getattr(kept, name)!r}, now {value!r})"
                )
                raise UserError(f"{message}; finish that one or remove the folder", field="output")
        return kept


def split(documents: int, chunk: int, parts: int) -> list[list[int]]:
    """Rows in ``parts`` ranges of whole chunks."""
    chunks = -(-documents // chunk)
    edges = [min(documents, chunk * (chunks * number // parts)) for number in range(parts + 1)]
    return [[begin, end] for begin, end in pairwise(edges) if begin < end]


def read_json(path: Path) -> dict[str, Any]:
    """A file that ``write_json`` wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f"{path.name}.part")
    fresh.write_text(json.dumps(content) + "\n", encoding="utf-8")
    fresh.replace(path)
