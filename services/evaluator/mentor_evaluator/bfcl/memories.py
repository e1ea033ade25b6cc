"""Memories are filled before they are asked about: by prerequisite conversations, each from the snapshot of the one before.

What a finished conversation left behind is kept in a file, so that a killed run goes on after it.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from mentor.data.files import write_text
from mentor_evaluator.bfcl.categories import Mode, category_of
from mentor_evaluator.bfcl.entries import load_entries
from mentor_evaluator.bfcl.generate import Outcome

Snapshot = dict[str, Any] | None
Converse = Callable[[str, Snapshot], Awaitable[Outcome]]


class Memories:
    """Runs memory entries, and what each needs first: once per backend, scenario and sample.

    Args:
        folder: for snapshots and the records of prerequisites.
    """

    def __init__(self, folder: Path, mode: Mode) -> None:
        self._folder, self._mode = folder, mode
        self._locks: defaultdict[tuple[str, ...], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, entry_id: str, sample: int, converse: Converse) -> Outcome:
        """Draw a sample of an entry. If its memory was lost to an outage of ours, so is the sample."""
        chain = chain_of(category_of(entry_id))[entry_id]
        snapshot: Snapshot = None
        async with self._locks[(*chain, str(sample))]:
            for prerequisite in chain:
                outcome = await self._prerequisite(prerequisite, sample, snapshot, converse)
                if outcome.failed:
                    return outcome.model_copy(update={"id": entry_id, "record": {}, "snapshot": None})
                snapshot = outcome.snapshot
        return await converse(entry_id, snapshot)

    async def _prerequisite(self, entry_id: str, sample: int, before: Snapshot, converse: Converse) -> Outcome:
        path = self._folder / f"sample_{sample}" / self._mode / f"{entry_id}.json"
        if path.exists():
            return Outcome.model_validate_json(path.read_text())
        outcome = await converse(entry_id, before)
        if outcome.failed:
            return outcome
        if outcome.snapshot is None:  # the model's doing (a context that ran full): what was known before stays known
            outcome = outcome.model_copy(update={"snapshot": before})
        write_text(path, outcome.model_dump_json())
        return outcome

    def records(self, sample: int = 0) -> list[dict[str, Any]]:
        """Records of the prerequisites that are done, for official result files."""
        found = sorted((self._folder / f"sample_{sample}" / self._mode).glob("memory_*.json"))
        return [json.loads(path.read_text())["record"] for path in found]


@cache
def chain_of(category: str) -> dict[str, tuple[str, ...]]:
    """For each entry of a memory category, the prerequisites to run before it, in order."""
    return {entry["id"]: tuple(entry["depends_on"]) for entry in load_entries(category)}
