"""From trajectories to references: which of the teacher's solutions the student is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Question, Termination, Trajectory


class Selection(Frozen):
    """Questions that got at least one reference, and what became of every trajectory."""

    questions: tuple[Question, ...]
    kept: int
    wrong: int
    unanswered: int
    without_tools: int
    surplus: int
    lost: int


def select(
    questions: Sequence[Question], trajectories: Iterable[Trajectory], *, max_references: int, require_tools: bool
) -> Selection:
    """Attach verified trajectories to their questions, shortest first (fewest calls, then lowest sample).

    A trajectory is kept if it ended by answering and its answer matched the ground truth (``metadata.correct``).
    """
    counts: dict[str, int] = defaultdict(int)
    verified: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        reason = rejection(trajectory, require_tools=require_tools)
        if reason is None:
            verified[trajectory.question_id].append(trajectory)
        else:
            counts[reason] += 1
    chosen = []
    for question in questions:
        ranked = sorted(verified.get(question.id, ()), key=lambda t: (len(t.executed_calls), t.sample))
        counts["kept"] += len(ranked[:max_references])
        counts["surplus"] += len(ranked[max_references:])
        if ranked:
            references = tuple(t.reference() for t in ranked[:max_references])
            chosen.append(question.model_copy(update={"references": references}))
    fields = ("kept", "wrong", "unanswered", "without_tools", "surplus", "lost")
    return Selection(questions=tuple(chosen), **{name: counts[name] for name in fields})


def rejection(trajectory: Trajectory, *, require_tools: bool) -> str | None:
    """Why a trajectory is no reference (``lost``, ``unanswered``, ``wrong``, ``without_tools``), or None if it is."""
    if trajectory.failed:
        return "lost"
    if trajectory.termination is not Termination.ANSWERED or trajectory.answer is None:
        return "unanswered"
    if not trajectory.metadata.get(CORRECT):
        return "wrong"
    if require_tools and not trajectory.executed_calls:
        return "without_tools"
    return None
