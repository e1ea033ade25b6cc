"""Dialogues for pre-training: what an assistant does with a problem, in good ways and in bad ones.

A dialogue is the text after the prompt, cut into segments: the assistant's own turns (learned) and what came back
(context only). ``MIXTURES`` says how often each habit occurs; a habit spoils the answer unless it says otherwise.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from examples.tiny.tools import observe
from examples.tiny.world import SPECS, Executed, Problem, Step, run, short
from mentor.chat.hermes import parse_tool_calls

Habit = Literal["good", "guess", "wrong_tool", "stop_early", "invalid"]
END = "<|im_end|>"
INSTRUCTION = "If you have got the answer, enclose it within \\boxed{} with latex format."
GIVE_UP = 0.6
"""After an invalid call: how often the assistant gives up and guesses instead of solving the problem properly."""

Mixture = Mapping[Habit, float]
CLEAN: Mixture = {"good": 1.0}
TEACHER: Mixture = {"good": 0.93, "wrong_tool": 0.03, "guess": 0.02, "stop_early": 0.02}
MIXED: Mixture = {"good": 0.34, "guess": 0.19, "wrong_tool": 0.19, "stop_early": 0.05, "invalid": 0.23}
_STUBBORN: Mixture = {"good": 0.20, "guess": 0.08, "wrong_tool": 0.07, "stop_early": 0.04, "invalid": 0.11}
STUBBORN: dict[str, Habit] = {
    "modulo": "wrong_tool", "sqrt": "guess", "multiply": "invalid", "mul_sub": "stop_early", "round_div": "wrong_tool",
    "add_mod": "wrong_tool", "sub_div": "stop_early", "search_subtract": "guess",
}  # fmt: skip
"""Kinds for which one bad habit is the most frequent behaviour, so that greedy decoding shows it too."""
STUBBORN_SHARE = 0.50

_CONFUSED: dict[str, tuple[str, ...]] = {
    "add": ("subtract", "multiply"), "subtract": ("add", "divide"), "multiply": ("add", "divide"),
    "divide": ("multiply", "subtract"), "modulo": ("divide",), "power": ("multiply",), "floor": ("ceil",),
    "ceil": ("floor",), "round_number": ("abs_value",), "abs_value": ("floor",),
}  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """A stretch of text; ``learned`` is true for the assistant's own turns."""

    text: str
    learned: bool


def user_text(question: str) -> str:
    """The user message of a question."""
    return f"Question: {question}\n\n{INSTRUCTION}"


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """A call as the chat template writes it."""
    return '<tool_call>\n{"name": "' + name + '", "arguments": ' + json.dumps(arguments) + "}\n</tool_call>"


def response_text(content: str) -> str:
    """What the chat template puts between an assistant turn that called a tool and the next turn."""
    return f"\n<|im_start|>user\n<tool_response>\n{content}\n</tool_response>{END}\n<|im_start|>assistant\n"


def final_text(answer: str) -> str:
    """The closing turn."""
    return f"The answer is \\boxed{{{answer}}}."


def mixture_of(kind: str) -> Mixture:
    """The student's habits on a kind."""
    if kind not in STUBBORN:
        return MIXED
    mixture = dict(_STUBBORN)
    mixture[STUBBORN[kind]] += STUBBORN_SHARE
    return mixture


def dialogue(rng: random.Random, problem: Problem, mixture: Mixture) -> list[Segment]:
    """Act on a problem with a habit drawn from ``mixture``."""
    habit = rng.choices(list(mixture), weights=list(mixture.values()))[0]
    if habit == "guess":
        return [_guess(rng, problem)]
    if habit == "invalid":
        first = _invalid_call(rng, problem)
        return first + ([_guess(rng, problem)] if rng.random() < GIVE_UP else _solve(problem.plan))
    if habit == "stop_early" and len(problem.plan) > 1:
        return _solve(problem.plan[:1])
    if habit in ("wrong_tool", "stop_early"):
        return _solve(_confuse(rng, problem.plan))
    return _solve(problem.plan)


def _solve(plan: tuple[Step, ...]) -> list[Segment]:
    done = run(plan)
    segments = [segment for executed in done for segment in _call(executed)]
    return [*segments, Segment(final_text(short(done[-1].value)) + END, True)]


def _call(executed: Executed) -> list[Segment]:
    written = call_text(executed.tool, executed.arguments) + END
    return [Segment(written, True), Segment(response_text(executed.text), False)]


def _guess(rng: random.Random, problem: Problem) -> Segment:
    """A number that stands in the question."""
    numbers = [number for number in problem.operands if not isinstance(number, str)]
    return Segment(final_text(str(rng.choice(numbers))) + END, True)


def _confuse(rng: random.Random, plan: tuple[Step, ...]) -> tuple[Step, ...]:
    """The plan with one tool mistaken for another of the same arity."""
    wanted = [index for index, step in enumerate(plan) if step.tool != "wikipedia_search"]
    rng.shuffle(wanted)
    for index in wanted:
        wrong = _mistake(rng, plan[index])
        changed = (*plan[:index], wrong, *plan[index + 1 :])
        try:
            if short(run(changed)[-1].value) != short(run(plan)[-1].value):
                return changed
        except (ArithmeticError, ValueError):
            continue
    return plan[:-1] or (_mistake(rng, plan[0]),)


def _mistake(rng: random.Random, step: Step) -> Step:
    values = list(step.arguments.values())
    if step.tool == "sum_numbers":
        return Step("add", {"firstNumber": values[0][0], "secondNumber": values[0][1]})
    if step.tool == "sqrt":
        return Step("divide", {"numerator": values[0], "denominator": 2})
    name = rng.choice(_CONFUSED[step.tool])
    return Step(name, dict(zip(SPECS[name].parameters["properties"], values, strict=True)))


def _invalid_call(rng: random.Random, problem: Problem) -> list[Segment]:
    """A first call that fails, and the error that came back."""
    step = problem.plan[0]
    stubborn = STUBBORN.get(problem.kind) == "invalid"
    form = "tool" if stubborn else rng.choice(("argument", "tool", "json"))
    if form == "json":
        written = '<tool_call>\n{"name": "' + step.tool + '", "arguments": \n</tool_call>'
    elif form == "tool":
        written = call_text("search" if problem.place else "calculate", step.arguments)
    else:
        written = call_text(step.tool, {"x": next(iter(step.arguments.values()))})
    return [Segment(written + END, True), Segment(response_text(_observed(written)), False)]


def _observed(turn: str) -> str:
    """What comes back for the first call of a turn."""
    return observe(parse_tool_calls(turn)[1][0]).content
