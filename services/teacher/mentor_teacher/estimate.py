"""What a job would take: a few of its questions are asked as it would ask them, and the rest is estimated from those.

The unit is a question with all of its samples, so that an interval holds what differs between questions, and how many
samples ``until_right`` would draw. The questions are a random choice; the interval is Student's t over them.
"""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mentor.analysis.estimates import Range, scaled
from mentor.analysis.tokens import generated_tokens, prompt_tokens
from mentor.jobs.handler import Stopped
from mentor.rollout.solve import CORRECT, Progress, generate
from mentor.trajectory import Frozen, Question, Trajectory
from mentor_teacher.spec import TeacherSpec

PROBED = 8


class TeacherEstimate(Frozen):
    """Totals of the whole job with 95% intervals. ``probed``: questions that were asked; those lost to outages left out.

    ``hours``: the seconds of all trajectories over ``in_flight`` at once, which the endpoints have to bear.
    ``within_budget``: whether the estimated totals are; None without a budget.
    """

    questions: int
    probed: int
    in_flight: int
    samples: Range | None = None
    right: Range | None = None
    prompt_tokens: Range | None = None
    generated_tokens: Range | None = None
    money: Range | None = None
    hours: Range | None = None
    within_budget: bool | None = None


def estimate(spec: TeacherSpec, questions: Sequence[Question], context: Progress) -> TeacherEstimate:
    """Ask some of the questions, ``spec.dry_run`` or ``PROBED``, and estimate; what was drawn is thrown away.

    Raises: as ``generate``; ``Stopped`` if told to stop.
    """
    pool = list(questions)
    probed = random.Random(0).sample(pool, min(len(pool), spec.dry_run or PROBED))
    with tempfile.TemporaryDirectory(prefix="mentor-dry-run-") as folder:
        few = spec.model_copy(update={"max_infrastructure_share": 1.0})
        drawn = generate(few, probed, _Beside(Path(folder), context), effort=spec.effort)
    if drawn is None:
        raise Stopped
    return estimated(spec, len(pool), drawn.trajectories)


def estimated(spec: TeacherSpec, questions: int, drawn: Sequence[Trajectory]) -> TeacherEstimate:
    """The whole, from the trajectories of some questions."""
    by_question: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in drawn:
        if not trajectory.failed:
            by_question[trajectory.question_id].append(trajectory)
    groups = list(by_question.values())
    found = TeacherEstimate(questions=questions, probed=len(groups), in_flight=spec.slots)
    if not groups:
        return found
    prices = spec.effort.prices
    sums = {
        "samples": [float(len(group)) for group in groups],
        "right": [float(sum(bool(t.metadata.get(CORRECT)) for t in group)) for group in groups],
        "prompt_tokens": [sum(map(prompt_tokens, group)) for group in groups],
        "generated_tokens": [sum(map(generated_tokens, group)) for group in groups],
        "money": [sum(map(prices.of, group)) for group in groups],
        "hours": [sum(t.duration_s for t in group) / 3600 / spec.slots for group in groups],
    }
    totals = {name: scaled(values, questions) for name, values in sums.items()}
    return found.model_copy(update={**totals, "within_budget": _within(spec, totals)})


def _within(spec: TeacherSpec, totals: dict[str, Range]) -> bool | None:
    budget = spec.budget
    tokens = totals["prompt_tokens"].total + totals["generated_tokens"].total
    taken = ((budget.tokens, tokens), (budget.money, totals["money"].total), (budget.hours, totals["hours"].total))
    checks = [used <= bound for bound, used in taken if bound is not None]
    return all(checks) if checks else None


class _Beside:
    """The job's context with a folder of its own."""

    def __init__(self, workdir: Path, context: Progress) -> None:
        self.workdir = workdir
        self.progress, self.tell, self.count = context.progress, context.tell, context.count
        self.should_stop = context.should_stop

    def save(self) -> None: ...
