"""From trajectories to references: which of the teacher's solutions the student is compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from mentor.trajectory import Frozen, Question, Trajectory
from mentor_teacher.filters import FILTERS, Candidate
from mentor_teacher.selections import SELECTIONS

VERIFICATION = ("unanswered", "wrong")
"""Filters that always run, and first."""


class Selected(Frozen):
    """Questions that got at least one reference, and what became of every trajectory.

    ``dropped``: by filter. ``surplus``: right, and more than were asked for. ``lost``: to infrastructure.
    """

    questions: tuple[Question, ...]
    kept: int
    surplus: int
    lost: int
    dropped: dict[str, int]


def select(
    questions: Sequence[Question],
    trajectories: Iterable[Trajectory],
    *,
    max_references: int,
    filters: Sequence[str] = (),
    selection: str = "fewest_calls",
) -> Selected:
    """Attach verified trajectories to their questions, in the order of ``selection``.

    ``filters`` run in their order after those of ``VERIFICATION``; each sees what the ones before it left.
    """
    by_id = {question.id: question for question in questions}
    drawn = list(trajectories)
    left = [Candidate(question=by_id[t.question_id], trajectory=t) for t in drawn if not t.failed]
    lost = len(drawn) - len(left)
    dropped = {}
    for name in (*VERIFICATION, *filters):
        before = len(left)
        left = [candidate for candidate, kept in zip(left, FILTERS.get(name).keeps(left), strict=True) if kept]
        dropped[name] = before - len(left)
    chosen = _attach(questions, left, max_references, selection)
    kept = sum(len(question.references) for question in chosen)
    return Selected(questions=tuple(chosen), kept=kept, surplus=len(left) - kept, lost=lost, dropped=dropped)


def _attach(
    questions: Sequence[Question], verified: Sequence[Candidate], max_references: int, selection: str
) -> list[Question]:
    right: dict[str, list[Trajectory]] = defaultdict(list)
    for candidate in verified:
        right[candidate.question.id].append(candidate.trajectory)
    rank = SELECTIONS.get(selection).rank
    chosen = []
    for question in questions:
        if ranked := rank(right[question.id])[:max_references]:
            references = tuple(trajectory.reference() for trajectory in ranked)
            chosen.append(question.model_copy(update={"references": references}))
    return chosen
