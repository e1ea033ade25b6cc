"""What an assistant does with a question, in good ways and in bad ones: dialogues for pre-training.

A dialogue is the text after the prompt, cut into segments: the assistant's own turns (learned) and what came back (context
only). A ``Mixture`` says how often each habit occurs, by the length of the chain.

The student's ``mental`` habit is the shortcut: it says the answer at once. On small numbers and short chains that is mostly
right. The teacher is of another family: it thinks aloud before every call, does some steps with other tools
(``PREFERRED``), and errs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from examples.tiny.dialogues import END, INSTRUCTION, Segment, call_text, response_text, user_text
from experiments.world.operations import DISTRACTORS, OPERATIONS
from experiments.world.questions import Problem, Step
from mentor.chat.hermes import MALFORMED, parse_tool_calls
from mentor.tools.executor import refused
from mentor.tools.validation import argument_error

__all__ = ["END", "INSTRUCTION", "MIXED", "TEACHER", "Mixture", "Segment", "dialogue", "user_text"]

Habit = Literal["good", "mental", "wrong_tool", "stop_early", "skip", "invalid"]
Mixture = Mapping[int, Mapping[Habit, float]]
"""By the number of steps: how often each habit occurs. Longer chains have the last one's."""

MIXED: Mixture = {
    1: {"good": 0.30, "mental": 0.38, "wrong_tool": 0.12, "invalid": 0.20},
    2: {"good": 0.22, "mental": 0.30, "wrong_tool": 0.14, "stop_early": 0.12, "skip": 0.04, "invalid": 0.18},
    3: {"good": 0.12, "mental": 0.28, "wrong_tool": 0.16, "stop_early": 0.22, "skip": 0.06, "invalid": 0.16},
    4: {"good": 0.02, "mental": 0.28, "wrong_tool": 0.18, "stop_early": 0.32, "skip": 0.08, "invalid": 0.12},
}
TEACHER: Mixture = {
    1: {"good": 0.95, "wrong_tool": 0.03, "invalid": 0.02},
    2: {"good": 0.91, "wrong_tool": 0.05, "stop_early": 0.02, "invalid": 0.02},
    4: {"good": 0.86, "wrong_tool": 0.06, "stop_early": 0.06, "invalid": 0.02},
}
REPAIR = {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.0}
"""By the number of steps: how often the student does it right after a call that failed; else it says a number at once."""
CONFUSED: dict[str, tuple[str, ...]] = {
    "add": ("multiply", "average"), "subtract": ("distance", "divide"), "multiply": ("add",),
    "divide": ("divide_up", "divide_up", "subtract"), "remainder": ("divide", "subtract"), "larger": ("smaller", "add"),
    "smaller": ("larger", "average"), "double": ("square", "round_tens"), "square": ("double", "digit_sum"),
}  # fmt: skip
"""Tools that are taken for another. ``divide_up`` and ``distance`` often give the right answer all the same."""
PREFERRED: dict[str, str] = {"double": "multiply", "square": "multiply", "subtract": "distance"}
"""What the teacher does a step with where that tool is on offer: it is right as long as no value is negative, and none is."""


@dataclass(frozen=True)
class Family:
    """How an assistant of a family speaks."""

    aloud: bool
    final: str
    preferred: Mapping[str, str]


STUDENT_FAMILY = Family(aloud=False, final="The answer is \\boxed{{{answer}}}.", preferred={})
TEACHER_FAMILY = Family(
    aloud=True,
    final="All steps are done, so what comes out is {answer}. Final: \\boxed{{{answer}}}",
    preferred=PREFERRED,
)
_WORDS = {
    "add": "{b} is added to {a}", "subtract": "{a} loses {b}", "multiply": "{a} is taken {b} times",
    "divide": "{a} is cut into {b} parts", "remainder": "{a} leaves a rest by {b}",
    "larger": "{a} is held against {b} from below", "smaller": "{a} is held against {b} from above",
    "double": "{a} is doubled", "square": "{a} is squared",
}  # fmt: skip


