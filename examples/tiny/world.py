"""The problem generator: a question, the plan of tool calls that solves it, and its answer.

Operands are split by a hash of the operand tuple (independent of the kind), templates by ``phrasings``, places by
``corpus``: so no test template, operand tuple or place occurs in any training data, whatever the seed.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from examples.tiny import corpus, phrasings
from mentor.tools import MATH_TOOLS, WIKIPEDIA_SEARCH, ToolSpec, math_tools
from mentor.tools.render import render_passages, render_value

Split = Literal["train", "in_domain", "ood_phrasing", "ood_search"]
PREVIOUS = "$previous"
"""Stands for the value of the step before, in a step's arguments."""

RL_KINDS = (
    "add", "subtract", "multiply", "divide", "modulo", "sqrt", "power", "sum", "abs_diff", "mul_sub", "mul_add",
    "add_div", "sub_mul", "add_mod", "ceil_div", "floor_div", "round_div",
)  # fmt: skip
COMBINATION_KINDS = ("sub_div", "add_mul", "sum_div", "mul_mod")
SEARCH_KINDS = ("search_add", "search_subtract", "search_multiply")
KINDS_OF: dict[Split, tuple[str, ...]] = {
    "train": RL_KINDS, "in_domain": RL_KINDS, "ood_phrasing": COMBINATION_KINDS, "ood_search": SEARCH_KINDS
}  # fmt: skip

MATH = {spec.name: spec for spec in MATH_TOOLS}
SPECS: dict[str, ToolSpec] = MATH | {WIKIPEDIA_SEARCH.name: WIKIPEDIA_SEARCH}
MATH_NAMES = tuple(MATH)
ALL_NAMES = tuple(SPECS)


