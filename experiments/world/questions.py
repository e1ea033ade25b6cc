"""Chains of steps as questions: what is asked, the calls that solve it, the tools on offer, and the sets that share nothing.

A question is identified by its steps and numbers. One in six, by a hash of those, is kept for evaluation; pairs of
neighbouring steps are held out likewise, and two kinds of steps are kept out of training. So no question of an evaluation
occurs in pre-training or in training, whatever the seed.
"""

from __future__ import annotations

import itertools
import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from experiments.world.operations import (
    DISTRACTORS,
    OPERATIONS,
    STEP_NAMES,
    ending,
    held_out_pair,
    source,
    tool,
)
from mentor.tools import ToolSpec
from mentor.trajectory import Question

Split = Literal["train", "in_domain", "ood_numbers", "ood_combinations", "ood_tools"]
Names = Literal["usual", "varied"]
Steps = Literal["all", "trained", "untrained"]
SPLITS: tuple[Split, ...] = ("train", "in_domain", "ood_numbers", "ood_combinations", "ood_tools")
OFFERED = 8
"""Tools on offer: those that are needed, and others in a random order."""
TEST_SHARE = 6
OPENINGS = ("Start with {a}.", "Take {a}.", "There are {a}.")
ENDINGS = ("What is the result?", "What comes out?", "How many is that?")
TRIES = 300
"""Draws in a row that were known already, after which chains of that length count as used up."""
DISTRACTING = 0.5
"""Share of the tools that are not needed which no step ever needs."""


@dataclass(frozen=True)
class Range:
    """Sizes of numbers: where a chain starts, the second numbers of its steps, and what no value exceeds."""

    start: tuple[int, int]
    factor: tuple[int, int]
    operand: tuple[int, int]
    limit: int


SMALL = Range(start=(2, 20), factor=(2, 9), operand=(2, 9), limit=60)
LARGE = Range(start=(101, 999), factor=(3, 19), operand=(11, 99), limit=99_999)
LARGE_FACTORS = frozenset({"multiply", "divide"})
LONG = 4
"""From so many steps on a chain is long: it ends in a step whose outcome cannot be guessed from the question's last number."""
UNTRAINED = ("remainder", "larger")
"""Steps that occur in pre-training and in the questions with untrained tools, in no other set."""
TRAINED = tuple(name for name in STEP_NAMES if name not in UNTRAINED)
_OPEN_ENDED = frozenset({"add", "subtract", "multiply", "double", "square"})


@dataclass(frozen=True)
class Step:
    """A step of a chain: which, its second number if it has one, and what it makes of the value before."""

    operation: str
    number: int | None
    before: int
    after: int


