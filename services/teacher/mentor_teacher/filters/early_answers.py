"""Trajectories whose answer stands in the text before any tool produced it: what the calls then show is a formality.

Numbers alone are looked at, by value: ``1,000`` is ``1000.0``, ``\\frac{1}{2}`` is ``0.5``. A number that the question
names gives nothing away, nor does a small one, which stands everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from pydantic import Field

from mentor.grading.numbers import number
from mentor.trajectory import Question, Trajectory, Turn
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why
from mentor_teacher.texts import numbers, spoken


class Settings(FilterUse):
    """``ignore_below``: whole answers smaller than this are not looked for. ``reasoning``: look in thoughts too.
    ``arguments``: an argument that is the answer counts too, before a tool returned it. ``named_in_question``: look
    for numbers that the question names too. ``unproduced``: also drop a numeric answer that no tool ever returned.
    """

    ignore_below: int = Field(default=10, ge=0)
    reasoning: bool = False
    arguments: bool = False
    named_in_question: bool = False
    unproduced: bool = False


class _EarlyAnswers(Explained[Settings]):
    name = "early_answers"
    summary = "drops what states its numeric answer before a tool produced it"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        return [_why(candidate.question, candidate.trajectory, options) for candidate in candidates]


def _why(question: Question, trajectory: Trajectory, options: Settings) -> Why:
    answer = number((trajectory.answer or "").replace(",", "").replace("$", "").strip())
    if answer is None or (answer.denominator == 1 and abs(answer) < options.ignore_below):
        return None
    if not options.named_in_question and answer in set(numbers(question.question)):
        return None
    for position, turn in enumerate(trajectory.turns):
        # The final turn states the answer by its purpose: what it says is no leak.
        said = turn.tool_calls and _says(turn, answer, options)
        if said:
            return f"turn {position + 1} says {trajectory.answer} before a tool returned it"
        if any(seen.ok and _is(answer, numbers(seen.content)) for seen in turn.observations):
            return None
    return f"no tool returned {trajectory.answer}" if options.unproduced else None


def _says(turn: Turn, answer: Fraction, options: Settings) -> bool:
    texts = [spoken(turn), *([turn.reasoning or ""] if options.reasoning else [])]
    if options.arguments:
        texts += [str(value) for call in turn.tool_calls for value in call.arguments.values()]
    return any(answer in set(numbers(text)) for text in texts)


def _is(answer: Fraction, returned: Iterable[Fraction]) -> bool:
    """Whether a tool returned it; tools return binary fractions, so that the last digits may differ."""
    return any(abs(value - answer) <= abs(answer) * Fraction(1, 10**9) for value in returned)


PLUGIN = _EarlyAnswers()
