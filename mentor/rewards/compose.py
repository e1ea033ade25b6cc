"""The total reward: the best over references of the weighted sum."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.rewards.alignment import ALIGNMENT
from mentor.rewards.base import Judge, Sample
from mentor.rewards.calls import defaults_of
from mentor.rewards.correctness import CORRECTNESS
from mentor.rewards.spec import RewardSpec
from mentor.rewards.validation import VALIDATION
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Frozen, Reference, Trajectory


class RewardResult(Frozen):
    """A scored trajectory.

    ``components`` are unweighted, of the reference that gave the largest total; ``reference_index`` is its index.
    ``excluded``: infrastructure ended the trajectory. It has no reward: it is taken out of its GRPO group before the
    group's mean and deviation are formed, and ``total`` (0) must not be used.
    """

    total: float
    components: dict[str, float]
    reference_index: int | None = None
    excluded: bool = False


def score(
    trajectory: Trajectory,
    references: Sequence[Reference],
    spec: RewardSpec,
    judge: Judge,
    answers: Sequence[str] = (),
    tools: Sequence[ToolSpec] = (),
) -> RewardResult:
    """Score a trajectory against every reference and keep the best total.

    Args:
        trajectory: what the student did.
        references: the teachers' solutions. None at all is scored as a single empty reference.
        spec: variants, weights and gates.
        judge: tells whether an answer is right.
        answers: the data set's accepted answers; where empty, the references' answers take their place.
        tools: those that the question offers; their schemas say what an omitted argument stands for.
    """
    if trajectory.failed:
        return RewardResult(total=0.0, components={}, excluded=True)
    pool = list(references) or [Reference()]
    golds = tuple(answers) or tuple(r.answer for r in pool if r.answer is not None)
    verdict = spec.gates.verdict(trajectory)
    defaults = defaults_of(tools)
    best: RewardResult | None = None
    for index, reference in enumerate(pool):
        correct = CORRECTNESS[spec.correctness](trajectory, reference, golds, judge)
        sample = Sample(trajectory=trajectory, reference=reference, correct=correct, defaults=defaults)
        result = _score_one(sample, spec, verdict)
        if best is None or result.total > best.total:
            best = result.model_copy(update={"reference_index": index if references else None})
    assert best is not None
    return best


def _score_one(sample: Sample, spec: RewardSpec, verdict: float | None) -> RewardResult:
    alignment = ALIGNMENT[spec.alignment](sample) * (1.0 if sample.correct else spec.wrong_answer_alignment_scale)
    components = {
        "correctness": float(sample.correct),
        "alignment": alignment,
        "validation": VALIDATION[spec.validation](sample),
    }
    if verdict is not None:
        return RewardResult(total=verdict, components=components)
    weights = spec.weights.model_dump()
    total = max(spec.floor, sum(weights[name] * value for name, value in components.items()))
    if spec.gates.overlong is not None:
        components["overlong"] = spec.gates.overlong(sample.trajectory)
        total += components["overlong"]
    return RewardResult(total=total, components=components)
