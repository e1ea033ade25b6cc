"""What the retrieving strategies share: looking up, showing what was found, and putting single generations together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentor.errors import InfrastructureError, UserError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner, rollout
from mentor.rollout.policy import Policy
from mentor.rollout.prompts import user_messages
from mentor.tools import WIKIPEDIA_SEARCH
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory, Turn

TOP_N = 5
RETRIEVALS = "retrievals"
_SHOWN = "Passages found for this question:\n\n{passages}"


class NoTools:
    """Offers nothing: the model is asked for text."""

    specs: Sequence[ToolSpec] = ()

    async def run(self, call: ToolCall) -> Observation:
        return Observation(
            name=call.name, content="Error: there are no tools", ok=False, executed=False, call_id=call.id,
            error_type="unknown_tool",
        )  # fmt: skip


@dataclass
class Draft:
    """A trajectory in the making: single generations in a row, and what was looked up between them."""

    question: Question
    policy: Policy
    toolset: ToolRunner
    limits: RolloutLimits
    sampling: SamplingParams
    sample: int
    started: float = field(default_factory=time.monotonic)
    turns: list[Turn] = field(default_factory=list)
    retrievals: list[dict[str, Any]] = field(default_factory=list)
    last: Trajectory | None = None

    async def look_up(self, query: str) -> list[str]:
        """Passages for a query, as the search tool returns them.

        Raises:
            UserError: the question offers no search tool.
            InfrastructureError: the retriever is away, or failed.
        """
        if WIKIPEDIA_SEARCH.name not in {tool.name for tool in self.toolset.specs}:
            raise UserError(
                f"question {self.question.id} offers no {WIKIPEDIA_SEARCH.name}", field="strategy",
                allowed="agent or naive, or a suite with a search tool",
            )  # fmt: skip
        call = ToolCall(name=WIKIPEDIA_SEARCH.name, arguments={"query": query, "top_n": TOP_N}, id="look_up")
        seen = await self.toolset.run(call)
        if not seen.ok:
            raise InfrastructureError(f"the retriever failed: {seen.content[:200]}")
        self.retrievals.append({"query": query, "content": seen.content})
        return [passage for passage in seen.content.split("\n\n") if passage.strip()]

    async def generate(self, passages: Sequence[str], said: str = "") -> Turn | None:
        """One generation after the passages, going on from ``said``; None if it was cut short or lost."""
        messages = user_messages(
            self.question.question, _SHOWN.format(passages="\n\n".join(passages)) if passages else None
        )
        if said:
            messages += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": "Go on with the next sentence."},
            ]
        asked = self.question.model_copy(update={"messages": tuple(messages)})
        name = f"{self.question.id}-{self.sample}-{len(self.turns)}"
        one = self.limits.model_copy(update={"max_turns": 1})
        self.last = await rollout(
            asked, self.policy, NoTools(), one, self.sampling, sample=self.sample, request_id=name
        )
        self.turns += self.last.turns
        return self.last.turns[-1] if self.last.termination is Termination.ANSWERED else None

    def trajectory(self) -> Trajectory:
        """What it came to: the last generation's answer and end, all generations as turns."""
        assert self.last is not None
        return self.last.model_copy(
            update={
                "turns": tuple(self.turns),
                "duration_s": time.monotonic() - self.started,
                "metadata": {**self.last.metadata, RETRIEVALS: self.retrievals},
            }
        )

    def lost(self, error: InfrastructureError) -> Trajectory:
        """Ours: set aside, never scored."""
        return Trajectory(
            question_id=self.question.id,
            question=self.question.question,
            turns=tuple(self.turns),
            termination=Termination.INFRASTRUCTURE,
            sample=self.sample,
            model=self.policy.model,
            mode=self.policy.mode,
            error=error.message,
            duration_s=time.monotonic() - self.started,
        )


@dataclass(frozen=True)
class Drafted:
    """A strategy that generates and looks up in turns: ``work`` does so until it has its answer."""

    name: str
    summary: str
    work: Callable[[Draft], Awaitable[None]]

    async def draw(
        self,
        question: Question,
        policy: Policy,
        toolset: ToolRunner,
        limits: RolloutLimits,
        sampling: SamplingParams,
        *,
        sample: int = 0,
    ) -> Trajectory:
        """What ``work`` came to; an outage of ours ends it as ``infrastructure``."""
        draft = Draft(question, policy, toolset, limits, sampling, sample)
        try:
            await self.work(draft)
        except InfrastructureError as error:
            return draft.lost(error)
        return draft.trajectory()
