"""Odd text, and arguments of absurd size or depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.hostile.case import INVALID, OK, OUTPUT, REFUSED, TOOL_ERROR, Case

_TEXT = (
    Case("lone-surrogate", "unicode", "result = '\\ud800'\nprint('\\udfff')"),
    Case("surrogate-in-error", "unicode", "raise ValueError('\\udc80')", TOOL_ERROR),
    Case("surrogate-in-class", "unicode", "raise type('E\\ud800', (Exception,), {})('x')", TOOL_ERROR),
    Case("nul-bytes", "unicode", "result = 'a\\0b'\nprint(result)"),
    Case("bytes-that-are-no-text", "unicode", "import os\nos.write(1, bytes(range(256)) * 10)"),
    Case("right-to-left", "unicode", "result = '\\u202e' * 1000"),
    Case("combining", "unicode", "result = 'a' + '\\u0301' * 10**5"),
    Case("byte-order-mark", "unicode", "\ufeffresult = 1", (*OK, *TOOL_ERROR)),
    Case("coding-line", "unicode", "# -*- coding: utf-7 -*-\nresult = 1"),
    Case("nul-in-source", "unicode", "result = 1\0", TOOL_ERROR),
    Case("form-feed", "unicode", "\x0cresult = 1\x0c"),
    Case("surrogate-in-source", "unicode", "result = '\ud800'", TOOL_ERROR),
    Case("identifier-lookalikes", "unicode", "\uff45xec('result = 1')"),
    Case("escape-sequences", "unicode", "print('\\x1b]0;hostile\\x07\\x1b[2J')\nresult = '\\x9b'"),
)


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def _given(value: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {
        "source": "def f(x): return 1",
        "function": "f",
        "arguments": {"x": value() if callable(value) else value},
    }


_ARGUMENTS: tuple[Case, ...] = tuple(
    Case(name, "arguments", "", right, request=request)
    for name, right, request in (
        ("long-text", OK, _given(lambda: "x" * 5_000_000)),
        ("deep-list", (*OK, *REFUSED), _given(lambda: _deep(400))),
        ("many-keys", OK, _given(lambda: {str(n): n for n in range(100_000)})),
        ("many-items", OK, _given(lambda: [0] * 1_000_000)),
        ("huge-integer", (*OK, *REFUSED), _given(lambda: 10**4000)),
        ("huge-float", OK, _given(1e308)),
        ("odd-keys", OK, _given({"": 1, "\0": 2, "__class__": 3, "\ud800": 4})),
        ("unexpected-names", INVALID, lambda: {"source": "def f(): return 1", "function": "f", "arguments": {"__import__": 1}}),
        ("dunder-function", (*INVALID, *TOOL_ERROR), lambda: {"source": "", "function": "__build_class__", "arguments": {}}),
        ("not-a-function", INVALID, lambda: {"source": "f = 1", "function": "f", "arguments": {}}),
        ("registered-with-nonsense", INVALID, lambda: {"tool": "add", "arguments": {"firstNumber": _deep(50), "secondNumber": "x"}}),
        ("registered-with-huge", (*OK, *TOOL_ERROR, *INVALID, *REFUSED, "timeout", "memory"),
         lambda: {"tool": "power", "arguments": {"base": 10, "exponent": 10**300}}),
        ("registered-that-takes-long", (*OK, *TOOL_ERROR, "timeout", "memory", *OUTPUT),
         lambda: {"tool": "power", "arguments": {"base": 7, "exponent": 10**8}}),
        ("registered-huge-list", OK, lambda: {"tool": "sum_numbers", "arguments": {"numbers": [1] * 300_000}}),
        ("unknown-tool", INVALID, lambda: {"tool": "../../etc/passwd", "arguments": {}}),
        ("tool-of-odd-name", INVALID, lambda: {"tool": "\0\ud800" * 1000, "arguments": {}}),
        ("negative-time", REFUSED, lambda: {"tool": "add", "arguments": {}, "timeout_s": -1}),
        ("endless-time", REFUSED, lambda: {"env": "", "expression": "1", "timeout_s": 1e300}),
        ("three-targets", REFUSED, lambda: {"tool": "add", "source": "", "function": "f", "expression": "1"}),
        ("long-expression", (*OK, *INVALID, *TOOL_ERROR, "memory"), lambda: {"env": "", "expression": "1+" * 100_000 + "1"}),
        ("nested-expression", (*OK, *INVALID, *TOOL_ERROR, "memory", "killed"), lambda: {"env": "", "expression": "(" * 5000 + ")" * 5000}),
        ("statement-as-expression", INVALID, lambda: {"env": "", "expression": "import os"}),
        ("request-too-large", REFUSED, lambda: {"env": "#" * 17_000_000, "expression": "1"}),
    )
)  # fmt: skip
CASES = (*_TEXT, *_ARGUMENTS)
