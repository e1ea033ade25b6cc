"""The benchmark as a whole: openings, samples, memories and scores, over processes that it starts when they are needed."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mentor.errors import InfrastructureError
from mentor.inference.base import SamplingParams
from mentor.rollout.policy import Policy
from mentor_evaluator.bfcl.categories import (
    ENCODER_NAME,
    MEMORY,
    SEARCH_KEY,
    WEB_SEARCH,
    Mode,
    category_of,
    encoder_folder,
    is_multi_step,
    why_not,
)
from mentor_evaluator.bfcl.entries import Entry, load_entries
from mentor_evaluator.bfcl.generate import GenerationLimits, Outcome, run_conversation, run_single
from mentor_evaluator.bfcl.memories import Memories
from mentor_evaluator.bfcl.processes import Processes, ProcessLost
from mentor_evaluator.bfcl.scoring import Item, Scorer, ScoringLimits, Verdict
from mentor_evaluator.bfcl.simulators import Opening, Simulator

_OPENING_SECONDS = 300.0
_BLOCK = 64
_SIMULATORS = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"


class Bench:
    """BFCL in one mode; a context manager that ends every process that it started.

    Args:
        mode: function-calling or prompt.
        memory_folder: where snapshots of memories are kept, so that a later attempt goes on from there.
        generation: bounds of a sample.
        scoring: bounds of a verdict.

    Raises:
        UserError: the package is not installed, or in another version.
    """

    def __init__(
        self,
        mode: Mode,
        memory_folder: Path,
        *,
        generation: GenerationLimits | None = None,
        scoring: ScoringLimits | None = None,
    ) -> None:
        self.mode = mode
        self.generation = generation or GenerationLimits()
        self._scoring = scoring or ScoringLimits()
        self._processes: dict[str, Processes] = {"plain": Processes()}
        self._ids: dict[str, list[str]] = {}
        self._openings: dict[str, Opening] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.memories = Memories(memory_folder, mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for processes in self._processes.values():
            processes.close()

    def not_run(self, categories: Iterable[str]) -> dict[str, str]:
        """Those of the categories that cannot be generated here, and why."""
        return {category: why for category in categories if (why := why_not(category, self.mode)) is not None}

    def entry_ids(self, category: str) -> list[str]:
        """Ids of a category's entries, in the official order; memory prerequisites run by themselves."""
        if category not in self._ids:
            self._ids[category] = [entry["id"] for entry in load_entries(category, hints=False)]
        return self._ids[category]

    async def openings(self, category: str) -> dict[str, Opening]:
        """What a model is shown of every entry of a single-turn category, by id."""
        return {entry_id: await self._opening(entry_id) for entry_id in self.entry_ids(category)}

    async def _opening(self, entry_id: str) -> Opening:
        """Of one entry; its neighbours are read with it."""
        category = category_of(entry_id)
        async with self._locks[category]:
            if entry_id not in self._openings:
                ids = await asyncio.to_thread(self.entry_ids, category)
                first = ids.index(entry_id) // _BLOCK * _BLOCK
                await self._read_openings(category, ids[first : first + _BLOCK])
        return self._openings[entry_id]

    async def _read_openings(self, category: str, ids: list[str]) -> None:
        processes = self._processes["plain"]
        processes.load("shown", category)
        async with processes.child() as child:
            try:
                await child.send({"do": "open", "category": category, "ids": ids, "mode": self.mode})
                for entry_id in ids:
                    self._openings[entry_id] = Opening.model_validate(await child.receive(_OPENING_SECONDS))
            except ProcessLost as lost:
                raise InfrastructureError(f"prompts of {category} could not be made ({lost})") from lost

    async def run(self, entry_id: str, policy: Policy, sampling: SamplingParams, sample: int = 0) -> Outcome:
        """Draw one sample of an entry; for a memory, first (once) the conversations that fill it.

        Raises:
            UserError: the model's server refuses requests of this kind.
            InfrastructureError: prompts could not be made.
        """
        category = category_of(entry_id)
        if not is_multi_step(category):
            opening = await self._opening(entry_id)
            return await run_single(entry_id, opening, policy, self.mode, sampling, self.generation, sample)
        if category in MEMORY:
            return await self.memories.run(
                entry_id, sample, lambda i, s: self._converse(i, policy, sampling, sample, s)
            )
        return await self._converse(entry_id, policy, sampling, sample, None)

    async def _converse(
        self, entry_id: str, policy: Policy, sampling: SamplingParams, sample: int, snapshot: dict[str, Any] | None
    ) -> Outcome:
        category = category_of(entry_id)
        processes = await self._processes_for(category)
        start: Entry = {"do": "start", "id": entry_id, "mode": self.mode, "snapshot": snapshot}
        if category in WEB_SEARCH:
            start["key"] = os.environ.get(SEARCH_KEY)
        if category == "memory_vector":
            start["encoder"] = str(encoder_folder())
        async with Simulator(processes, start, self.mode, self._call_s(category)) as simulator:
            return await run_conversation(
                entry_id,
                simulator,
                policy,
                self.mode,
                sampling,
                self.generation,
                sample,
                remember="_prereq" in entry_id,
            )

    def _call_s(self, category: str) -> float:
        """The web is slower than a simulator, and its client waits by itself when it is told to."""
        return self.generation.call_s * (4 if category in WEB_SEARCH else 1)

    async def _processes_for(self, category: str) -> Processes:
        """Those with a network for web search, with the embedding model for a memory of vectors, else the plain ones."""
        kind = "web" if category in WEB_SEARCH else category if category == "memory_vector" else "plain"
        async with self._locks["processes"]:
            if kind not in self._processes:
                self._processes[kind] = await asyncio.to_thread(_special, kind)
            self._processes[kind].load("shown", category)
            if category in MEMORY:
                self._processes[kind].load("import", f"{_SIMULATORS}.{category}")
        return self._processes[kind]

    async def score(self, items: Iterable[Item], *, underscored: bool | None = None) -> list[Verdict]:
        """Verdicts on results; see ``Scorer``."""
        return await Scorer(self._processes["plain"], self.mode, underscored=underscored, limits=self._scoring).score(
            items
        )


def _special(kind: str) -> Processes:
    if kind == "web":
        return Processes(network=True)
    return Processes(encoder=(ENCODER_NAME, str(encoder_folder())))
