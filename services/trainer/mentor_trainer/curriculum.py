"""Which questions are trained on, and in which order, by how often the student solves them already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mentor.data import iter_trajectories
from mentor.errors import UserError
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Question

PASS_RATE = "pass_rate"


class Curriculum(Frozen):
    """The spec's settings, as they travel to verl's dataset."""

    order: str = "none"
    range: tuple[float, float] = (0.0, 1.0)
    files: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether anything of it asks for pass rates."""
        return self.order != "none" or self.range != (0.0, 1.0)

    def apply(self, questions: Sequence[Question]) -> list[Question]:
        """Questions within the range, easiest first where an order is asked for; else in the order that they have.

        Raises:
            UserError: a question's rate is unknown, or no question is left.
        """
        if not self.needed:
            return list(questions)
        measured = pass_rates(self.files)
        rates = {question.id: _rate(question, measured) for question in questions}
        low, high = self.range
        kept = [question for question in questions if low <= rates[question.id] <= high]
        if not kept:
            raise UserError(
                f"no question's pass rate lies between {low:g} and {high:g}",
                field="pass_rate_range",
                allowed=f"a range that reaches into {min(rates.values()):g} to {max(rates.values()):g}",
            )
        return sorted(kept, key=lambda question: -rates[question.id]) if self.order == "pass_rate" else kept


def pass_rates(files: Iterable[str]) -> dict[str, float]:
    """Share of right answers by question id, over the trajectories that infrastructure did not end.

    Raises:
        UserError: a file cannot be read.
    """
    drawn: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for trajectory in (t for file in files for t in iter_trajectories(file, "pass_rate_files")):
        if not trajectory.failed:
            drawn[trajectory.question_id] += 1
            right[trajectory.question_id] += bool(trajectory.metadata.get(CORRECT))
    return {name: right[name] / count for name, count in drawn.items()}


def _rate(question: Question, measured: Mapping[str, float]) -> float:
    value: Any = measured.get(question.id, question.metadata.get(PASS_RATE))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(
            f"question {question.id} has no pass rate",
            field="pass_rate_files",
            allowed=f"trajectories of the student on every question, or metadata.{PASS_RATE} of 0 to 1",
        )
    return float(value)
