"""Verdicts on results: each in a process that may die, none of which outlives its deadline."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from mentor.errors import UserError
from mentor.trajectory import Frozen
from mentor_evaluator.bfcl.categories import ALL, MULTI_TURN, Mode, category_of
from mentor_evaluator.bfcl.processes import Processes, ProcessLost

Item = tuple[str, Any]
"""An entry's id, and a result in the official shape."""
_BATCH = 1280
_LINE = 64


class Verdict(Frozen):
    """What the checkers said. ``reason``: ``right``, an official error type, ``refused`` (the output reaches for what no
    answer needs), ``timeout`` or ``killed`` (twice), or ``checker_error`` (the official runner would have ended)."""

    id: str
    valid: bool
    reason: str
    detail: str = ""


class ScoringLimits(Frozen):
    """``seconds``: of a verdict or a line of some, before its process is killed. ``processes``: at once; 0: one per core."""

    seconds: float = Field(default=20.0, gt=0)
    processes: int = Field(default=0, ge=0)

    @property
    def width(self) -> int:
        """Processes at once."""
        return self.processes or len(os.sched_getaffinity(0))


class Scorer:
    """Scores results with the package's checkers.

    Single requests share a process by the thousand, which loses nothing: where it ends before all verdicts have come, the
    next one tells them one by one, what ends that as well is wrong, and the rest goes on. Conversations with simulators
    have a process each.

    Args:
        mode: how results are to be read.
        underscored: whether the model was shown ``a_b`` for ``a.b``; by default so in function-calling mode.
    """

    def __init__(
        self, processes: Processes, mode: Mode, *, underscored: bool | None = None, limits: ScoringLimits | None = None
    ) -> None:
        self._processes, self._mode = processes, mode
        self._underscored = mode == "fc" if underscored is None else underscored
        self._limits = limits or ScoringLimits()

    async def score(self, items: Iterable[Item]) -> list[Verdict]:
        """Verdicts in the order of the items. Neither order, repetition nor company changes any of them.

        Raises:
            UserError: an id is of no category.
            InfrastructureError: no process could be started.
        """
        pending = list(items)
        for category in {_known_category(entry_id) for entry_id, _ in pending}:
            self._processes.load("checked", category)
        gate = asyncio.Semaphore(self._limits.width)

        async def bounded(batch: Sequence[int]) -> None:
            async with gate:
                for number, verdict in zip(batch, await self._batch([pending[n] for n in batch]), strict=True):
                    verdicts[number] = verdict

        verdicts: dict[int, Verdict] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for batch in self._batches(pending):
                    group.create_task(bounded(batch))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [verdicts[n] for n in range(len(pending))]

    def _batches(self, items: Sequence[Item]) -> list[list[int]]:
        """Numbers of the items that share a process."""
        alone = [[n] for n, (entry_id, _) in enumerate(items) if category_of(entry_id) in MULTI_TURN]
        shared = [n for n, (entry_id, _) in enumerate(items) if category_of(entry_id) not in MULTI_TURN]
        size = max(1, min(_BATCH, -(-len(shared) // self._limits.width)))
        return [*(shared[n : n + size] for n in range(0, len(shared), size)), *alone]

    async def _batch(self, items: Sequence[Item]) -> list[Verdict]:
        verdicts, lost = await self._run(items, _LINE)
        while lost is not None:
            # Whose fault it was is not known, if anybody's here: what ends a second process, in a line of its own, is.
            found, lost = await self._run(items[len(verdicts) :], 1)
            verdicts += found
            if lost is not None:
                entry_id = items[len(verdicts)][0]
                verdicts.append(Verdict(id=entry_id, valid=False, reason="timeout" if lost.timed_out else "killed"))
                found, lost = await self._run(items[len(verdicts) :], _LINE)
                verdicts += found
        return verdicts

    async def _run(self, items: Sequence[Item], every: int) -> tuple[list[Verdict], ProcessLost | None]:
        """Verdicts, so many to a line, until the process is done or lost."""
        verdicts: list[Verdict] = []
        how = {"mode": self._mode, "underscored": self._underscored, "every": every}
        async with self._processes.child() as child:
            try:
                await child.send({"do": "score", "items": items} | how)
                while len(verdicts) < len(items):
                    line = await child.receive(self._limits.seconds)
                    told = zip(items[len(verdicts) :], line["verdicts"], strict=False)
                    verdicts += [Verdict(id=entry_id, **verdict) for (entry_id, _), verdict in told]
            except ProcessLost as lost:
                return verdicts, lost
        return verdicts, None


def _known_category(entry_id: str) -> str:
    category = category_of(entry_id)
    if category not in ALL:
        raise UserError(f"{entry_id!r} is no id of BFCL v4", field="results", allowed="ids such as simple_python_0")
    return category
