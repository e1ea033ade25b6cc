"""What an assistant does with a question, in good ways and in bad ones: dialogues for pre-training.

A dialogue is the text after the prompt, cut into segments: the assistant's own turns (learned) and what came back (context
only). ``Habits`` say how often each act is taken at each point where an assistant decides. So a chain of four steps is done
properly a few times in a hundred, and what a student does most often, hence greedily, is the shortcut: it says the answer
``at_once``. On small numbers and short chains that is mostly right. The teacher is of another family: it thinks aloud before
every call, does some steps with other tools (``PREFERRED``), and errs.
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

__all__ = ["END", "INSTRUCTION", "STUDENT", "TEACHER", "Habits", "Segment", "dialogue", "user_text"]

Act = Literal["right", "at_once", "stop", "wrong_tool", "invalid"]
Hazards = Mapping[Act, float]


@dataclass(frozen=True)
class Habits:
    """How often an assistant does what, at each point where it decides.

    ``first``: before any call. ``later``: after a call, with steps left to do. ``failed``: after a call that could not run.
    """

    first: Hazards
    later: Hazards
    failed: Hazards


STUDENT = Habits(
    first={"at_once": 0.62, "right": 0.17, "wrong_tool": 0.08, "invalid": 0.13},
    later={"right": 0.42, "stop": 0.26, "at_once": 0.20, "wrong_tool": 0.12},
    failed={"at_once": 0.50, "right": 0.50},
)
TEACHER = Habits(
    first={"right": 0.94, "wrong_tool": 0.04, "invalid": 0.02},
    later={"right": 0.94, "wrong_tool": 0.03, "stop": 0.03},
    failed={"right": 1.0},
)
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


def dialogue(rng: random.Random, problem: Problem, habits: Habits, family: Family = STUDENT_FAMILY) -> list[Segment]:
    """Act on a question, drawing at each point what is done there."""
    return _Acting(rng, problem, habits, family).act()


class _Acting:
    """One assistant at one question."""

    def __init__(self, rng: random.Random, problem: Problem, habits: Habits, family: Family) -> None:
        self.rng, self.problem, self.habits, self.family = rng, problem, habits, family

    def act(self) -> list[Segment]:
        """The whole dialogue."""
        value, said, hazards = self.problem.start, list[Segment](), self.habits.first
        left = list(self.problem.steps)
        while left:
            act = self.rng.choices(list(hazards), weights=list(hazards.values()))[0]
            if act in ("at_once", "stop"):
                return [*said, self._final(_outcome(value, left) if act == "at_once" else value)]
            if act == "invalid":
                said += self._invalid_call(left[0], value)
                hazards = self.habits.failed
                continue
            step = left.pop(0)
            operation = self._confusion(step) if act == "wrong_tool" else self._preferred(step)
            arguments = self._arguments(operation, step, value)
            value = OPERATIONS[operation].run(**arguments)
            said += self._call(operation, arguments, step, str(value))
            hazards = self.habits.later
        return [*said, self._final(value)]

    def _final(self, answer: int) -> Segment:
        """The closing turn."""
        return Segment(self.family.final.format(answer=answer) + END, True)

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

    def _invalid_call(self, step: Step, value: int) -> list[Segment]:
        """A call that fails, and the error that came back."""
        arguments = self._arguments(step.operation, step, value)
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


def _outcome(value: int, steps: Sequence[Step]) -> int:
    """What comes out of a value by the steps that are left."""
    for step in steps:
        run = OPERATIONS[step.operation].run
        value = run(value) if step.number is None else run(value, step.number)
    return value