def dialogue(rng: random.Random, problem: Problem, mixture: Mixture, family: Family = STUDENT_FAMILY) -> list[Segment]:
    """Act on a question with a habit drawn from ``mixture``."""
    of_length = mixture[max(length for length in mixture if length <= len(problem.steps))]
    habit = rng.choices(list(of_length), weights=list(of_length.values()))[0]
    acting = _Acting(rng, problem, family)
    if habit == "mental":
        return [acting.final(problem.answer)]
    if habit == "invalid":
        return acting.invalid()
    if habit == "stop_early" and len(problem.steps) > 1:
        return acting.solve(problem.steps[: rng.randint(1, len(problem.steps) - 1)])
    if habit == "skip" and len(problem.steps) > 1:
        return acting.solve([s for i, s in enumerate(problem.steps) if i != rng.randrange(len(problem.steps))])
    return acting.solve(problem.steps, confused=habit in ("wrong_tool", "stop_early", "skip"))


class _Acting:
    """One assistant at one question."""

    def __init__(self, rng: random.Random, problem: Problem, family: Family) -> None:
        self.rng, self.problem, self.family = rng, problem, family

    def final(self, answer: int) -> Segment:
        """The closing turn."""
        return Segment(self.family.final.format(answer=answer) + END, True)

    def solve(self, steps: Sequence[Step], *, confused: bool = False) -> list[Segment]:
        """Step by step with tools; ``confused``: one of them with a wrong one."""
        wrong = self.rng.randrange(len(steps)) if confused and steps else -1
        value, said = self.problem.start, list[Segment]()
        for index, step in enumerate(steps):
            operation = self._confusion(step) if index == wrong else self._preferred(step)
            arguments = self._arguments(operation, step, value)
            value = OPERATIONS[operation].run(**arguments)
            said += self._call(operation, arguments, step, str(value))
        return [*said, self.final(value)]

    def invalid(self) -> list[Segment]:
        """A first call that fails, then the right way or a number said at once."""
        first = self._invalid_call(self.problem.steps[0])
        repaired = REPAIR[min(max(REPAIR), len(self.problem.steps))] if not self.family.aloud else 1.0
        if self.rng.random() < repaired:
            return first + self.solve(self.problem.steps)
        return [*first, self.final(self.problem.answer)]

    def _preferred(self, step: Step) -> str:
        chosen = self.family.preferred.get(step.operation, step.operation)
        return chosen if chosen in self.problem.names else step.operation

    def _confusion(self, step: Step) -> str:
        """A wrong tool, of those on offer if one is."""
        offered = [name for name in CONFUSED[step.operation] if name in self.problem.names]
        useless = [d.name for d in DISTRACTORS if d.name in self.problem.names]
        return self.rng.choice(offered or useless or [step.operation])

    def _arguments(self, operation: str, step: Step, value: int) -> dict[str, Any]:
        if len(OPERATIONS[operation].parameters) == 1:
            return {"a": value}
        second = step.number if step.number is not None else (value if step.operation == "square" else 2)
        return {"a": value, "b": max(1, second)}

    def _call(self, operation: str, arguments: dict[str, Any], step: Step, result: str) -> list[Segment]:
        written = call_text(self.problem.names.get(operation, operation), arguments) + END
        return [Segment(self._aloud(step, arguments) + written, True), Segment(response_text(result), False)]

    def _aloud(self, step: Step, arguments: dict[str, Any]) -> str:
        if not self.family.aloud:
            return ""
        thought = _WORDS[step.operation].format(a=arguments["a"], b=step.number)
        return f"So far there is {arguments['a']}. Next, {thought}, which a tool shall work out.\n"

    def _invalid_call(self, step: Step) -> list[Segment]:
        """A call that fails, and the error that came back."""
        arguments = self._arguments(step.operation, step, step.before)
        form = self.rng.choice(("argument", "tool", "json"))
        name = self.problem.names[step.operation]
        if form == "json":
            written = '<tool_call>\n{"name": "' + name + '", "arguments": \n</tool_call>'
        elif form == "tool":
            written = call_text("calculate", arguments)
        else:
            written = call_text(name, {**arguments, "a": str(arguments["a"])})
        said = self._aloud(step, arguments) + written + END
        return [Segment(said, True), Segment(response_text(self._observed(written)), False)]

    def _observed(self, written: str) -> str:
        """What the agent loop shows for a call that is refused before it runs."""
        call = parse_tool_calls(written)[1][0]
        if call.error is not None:
            return refused(call, MALFORMED, call.error.removeprefix(f"{MALFORMED}: ")).content
        spec = next((spec for spec in self.problem.tools if spec.name == call.name), None)
        if spec is None:
            return refused(call, "unknown_tool").content
        return refused(call, "invalid_arguments", argument_error(spec, call.arguments) or "").content
