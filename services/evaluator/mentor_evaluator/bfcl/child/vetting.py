"""Vet what a model wrote before the package evaluates it.

The package evaluates in two places: arithmetic in arguments (``f(x=2*3)``, in its decoder), and whole calls (in the executor
of its simulators). Allowed is what a well-meant answer needs, and whatever fails with the official error by itself (an
unknown name): both then go the official way. What would reach an object that is no simulator's, or grow without bound, is
refused, and its sample is wrong. Builtins that touch nothing outside stay allowed, because the official executor runs them;
one that never ends is killed at the deadline.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Collection, Mapping

MAX_SIZE = 4000
"""Size of an arithmetic result, in digits, characters or items, above which it is refused."""
MAX_DEPTH = 60
PURE = frozenset(
    {
        "abs", "all", "any", "bin", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate", "filter", "float",
        "format", "frozenset", "hash", "hex", "id", "int", "isinstance", "iter", "len", "list", "map", "max", "min", "next",
        "oct", "ord", "pow", "print", "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple",
        "zip",
    }
)  # fmt: skip
_BUILTINS = frozenset(dir(builtins))
_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.Name)
_SYNTAX = (ast.expr_context, ast.operator, ast.unaryop, ast.keyword)


class Refused(Exception):
    """The output reaches for what no answer needs."""


def parse(text: str) -> ast.expr | None:
    """The expression, or None if it is none (the official parser will say so).

    Raises:
        Refused: nested more deeply than anything that means well.
    """
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    except (RecursionError, MemoryError):
        raise Refused("nested too deeply") from None


def vet_decoding(text: str) -> None:
    """Vet text that the official Python decoder is about to read: it evaluates every arithmetic expression in arguments.

    Raises:
        Refused: such an expression calls something, looks into an object, or is too large.
    """
    tree = parse(text)
    if tree is None:
        return
    for node in _nodes(tree):
        if isinstance(node, ast.BinOp):
            _vet_arithmetic(node)


def vet_call(text: str, methods: Collection[str], present: Mapping[str, object]) -> None:
    """Vet one call before the official executor evaluates it.

    Args:
        methods: names of the simulators' methods, which it may call.
        present: what else has a name where it is evaluated, and must not be touched.

    Raises:
        Refused: it does more than call those on literals.
    """
    tree = parse(text)
    if tree is None:
        return
    nodes = _nodes(tree)
    callees = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.BinOp):
            _vet_arithmetic(node, calls=True)
        elif isinstance(node, ast.Name):
            _vet_name(node.id, id(node) in callees, methods, present)
        elif isinstance(node, ast.Attribute):
            _vet_attribute(node, methods)
        elif isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name | ast.Attribute):
                raise Refused("a call of something other than a function by its name")
        elif not isinstance(node, (*_LITERALS, *_SYNTAX)):
            raise Refused(f"{type(node).__name__} in a call")


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """All nodes of a tree, without recursion. Raises ``Refused`` if it is deeper than ``MAX_DEPTH``."""
    found, level = [tree], [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return found
        found += level
    raise Refused("nested too deeply")


def _vet_name(name: str, called: bool, methods: Collection[str], present: Mapping[str, object]) -> None:
    """A name: unknown ones raise NameError by themselves, and so does a call of something that cannot be called."""
    if name in methods or name in PURE or (called and name in present and not callable(present[name])):
        return
    if name in present or name in _BUILTINS or name.startswith("__"):
        raise Refused(f"{name} is out of bounds")


def _vet_attribute(node: ast.Attribute, methods: Collection[str]) -> None:
    """``Unknown.method`` fails by itself; an attribute of anything that exists does not."""
    root: ast.expr = node
    while isinstance(root, ast.Attribute):
        if root.attr.startswith("_"):
            raise Refused(f"{root.attr} is out of bounds")
        root = root.value
    if not isinstance(root, ast.Name) or root.id in methods or root.id in PURE:
        raise Refused("an attribute of something that exists")


def _vet_arithmetic(node: ast.BinOp, *, calls: bool = False) -> None:
    for part in ast.walk(node):
        if not isinstance(part, (*_LITERALS, *_SYNTAX)) and not (calls and isinstance(part, ast.Call)):
            raise Refused(f"{type(part).__name__} in arithmetic")
    if _size(node) > MAX_SIZE:
        raise Refused("arithmetic too large")


def _size(node: ast.AST) -> float:
    """An upper bound of a result's size: digits of numbers, characters, items."""
    if isinstance(node, ast.BinOp):
        return _combined(node, _size(node.left), _size(node.right))
    if isinstance(node, ast.Constant):
        digits = node.value.bit_length() // 3 + 1 if isinstance(node.value, int) else len(str(node.value))
        return float(digits)
    return 1 + sum(_size(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _combined(node: ast.BinOp, left: float, right: float) -> float:
    """Powers have the digits of the base as often as the exponent says; products of numbers the digits of both, and a
    sequence times a number its items as often as that says."""
    if isinstance(node.op, ast.Pow | ast.LShift):
        return left * _times(node.right, right)
    if isinstance(node.op, ast.Mult) and not _numeric(node):
        return max(left * _times(node.right, right), right * _times(node.left, left))
    return left + right


def _times(node: ast.expr, size: float) -> float:
    """How often, at most: a number's value, or the largest of so many digits."""
    if not isinstance(node, ast.Constant):
        return math.pow(10, min(size, 9))
    value: object = node.value
    return max(1.0, float(min(abs(value), MAX_SIZE + 1))) if isinstance(value, int | float) else 1.0


def _numeric(node: ast.BinOp) -> bool:
    plain = (ast.Constant, ast.BinOp, ast.UnaryOp, *_SYNTAX)
    return all(
        isinstance(part, plain) and not (isinstance(part, ast.Constant) and isinstance(part.value, str | bytes))
        for part in ast.walk(node)
    )
