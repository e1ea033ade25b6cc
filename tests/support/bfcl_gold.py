"""BFCL's possible answers as results that a model could have given, and the same with one thing changed for the worse."""

from __future__ import annotations

import ast
import json
from typing import Any

from mentor_evaluator.bfcl.categories import (
    AGENTIC,
    IRRELEVANCE,
    MULTI_TURN,
    RELEVANCE,
    Mode,
    category_of,
)
from mentor_evaluator.bfcl.entries import Entry, load_answers, load_entries
from tests.support.bfcl_written import written

Calls = list[tuple[str, dict[str, Any]]]
NO_CALL = "None of these functions helps here."
_UNSEEN = "something that nobody asked for"
_INDIFFERENT = frozenset({"ls", "estimate_drive_feasibility_by_mileage", "authenticate_travel"})
"""Simulator functions whose first argument may be (nearly) anything: it is not checked, so no value of it is wrong."""
UNATTAINABLE = {
    "simple_java_36": "numbers and truth values in a list of `any`, whose elements the checker reads as text",
    "simple_java_65": "the same",
    "live_simple_106-63-0": "a required list for which no value at all is possible",
    "live_simple_112-68-0": "the same",
    "live_multiple_862-181-3": "an argument that its function does not have",
    "live_multiple_964-207-0": "a required argument that the possible answer does not have",
    **{
        f"format_sensitivity_{number}": "the JSON decoder ends at the first list of objects inside the arguments"
        for number in range(110, 116)
    },
}
"""Entries that no output can pass: the package's checker contradicts its own possible answer."""


def gold(category: str, mode: Mode = "fc") -> list[tuple[str, Any]]:
    """Every entry's id with a right result in the official shape."""
    return _results(category, mode, spoil=False)


def spoiled(category: str, mode: Mode = "fc") -> list[tuple[str, Any]]:
    """The same with one field changed to what the possible answers do not allow."""
    return _results(category, mode, spoil=True)


def _results(category: str, mode: Mode, spoil: bool) -> list[tuple[str, Any]]:
    answers = load_answers(category)
    return [
        (entry["id"], gold_result(entry, answers.get(entry["id"]), mode, spoil))
        for entry in load_entries(category, hints=False)
    ]


def gold_result(entry: Entry, answer: Any, mode: Mode, spoil: bool = False) -> Any:
    """One result."""
    category = category_of(entry["id"])
    if category in MULTI_TURN:
        turns = _spoiled_turns(answer) if spoil else answer
        return [[*([_steps(turn, mode)] if turn else []), "Done."] for turn in turns]
    if category in AGENTIC:
        said = _UNSEEN if spoil else answer[0]
        return [[repr({"answer": said, "context": "as I was told"})]]
    if category in (*IRRELEVANCE, *RELEVANCE):
        return NO_CALL if (category in RELEVANCE) == spoil else _any_call(entry, mode)
    calls = gold_calls(entry, answer)
    return written(_spoiled(calls, entry) if spoil else calls, entry, mode)


def _any_call(entry: Entry, mode: Mode) -> Any:
    name = entry["function"][0]["name"] if entry["function"] else "function"
    return written([(name, {"a": 1})], entry, mode)


def gold_calls(entry: Entry, answer: list[dict[str, Any]]) -> Calls:
    """The first allowed value of every parameter that is not left out."""
    calls = []
    for call in answer:
        ((name, parameters),) = call.items()
        function = next(doc for doc in entry["function"] if doc["name"] == name)
        schema = function["parameters"]["properties"]
        chosen = {k: _pick(v, schema[k]) for k, v in parameters.items() if k in schema and _given(k, v, function)}
        calls.append((name, chosen))
    return calls


def _given(name: str, allowed: list[Any], function: Entry) -> bool:
    """Whether a parameter is given. Only an empty string is allowed where it has to be, or may be left out."""
    return "" not in allowed or name in function["parameters"]["required"]


def _pick(allowed: list[Any], schema: dict[str, Any]) -> Any:
    value = next((v for v in allowed if v != ""), [] if schema["type"] == "array" else "")
    if schema["type"] in ("dict", "HashMap") and isinstance(value, dict):
        return _pick_dict(value)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [_pick_dict(item) for item in value]
    return value


def _pick_dict(value: dict[str, Any]) -> dict[str, Any]:
    return {k: next((x for x in v if x != ""), "") for k, v in value.items() if "" not in v}


def _spoiled(calls: Calls, entry: Entry) -> Calls:
    """The first argument of the first call becomes another value of its type; where there is none, one is made up."""
    (name, arguments), *rest = calls
    if not arguments:
        return [(name, {"made_up": 1}), *rest]
    first = next(iter(arguments))
    return [(name, arguments | {first: _other(arguments[first])}), *rest]


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 987654
    if isinstance(value, list):
        return [*value, _other(value[0]) if value else _UNSEEN]
    if isinstance(value, dict):
        return value | {"made_up": _UNSEEN}
    return _UNSEEN


def _steps(turn: list[str], mode: Mode) -> Any:
    """Source text of calls as one step of a model."""
    if mode == "prompt":
        return "[" + ", ".join(_by_keyword(call) for call in turn) + "]"
    return [{_name(call): json.dumps(_arguments(call))} for call in turn]


def _name(call: str) -> str:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    return ast.unparse(node.func)


def _arguments(call: str) -> dict[str, Any]:
    """Arguments by name; those that the possible answer gives by position get their names from the function's description."""
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    named = dict(zip(parameter_names(ast.unparse(node.func)), map(ast.literal_eval, node.args), strict=False))
    return named | {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}


def _by_keyword(call: str) -> str:
    return f"{_name(call)}({', '.join(f'{k}={v!r}' for k, v in _arguments(call).items())})"


_PARAMETERS: dict[str, list[str]] = {}


def parameter_names(function: str) -> list[str]:
    """Names of a simulator function's parameters, in order."""
    if not _PARAMETERS:
        for entry in load_entries("multi_turn_base", hints=False):
            for doc in entry["function"]:
                _PARAMETERS[doc["name"]] = list(doc["parameters"]["properties"])
    return _PARAMETERS[function]


def _spoiled_turns(turns: list[list[str]]) -> list[list[str]]:
    """The first argument of the first call that needs one becomes another value."""
    turn, number = next(
        (t, c) for t, calls in enumerate(turns) for c, call in enumerate(calls) if _needs_arguments(call)
    )
    call = turns[turn][number]
    arguments = _arguments(call)
    first = next(iter(arguments))
    arguments[first] = _other(arguments[first]) if _name(call) != "add_to_watchlist" else _other_stock(arguments[first])
    changed = f"{_name(call)}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"
    return [
        [changed if (t, c) == (turn, number) else call for c, call in enumerate(calls)] for t, calls in enumerate(turns)
    ]


def _needs_arguments(call: str) -> bool:
    """Whether its first argument makes a difference, to what comes back or to the simulators."""
    return bool(_arguments(call)) and _name(call) not in _INDIFFERENT


def _other_stock(stock: str) -> str:
    """Only stocks that exist are added to a watch list; others change nothing."""
    return "MSFT" if stock == "AAPL" else "AAPL"
