r"""A second opinion on equality: a reader of LaTeX of our own, and SymPy. No part of math-verify takes part in it.

It reads arithmetic, powers, roots, fractions, logarithms, trigonometry, factorials and binomials in any variables; what it
cannot read is ``unparsed``, never equal. Two expressions are equal where their difference vanishes, exactly or, to thirty
digits, at several points. Runs in a judge's worker process: SymPy may compute for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mentor.grading.comparison import same
from mentor.grading.form import form

_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|\\[a-zA-Z]+|\\.|[a-zA-Z]|[-+*/^_(){}\[\]|!'=])")
_FUNCTIONS = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp")
_INVERSE = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_CONSTANTS = {"\\pi": "pi", "\\infty": "oo", "e": "E", "i": "I"}
_TIMES = ("*", "\\cdot", "\\times")
_POINTS = ((0.7312, 1.2345), (1.9127, 0.3391), (-0.6173, 2.7719), (3.1873, 0.1317))
_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "theta",
        "lambda",
        "mu",
        "nu",
        "rho",
        "sigma",
        "tau",
        "phi",
        "psi",
        "omega",
    ]
)
_MAX_DEPTH = 60
_STOP = frozenset(("+", "-", ")", "}", "]", "|", "/", "=", "", *_TIMES))


class _Unread(Exception):
    """The text is beyond this reader."""


def symbolically_equal(prediction: str, gold: str) -> tuple[bool, str]:
    """Whether the two are equal, and why: ``equal``, ``different``, ``unparsed_gold``, ``unparsed``."""
    unread: list[str] = []

    def scalar(said: str, wanted: str) -> bool:
        for text, reason in ((wanted, "unparsed_gold"), (said, "unparsed")):
            try:
                read(text)
            except _Unread:
                unread.append(reason)
                return False
        return _equal(read(said), read(wanted))

    equal = same(form(prediction), form(gold), scalar)
    return equal, "equal" if equal else unread[0] if unread else "different"


def read(text: str) -> Any:
    """A SymPy expression.

    Raises:
        _Unread: the text is none that this reader knows.
    """
    reader = _Reader(text)
    value = reader.sum()
    if reader.peek():
        raise _Unread(text)
    return value


def _equal(left: Any, right: Any) -> bool:
    import sympy

    difference = left - right
    if left == right or difference == 0:
        return True
    if not (left.is_finite is not False and right.is_finite is not False):
        return False
    symbols = sorted(difference.free_symbols, key=str)
    if not symbols:
        return bool(abs(sympy.N(difference, 30)) < sympy.Float("1e-20") * (1 + abs(sympy.N(right, 30))))
    if left.free_symbols != right.free_symbols and sympy.simplify(difference) != 0:
        return False
    return all(_vanishes(difference, right, symbols, point) for point in _POINTS)


def _vanishes(difference: Any, scale: Any, symbols: list[Any], point: tuple[float, float]) -> bool:
    import sympy

    places = {
        symbol: sympy.Rational(str(point[0])) + n * sympy.Rational(str(point[1])) for n, symbol in enumerate(symbols)
    }
    value = sympy.N(difference.subs(places), 30)
    return bool(abs(value) < sympy.Float("1e-20") * (1 + abs(sympy.N(scale.subs(places), 30))))


class _Reader:
    """Recursive descent over tokens."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        self._at = self._depth = 0
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _Unread(text)
            self._tokens.append(match.group(1))
            position = match.end()

    def peek(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise _Unread(token)
        self._at += 1
        return token

    def sum(self) -> Any:
        """Terms with signs between them."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _Unread("nested too deeply")
        value = self._product()
        while self.peek() in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        self._depth -= 1
        return value

    def _product(self) -> Any:
        value = self._signed()
        while True:
            token = self.peek()
            if token in _TIMES:
                self._take()
                value = value * self._signed()
            elif token == "/":
                self._take()
                value = value / self._signed()
            elif token not in _STOP and not token.startswith("\\,"):
                value = value * self._power()
            else:
                return value

    def _signed(self) -> Any:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        return sign * self._power()

    def _power(self) -> Any:
        import sympy

        value = self._atom()
        while self.peek() in ("!", "^"):
            value = sympy.factorial(value) if self._take() == "!" else value ** self._argument()
        return value

    def _argument(self) -> Any:
        """What a command or an exponent applies to: a group, or a single token."""
        if self.peek() == "{":
            return self._group("{", "}")
        if self.peek() == "-":
            self._take()
            return -self._argument()
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1:  # \frac12 and x^12 take one digit
            self._tokens[self._at : self._at + 1] = [token[0], token[1:]]
        return self._atom()

    def _group(self, opening: str, closing: str) -> Any:
        self._take(opening)
        value = self.sum()
        self._take(closing)
        return value

    def _atom(self) -> Any:
        import sympy

        token = self.peek()
        for opening, closing in (("(", ")"), ("{", "}"), ("[", "]")):
            if token == opening:
                return self._group(opening, closing)
        if token == "|":
            return sympy.Abs(self._group("|", "|"))
        self._take()
        if token[0].isdigit() or token[0] == ".":
            return sympy.Rational(token.rstrip("."))
        if token in _CONSTANTS:
            return getattr(sympy, _CONSTANTS[token])
        if token.isalpha():
            return self._symbol(token)
        return self._command(token.removeprefix("\\"))

    def _symbol(self, name: str) -> Any:
        import sympy

        if self.peek() == "_":
            self._take()
            name += "_" + (str(self._argument()))
        return sympy.Symbol(name, real=True)

    def _command(self, name: str) -> Any:
        import sympy

        special: dict[str, Callable[[], Any]] = {
            "frac": lambda: self._argument() / self._argument(),
            "sqrt": self._root,
            "binom": lambda: sympy.binomial(self._argument(), self._argument()),
            "ln": lambda: sympy.log(self._applied()),
            "log": self._logarithm,
        }
        if name in special:
            return special[name]()
        if name in _FUNCTIONS or name in _INVERSE:
            function = getattr(sympy, _INVERSE.get(name, name))
            exponent = self._exponent()
            return function(self._applied()) ** exponent
        if name in _GREEK:
            return self._symbol(name)
        raise _Unread(name)

    def _exponent(self) -> Any:
        if self.peek() != "^":
            return 1
        self._take()
        exponent = self._argument()
        if exponent == -1:
            raise _Unread("an inverse function or a reciprocal")
        return exponent

    def _applied(self) -> Any:
        """The argument of a function: a group, or the factors that follow."""
        if self.peek() in ("(", "{"):
            return self._power()
        value = self._signed()
        while self.peek() not in _STOP and not self.peek().startswith("\\"):
            value = value * self._power()
        return value

    def _root(self) -> Any:
        import sympy

        degree = self._group("[", "]") if self.peek() == "[" else sympy.Integer(2)
        return sympy.root(self._argument(), degree)

    def _logarithm(self) -> Any:
        import sympy

        if self.peek() != "_":
            return sympy.log(self._applied())
        self._take()
        base = self._argument()
        return sympy.log(self._applied(), base)