@dataclass(frozen=True)
class Problem:
    """A chain in words. ``names``: what the tools on offer are called, by operation, in the order of the prompt."""

    start: int
    steps: tuple[Step, ...]
    text: str
    names: dict[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> int:
        """What comes out."""
        return self.steps[-1].after

    @property
    def identity(self) -> str:
        """Steps and numbers, without words."""
        return json.dumps([self.start, [(step.operation, step.number) for step in self.steps]])

    @property
    def tools(self) -> list[ToolSpec]:
        """The tools on offer."""
        return [tool(operation, name) for operation, name in self.names.items()]


def is_test(problem: Problem) -> bool:
    """Whether a question is kept for evaluation: one in six, for ever the same."""
    return zlib.crc32(problem.identity.encode()) % TEST_SHARE == 0


def has_held_out_pair(operations: Sequence[str]) -> bool:
    """Whether two neighbouring steps are a combination that is kept for evaluation."""
    return any(held_out_pair(*pair) for pair in itertools.pairwise(operations))


def sample(
    rng: random.Random,
    length: int,
    numbers: Range,
    *,
    test: bool,
    unseen_pair: bool = False,
    names: Names = "usual",
    steps: Steps = "all",
) -> Problem:
    """A random question of ``length`` steps.

    Args:
        unseen_pair: with a held-out combination of neighbouring steps; else without any.
        names: of the tools: ``usual``, or ``varied`` (with made-up endings, in pre-training).
        steps: ``all`` (pre-training), ``trained``, or ``untrained``: at least one that is kept out of training.
    """
    while True:
        operations = rng.choices(TRAINED if steps == "trained" else STEP_NAMES, k=length)
        if steps == "untrained" and not set(operations) & set(UNTRAINED):
            continue
        if has_held_out_pair(operations) != unseen_pair or (length >= LONG and operations[-1] not in _OPEN_ENDED):
            continue
        found = _chain(rng, operations, numbers)
        if found is not None and is_test(found) == test:
            return replace(found, names=_offer(rng, operations, names, STEP_NAMES if steps == "all" else TRAINED))


def _chain(rng: random.Random, operations: Sequence[str], numbers: Range) -> Problem | None:
    """Numbers for a chain; None if a value leaves the range, or a step changes nothing."""
    start = value = rng.randint(*numbers.start)
    steps = []
    for name in operations:
        operation = OPERATIONS[name]
        number = rng.randint(*_second(name, numbers, value)) if len(operation.parameters) == 2 else None
        after = operation.run(value) if number is None else operation.run(value, number)
        if not 1 <= after <= numbers.limit or after == value:
            return None
        steps.append(Step(name, number, value, after))
        value = after
    return Problem(start, tuple(steps), _text(rng, start, steps))


def _second(name: str, numbers: Range, value: int) -> tuple[int, int]:
    """The range of a step's second number: near the value where it is compared with it, or nothing would be to compare."""
    if name in ("larger", "smaller"):
        return max(1, value // 2), max(3, min(numbers.limit, value + value // 2))
    return numbers.factor if name in LARGE_FACTORS else numbers.operand


def _text(rng: random.Random, start: int, steps: Sequence[Step]) -> str:
    sentences = [rng.choice(OPENINGS).format(a=start)]
    sentences += [rng.choice(OPERATIONS[step.operation].phrases).format(b=step.number) for step in steps]
    return " ".join([*sentences, rng.choice(ENDINGS)])


def _offer(rng: random.Random, operations: Sequence[str], names: Names, others: Sequence[str]) -> dict[str, str]:
    needed = list(dict.fromkeys(operations))
    useless = [operation.name for operation in DISTRACTORS]
    useful = [name for name in others if name not in needed]
    while len(needed) < OFFERED:
        pool = useless if (rng.random() < DISTRACTING and useless) or not useful else useful
        needed.append(pool.pop(rng.randrange(len(pool))))
    rng.shuffle(needed)
    if names == "usual":
        return {name: name for name in needed}
    return {name: name + ending(rng) for name in needed}


@dataclass(frozen=True)
class Shares:
    """How long chains are: the share of each length from one step on."""

    lengths: tuple[float, ...] = (0.45, 0.25, 0.15, 0.10, 0.05)

    def draw(self, rng: random.Random) -> int:
        """A length."""
        return rng.choices(range(1, len(self.lengths) + 1), weights=self.lengths)[0]


def problems(split: Split, count: int, seed: int, shares: Shares) -> list[Problem]:
    """``count`` distinct questions of a set; the lengths of chains in their shares, to the question."""
    rng = random.Random(f"{split}-{seed}")
    found: dict[str, Problem] = {}
    total = sum(shares.lengths)
    bounds = [sum(shares.lengths[: index + 1]) / total for index in range(len(shares.lengths))]
    spent, missed = set[int](), 0
    while len(found) < count:
        place = (len(found) + 0.5) / count
        length = 1 + sum(place > bound for bound in bounds)
        if split == "ood_combinations":
            length = max(2, length)
        if missed > TRIES:
            spent.add(length)
        problem = sample(
            rng,
            min(len(bounds), length + (length in spent)),
            LARGE if split == "ood_numbers" else SMALL,
            test=split != "train",
            unseen_pair=split == "ood_combinations",
            steps="untrained" if split == "ood_tools" else "trained",
        )
        # There are only so many short chains of small numbers: once a length is used up, the next longer one stands in.
        missed = missed + 1 if problem.identity in found else 0
        found.setdefault(problem.identity, problem)
    return list(found.values())


def question(problem: Problem, identifier: str) -> Question:
    """A problem as the rest of the system reads it: it carries its own tools."""
    length = len(problem.steps)
    return Question(
        id=identifier,
        question=problem.text,
        answers=(str(problem.answer),),
        env="\n\n".join(source(operation, name) for operation, name in problem.names.items()),
        func_schemas=tuple(spec.openai() for spec in problem.tools),
        data_source="chains",
        ability="math",
        category=f"{length} step" + "s" * (length > 1),
        metadata={"steps": length, "identity": problem.identity},
    )
