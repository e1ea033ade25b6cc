"""Arithmetic as calls of the math tools: an expression in levels, each of whose calls depend on the levels before alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from mentor.tools import math_tools
from mentor.tools.render import render_value
from mentor.trajectory import Observation, ToolCall

Number = int | float
_MOST_NODES = 60
_TOOLS: dict[type[ast.operator], tuple[str, str, str]] = {
    ast.Add: ("add", "firstNumber", "secondNumber"),
    ast.Sub: ("subtract", "minuend", "subtrahend"),
    ast.Mult: ("multiply", "firstNumber", "secondNumber"),
    ast.Div: ("divide", "numerator", "denominator"),
    ast.Mod: ("modulo", "dividend", "divisor"),
    ast.Pow: ("power", "base", "exponent"),
}
_PERCENT = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*%")
_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")


class Executed:
    """Calls of one level with what they returned."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.observations: list[Observation] = []

    def run(self, name: str, **arguments: Any) -> Number:
        """Run one call, and keep it.

        Raises:
            ValueError: it fails.
        """
        function: Callable[..., Number] = getattr(math_tools, name)
        try:
            value = function(**arguments)
        except (ArithmeticError, TypeError) as error:
            raise ValueError(f"{name} fails: {error}") from error
        call_id = f"call_{len(self.calls)}"
        self.calls.append(ToolCall(name=name, arguments=arguments, id=call_id))
        self.observations.append(Observation(name=name, content=render_value(value), call_id=call_id))
        return value


def execute(expression: str) -> tuple[Number, list[Executed]]:
    """The value of an expression, and the calls that gave it, level by level. A plain number takes no call.

    Three or more summands in a row are one call of ``sum_numbers``.

    Raises:
        ValueError: it is no arithmetic on numbers, or fails.
    """
    plain = _PERCENT.sub(r"(\1/100)", _COMMA.sub("", expression.replace("x", "*").replace("×", "*").replace("÷", "/")))
    plain = _LEADING_ZEROS.sub("", plain.replace("$", "")).strip()
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{expression!r} is no arithmetic") from error
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise ValueError(f"{expression[:40]!r}… is too long")
    levels: list[Executed] = []
    value, _ = _evaluate(tree, levels, expression)
    return value, [level for level in levels if level.calls]


def _evaluate(node: ast.expr, levels: list[Executed], source: str) -> tuple[Number, int]:
    """The value of a node, and the first level at which it is known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return node.value, 0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value, level = _evaluate(node.operand, levels, source)
        return (-value if isinstance(node.op, ast.USub) else value), level
    if isinstance(node, ast.BinOp) and type(node.op) in _TOOLS:
        summands = _summands(node)
        if len(summands) > 2:
            known = [_evaluate(part, levels, source) for part in summands]
            level = max(level for _, level in known)
            return _at(levels, level).run("sum_numbers", numbers=[value for value, _ in known]), level + 1
        name, left, right = _TOOLS[type(node.op)]
        (a, first), (b, second) = _evaluate(node.left, levels, source), _evaluate(node.right, levels, source)
        level = max(first, second)
        if name == "power" and (abs(a) > 1e6 or abs(b) > 64):
            raise ValueError(f"{source!r} holds too large a power")
        return _at(levels, level).run(name, **{left: a, right: b}), level + 1
    raise ValueError(f"{source!r} is no arithmetic on numbers")


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), node.right]
    return [node]


def _at(levels: list[Executed], level: int) -> Executed:
    while len(levels) <= level:
        levels.append(Executed())
    return levels[level]
