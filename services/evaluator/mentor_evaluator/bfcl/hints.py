"""The notes on language that the benchmark adds to functions' descriptions before models see them."""

from __future__ import annotations

import json
from typing import Any

_LANGUAGES = {"simple_java": "Java", "simple_javascript": "JavaScript"}
_SYNTAX = {"Java": "Java 8 SDK", "JavaScript": "JavaScript", None: "Python 3"}


def add_hints(functions: list[dict[str, Any]], category: str) -> None:
    """Change functions in place: say whose syntax they have, and make every Java or JavaScript parameter a string."""
    language = _LANGUAGES.get(category)
    for function in functions:
        function["description"] += f" Note that the provided function is in {_SYNTAX[language]} syntax."
        if language is not None:
            for parameter in function["parameters"]["properties"].values():
                _as_string(parameter, language)


def _as_string(parameter: dict[str, Any], language: str) -> None:
    kind = parameter["type"]
    if kind == "any":
        note = f" This parameter can be of any type of {language} object in string representation."
    else:
        note = f" This is {language} {kind} type parameter in string representation."
    if kind in (("ArrayList", "Array") if language == "Java" else ("array",)):
        inner = parameter.pop("items")["type"]
        note += f" The list elements are of type {inner}; they are not in string representation."
    if language == "JavaScript" and kind == "dict" and "properties" in parameter:
        schema = json.dumps(parameter.pop("properties"))
        note += " The dictionary entries have the following schema; they are not in string representation. " + schema
    parameter["description"] += note
    parameter["type"] = "string"
