"""Why a trajectory has its reward: the library scores it again, beside every reference, with the verdict that was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mentor.errors import UserError
from mentor.rewards import RewardResult, RewardSpec, WeightSchedule, load_preset, preset_names, score
from mentor.tools.registry import ToolRegistry
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Question, Reference, Trajectory


@dataclass(frozen=True)
class Explained:
    """``best``: the library's own choice among the references; ``each``: the score beside every one of them."""

    spec: RewardSpec
    best: RewardResult
    each: list[tuple[Reference, RewardResult]]
    gate: float | None


def preset_of(spec: Mapping[str, Any]) -> str:
    """The preset that a training job names; "" where it names none, or a file of its own."""
    named = spec.get("reward")
    return named if isinstance(named, str) and named in preset_names() else ""


def reward_at(preset: str, job: Mapping[str, Any], step: int | None) -> RewardSpec:
    """A preset; where it is the job's own and that changes its weights as training goes on, with those of the step.

    What the trainer scored the step's rollouts with. A job that says it in another form than the trainer takes has not been
    trained so: the preset's own.

    Raises:
        UserError: there is no such preset.
    """
    if preset not in preset_names():
        raise UserError(f"unknown reward preset {preset!r}", field="preset", allowed=", ".join(preset_names()))
    spec, end, steps = load_preset(preset), job.get("reward_weights_end"), job.get("reward_anneal_steps")
    if preset != preset_of(job) or step is None or end is None or steps is None:
        return spec
    try:
        return WeightSchedule.model_validate({"spec": spec, "last": end, "steps": steps}).at(step)
    except ValidationError:
        return spec


def explain(trajectory: Trajectory, question: Question, spec: RewardSpec, correct: bool) -> Explained:
    """The components under a reward. No judge is asked: ``correct`` is what it said when the trajectory was scored."""

    def judged(answer: str | None, golds: object) -> bool:
        return correct

    tools = _tools(question)
    references = question.references
    each = [
        (reference, score(trajectory, [reference], spec, judged, question.answers, tools)) for reference in references
    ]
    best = score(trajectory, references, spec, judged, question.answers, tools)
    return Explained(spec, best, each, spec.gates.verdict(trajectory))


def _tools(question: Question) -> tuple[ToolSpec, ...]:
    """The question's tools, whose schemas say what an omitted argument stands for; none where they are not known here."""
    try:
        return ToolRegistry().for_question(question)
    except UserError:
        return ()
