"""Prompt variants: the same question asked in several ways, in turn by the sample's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from mentor.inference.base import SamplingParams
from mentor.rollout.driver import Sampler
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.rollout.prompts import USER_PROMPT
from mentor.trajectory import Frozen, Question, Trajectory

PROMPT = "prompt"
"""Key in ``Trajectory.metadata`` of the variant that was asked: ``index``, and what of ``system``, ``template`` it gives."""
_PLACE = "{question}"


class PromptVariant(Frozen):
    """One way to ask. What is not given is the model's own system prompt, and the paper's template.

    ``template`` holds ``{question}`` once; other braces are text.
    """

    system: Annotated[str | None, Field(max_length=65536)] = None
    template: Annotated[str | None, Field(max_length=65536)] = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.system is None and self.template is None:
            raise ValueError("a prompt variant gives system, template, or both")
        if self.template is not None and self.template.count(_PLACE) != 1:
            raise ValueError("template must hold {question} once")
        return self

    def messages(self, question: str, system: str | None = None) -> list[dict[str, Any]]:
        """What opens a conversation; ``system`` stands where the variant has none."""
        asked = self.template.replace(_PLACE, question) if self.template else USER_PROMPT.format(question=question)
        said = self.system if self.system is not None else system
        user = [{"role": "user", "content": asked}]
        return [{"role": "system", "content": said}, *user] if said else user

    def ask(self, question: Question, system: str | None = None) -> Question:
        """The question with the messages that open its conversation."""
        return question.model_copy(update={"messages": tuple(self.messages(question.question, system))})


def as_asked(question: Question, trajectory: Trajectory) -> Question:
    """The question with the messages of the variant in which a trajectory was asked; itself where there was none."""
    kept = trajectory.metadata.get(PROMPT)
    if kept is None or question.messages is not None:
        return question
    variant = PromptVariant.model_validate({name: text for name, text in kept.items() if name != "index"})
    return variant.ask(question)


def varied(sampler: Sampler, variants: Sequence[PromptVariant], system: str | None) -> Sampler:
    """The sampler, asking each sample by its variant. A question that brings its own conversation keeps it."""
    if not variants:
        return sampler

    async def draw(
        question: Question, policy: Policy, toolset: ToolRunner, limits: RolloutLimits, sampling: SamplingParams, *,
        sample: int = 0,
    ) -> Trajectory:  # fmt: skip
        if question.messages is not None:
            return await sampler(question, policy, toolset, limits, sampling, sample=sample)
        index = sample % len(variants)
        drawn = await sampler(variants[index].ask(question, system), policy, toolset, limits, sampling, sample=sample)
        kept = {"index": index, **variants[index].model_dump(exclude_none=True)}
        return drawn.model_copy(update={"metadata": {**drawn.metadata, PROMPT: kept}})

    return draw
