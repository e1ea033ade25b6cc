"""The steps that a chain is made of, the tools that do them, and the tools that only look as if they did."""

from __future__ import annotations

import inspect
import random
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mentor.tools import ToolSpec

Number = int
Run = Callable[..., Number]


def add(a: int, b: int) -> int:
    return a + b


def subtract(a: int, b: int) -> int:
    return a - b


def multiply(a: int, b: int) -> int:
    return a * b


def divide(a: int, b: int) -> int:
    return a // b


def remainder(a: int, b: int) -> int:
    return a % b


def larger(a: int, b: int) -> int:
    return max(a, b)


def smaller(a: int, b: int) -> int:
    return min(a, b)


def double(a: int) -> int:
    return 2 * a


def square(a: int) -> int:
    return a * a


def divide_up(a: int, b: int) -> int:
    return -(-a // b)


def distance(a: int, b: int) -> int:
    return abs(a - b)


def average(a: int, b: int) -> int:
    return (a + b) // 2


def digit_sum(a: int) -> int:
    return sum(map(int, str(abs(a))))


def round_tens(a: int) -> int:
    return 10 * round(a / 10)


@dataclass(frozen=True)
class Operation:
    """One step: what the tool is called and said to do, and how questions ask for it (``{b}``: the second number)."""

    run: Run
    description: str
    phrases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The tool's usual name."""
        return self.run.__name__

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its arguments: one or two numbers."""
        return tuple(inspect.signature(self.run).parameters)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        names = list(self.parameters)
        return {"type": "object", "properties": {name: {"type": "integer"} for name in names}, "required": names}


STEPS = (
    Operation(add, "Add b to a.", ("Add {b}.", "Then {b} more come.", "Put {b} on top.")),
    Operation(subtract, "Take b away from a.", ("Take {b} away.", "Then {b} are lost.", "Subtract {b}.")),
    Operation(multiply, "Multiply a by b.", ("Multiply by {b}.", "Take it {b} times.", "Make {b} of it.")),
    Operation(divide, "Divide a by b, whole part.", ("Divide by {b}.", "Share it among {b}.", "Cut it into {b}.")),
    Operation(
        remainder, "What a leaves over when divided by b.", ("Keep the rest by {b}.", "Fill boxes of {b}, keep the rest."),
    ),
    Operation(larger, "The larger of a and b.", ("Raise it to at least {b}.", "Keep the larger of it and {b}.")),
    Operation(smaller, "The smaller of a and b.", ("Cap it at {b}.", "Keep the smaller of it and {b}.")),
    Operation(double, "Twice a.", ("Double it.", "Take it twice.")),
    Operation(square, "a times itself.", ("Square it.", "Multiply it by itself.")),
)  # fmt: skip
DISTRACTORS = (
    Operation(divide_up, "Divide a by b, rounded up."),
    Operation(distance, "How far a is from b."),
    Operation(average, "Half of a plus b."),
    Operation(digit_sum, "Sum of the digits of a."),
    Operation(round_tens, "Round a to tens."),
)
OPERATIONS = {operation.name: operation for operation in (*STEPS, *DISTRACTORS)}
STEP_NAMES = tuple(operation.name for operation in STEPS)
SYLLABLES = ("_ka", "_lo", "_mi", "_ru", "_ze", "_no", "_si", "_pa", "_bu", "_ve", "_gi", "_ho")
"""Of made-up endings of tool names, each one token: pre-training varies names, lest a name alone say what is on offer."""
UNUSED_ENDINGS = 4
"""One made-up ending in so many was never read, to see whether a model reads a new name off the prompt: none of these does."""


def held_out_pair(first: str, second: str) -> bool:
    """Whether this step right after that one is kept for the questions with unseen combinations: about one in six."""
    return zlib.crc32(f"{first}>{second}".encode()) % 6 == 0


def ending(rng: random.Random) -> str:
    """A made-up ending of a tool's name, of two syllables: ``add`` becomes ``add_ka_lo``."""
    while True:
        made = "".join(rng.choices(SYLLABLES, k=2))
        if zlib.crc32(made.encode()) % UNUSED_ENDINGS:
            return made


@lru_cache(maxsize=4096)
def tool(operation: str, name: str) -> ToolSpec:
    """A step's tool under a name."""
    found = OPERATIONS[operation]
    return ToolSpec(name=name, description=found.description, parameters=found.schema, source=source(operation, name))


def source(operation: str, name: str) -> str:
    """Python source of a step's tool under a name."""
    text = textwrap.dedent(inspect.getsource(OPERATIONS[operation].run))
    return text.replace(f"def {operation}(", f"def {name}(", 1)
