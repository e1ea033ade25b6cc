"""BFCL v4, one suite per category; ``bfcl`` asks for all of them, ``bfcl-multi_turn`` and so on for a group's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from mentor.errors import UserError
from mentor.inference import SamplingParams
from mentor.rollout.driver import Sampler
from mentor.rollout.policy import Policy
from mentor.trajectory import Question
from mentor_evaluator.bfcl.categories import ALL, GROUPS, PACKAGE_VERSION, Mode, why_not
from mentor_evaluator.bfcl.entries import load_entries
from mentor_evaluator.bfcl.sampling import Drawing
from mentor_evaluator.scorers import Score
from mentor_evaluator.suites import Loaded

_MEMORIES = "memories"


@dataclass(frozen=True)
class BFCLSuite:
    """One category. ``options: {bfcl: {mode: prompt}}`` in an evaluation asks in prompt mode."""

    category: str
    mode: Mode = "fc"
    scorer: str = "bfcl"

    @property
    def name(self) -> str:
        return f"bfcl-{self.category}"

    @property
    def summary(self) -> str:
        return f"the category {self.category} of the Berkeley Function-Calling Leaderboard, version 4"

    @property
    def groups(self) -> tuple[str, ...]:
        return ("bfcl", *(f"bfcl-{group}" for group, members in GROUPS.items() if self.category in members))

    def unavailable(self) -> str | None:
        """Why it cannot be generated here."""
        return why_not(self.category, self.mode)

    def with_options(self, options: Mapping[str, Any]) -> BFCLSuite:
        """In another mode.

        Raises:
            UserError: an option that it does not understand.
        """
        mode = options.get("mode", self.mode)
        if set(options) - {"mode"} or mode not in get_args(Mode):
            raise UserError(
                f"options of bfcl: {dict(options)}", field="options.bfcl", allowed="mode: fc, or mode: prompt"
            )
        return replace(self, mode=mode)

    def load(self, folder: Path, *, skip_broken: bool = False) -> Loaded:
        """The entries; they come with the package, not from ``folder``. What a model is shown of them, the sampler knows."""
        questions = tuple(
            Question(
                id=entry["id"], question=_first_text(entry), tools=(), data_source="bfcl_v4", ability="tool_use",
                category=self.category, metadata={"mode": self.mode},
            )
            for entry in load_entries(self.category, hints=False)
        )  # fmt: skip
        return Loaded(questions=questions, sources={"bfcl-eval": PACKAGE_VERSION})

    @asynccontextmanager
    async def open_sampler(self, folder: Path, policy: Policy, sampling: SamplingParams) -> AsyncIterator[Sampler]:
        """Draws and scores entries in processes of their own; snapshots of memories are kept in ``folder``."""
        async with Drawing.open(self.mode, folder / _MEMORIES, policy, sampling) as drawing:
            yield drawing.draw

    def aggregate(self, scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
        return {}


def _first_text(entry: Mapping[str, Any]) -> str:
    """The first thing a user says; memories and conversations have a list of them."""
    turns = entry.get("question") or [[]]
    said = [message["content"] for turn in turns for message in turn if message.get("role") == "user"]
    return str(said[0]) if said else str(entry["id"])


PLUGINS = tuple(BFCLSuite(category) for category in ALL)