@dataclass(frozen=True)
class Step:
    """One call; an argument equal to ``PREVIOUS`` is the number that the step before gave."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Executed:
    """A step with its arguments filled in, the text that came back and the number in it."""

    tool: str
    arguments: dict[str, Any]
    text: str
    value: float


@dataclass(frozen=True)
class Problem:
    """``operands`` are the numbers that identify the problem within its kind (a held-out place's name counts)."""

    kind: str
    template: str
    question: str
    plan: tuple[Step, ...]
    operands: tuple[Any, ...]
    place: str | None = None

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools to offer."""
        return ALL_NAMES if self.place else MATH_NAMES

    @property
    def answer(self) -> str:
        """The number in its shortest form."""
        return short(run(self.plan)[-1].value)


def short(value: float) -> str:
    """A number as the final answer writes it: without a trailing ``.0``."""
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 6))


def call_tool(name: str, arguments: dict[str, Any]) -> tuple[str, float]:
    """Really call a tool.

    Returns:
        The text the model sees and the number in it.

    Raises:
        ArithmeticError, TypeError, ValueError: as the tool does.
    """
    if name == WIKIPEDIA_SEARCH.name:
        passage = corpus.lookup(arguments["query"])
        place = corpus.BY_NAME.get(passage.split('"')[1]) if passage.startswith('"') else None
        return render_passages([passage]), float(place.value if place else 0)
    value = getattr(math_tools, name)(**arguments)
    if isinstance(value, complex):
        raise ValueError("complex result")
    return render_value(value), value


def run(plan: tuple[Step, ...]) -> list[Executed]:
    """Execute a plan with the real tools."""
    done: list[Executed] = []
    for step in plan:
        last = done[-1].value if done else 0
        last = int(last) if done and done[-1].tool == WIKIPEDIA_SEARCH.name else last
        arguments = {key: last if value == PREVIOUS else value for key, value in step.arguments.items()}
        text, value = call_tool(step.tool, arguments)
        done.append(Executed(step.tool, arguments, text, value))
    return done


def is_test(operands: tuple[Any, ...]) -> bool:
    """Whether an operand tuple belongs to the test side: one in six, for ever the same."""
    return zlib.crc32(json.dumps(operands).encode()) % 6 == 0


def step(tool: str, *values: Any) -> Step:
    """A step with positional arguments."""
    return Step(tool, dict(zip(SPECS[tool].parameters["properties"], values, strict=False)))


P = PREVIOUS
Operands = tuple[Any, ...]


def _two(r: random.Random) -> int:
    return r.randint(11, 99) if r.random() < 0.7 else r.randint(100, 999)


def _small(r: random.Random) -> int:
    return r.randint(11, 99)


def _falling(r: random.Random) -> tuple[int, int]:
    a, b = _two(r), _two(r)
    return max(a, b) + r.randint(1, 50), min(a, b)


_DIVISORS = (4, 5, 8, 10, 16, 20, 25, 40, 50)


def _fraction(r: random.Random) -> tuple[int, int]:
    """Operands whose quotient is not whole, not halfway, and has at most three decimals."""
    while True:
        a, b = r.randint(101, 999), r.choice(_DIVISORS)
        if a % b and 2 * a % b:
            return a, b


def _split_sum(r: random.Random) -> Operands:
    c = r.randint(2, 12)
    total = c * r.randint(11, 80)
    a = r.randint(5, total - 5)
    return a, total - a, c


def _sub_div(r: random.Random) -> Operands:
    c = r.randint(2, 12)
    b = _small(r)
    return c * r.randint(11, 80) + b, b, c


def _average(r: random.Random) -> Operands:
    n = r.choice((4, 5))
    numbers = [_small(r) for _ in range(n)]
    numbers[-1] += -sum(numbers) % n
    return tuple(numbers)


def _list(r: random.Random) -> Operands:
    return tuple(_small(r) for _ in range(r.randint(3, 5)))


def _mul3(r: random.Random) -> Operands:
    a, b = r.randint(3, 40), _small(r)
    return a, b, r.randint(2, min(99, a * b - 1))


def _quotient(r: random.Random) -> Operands:
    b = r.randint(3, 25)
    return b * r.randint(11, 99), b


def _square(r: random.Random) -> Operands:
    return (r.randint(11, 99) ** 2,)


def _rising(r: random.Random) -> Operands:
    b, a = _falling(r)
    return a, b


Sampler = Callable[[random.Random], Operands]
Planner = Callable[..., tuple[Step, ...]]

_KINDS: dict[str, tuple[Sampler, Planner]] = {
    "add": (lambda r: (_two(r), _two(r)), lambda a, b: (step("add", a, b),)),
    "subtract": (_falling, lambda a, b: (step("subtract", a, b),)),
    "multiply": (lambda r: (_two(r), _small(r)), lambda a, b: (step("multiply", a, b),)),
    "divide": (_quotient, lambda a, b: (step("divide", a, b),)),
    "modulo": (lambda r: (r.randint(100, 999), r.randint(6, 40)), lambda a, b: (step("modulo", a, b),)),
    "sqrt": (_square, lambda a: (step("sqrt", a),)),
    "power": (lambda r: (r.randint(3, 30), r.randint(2, 4)), lambda a, b: (step("power", a, b),)),
    "sum": (_list, lambda *n: (step("sum_numbers", list(n)),)),
    "abs_diff": (_rising, lambda a, b: (step("subtract", a, b), step("abs_value", P))),
    "mul_sub": (_mul3, lambda a, b, c: (step("multiply", a, b), step("subtract", P, c))),
    "mul_add": (_mul3, lambda a, b, c: (step("multiply", a, b), step("add", P, c))),
    "add_div": (_split_sum, lambda a, b, c: (step("add", a, b), step("divide", P, c))),
    "sub_mul": (
        lambda r: (*_falling(r), r.randint(3, 30)),
        lambda a, b, c: (step("subtract", a, b), step("multiply", P, c)),
    ),
    "add_mod": (
        lambda r: (_two(r), _small(r), r.randint(6, 40)),
        lambda a, b, c: (step("add", a, b), step("modulo", P, c)),
    ),
    "ceil_div": (_fraction, lambda a, b: (step("divide", a, b), step("ceil", P))),
    "floor_div": (_fraction, lambda a, b: (step("divide", a, b), step("floor", P))),
    "round_div": (_fraction, lambda a, b: (step("divide", a, b), step("round_number", P))),
    "sub_div": (_sub_div, lambda a, b, c: (step("subtract", a, b), step("divide", P, c))),
    "add_mul": (
        lambda r: (_two(r), _small(r), r.randint(3, 30)),
        lambda a, b, c: (step("add", a, b), step("multiply", P, c)),
    ),
    "sum_div": (_average, lambda *n: (step("sum_numbers", list(n)), step("divide", P, len(n)))),
    "mul_mod": (
        lambda r: (r.randint(3, 40), _small(r), r.randint(6, 40)),
        lambda a, b, c: (step("multiply", a, b), step("modulo", P, c)),
    ),
}
_SEARCH_OPERATION = {"search_add": "add", "search_subtract": "subtract", "search_multiply": "multiply"}


def sample(rng: random.Random, kind: str, *, test: bool) -> Problem:
    """One random problem of ``kind`` from the training or the test side."""
    template = rng.choice(phrasings.templates(kind, test=test))
    words = {"N": rng.choice(phrasings.NAMES), "o": rng.choice(phrasings.THINGS), "k": rng.choice(phrasings.CONTAINERS)}
    if kind in _SEARCH_OPERATION:
        place = rng.choice(corpus.HELD_OUT if test else corpus.TRAINING)
        number = rng.randint(2, 30) if kind == "search_multiply" else rng.randint(11, 99)
        plan = (step("wikipedia_search", place.query, 1), step(_SEARCH_OPERATION[kind], P, number))
        question = template.format(**words, a=number, f=place.fact, E=place.name)
        return Problem(kind, template, question, plan, (place.name, number), place.name)
    draw, planner = _KINDS[kind]
    operands = draw(rng)
    while is_test(operands) != test:
        operands = draw(rng)
    listed = ", ".join(map(str, operands[:-1])) + f" and {operands[-1]}"
    numbers = dict(zip("abc", operands, strict=False))
    question = template.format(**words, **numbers, list=listed)
    return Problem(kind, template, question, planner(*operands), operands)


def stream(seed: int, kinds: tuple[str, ...], *, test: bool) -> Iterator[Problem]:
    """Endless problems, the kinds in random order."""
    rng = random.Random(seed)
    while True:
        yield sample(rng, rng.choice(kinds), test=test)


def problems(split: Split, count: int, seed: int) -> list[Problem]:
    """``count`` distinct problems of a split, the kinds in equal shares."""
    rng = random.Random(f"{split}-{seed}")
    kinds, seen = KINDS_OF[split], set[tuple[str, Any]]()
    found: list[Problem] = []
    while len(found) < count:
        problem = sample(rng, kinds[len(found) % len(kinds)], test=split != "train")
        key = (problem.kind, problem.operands)
        if key in seen and rng.random() < 0.99:
            continue
        seen.add(key)
        found.append(problem)
    return found
