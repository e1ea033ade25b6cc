"""Tools from a user's file: read, never run; bad files are refused by name and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentor.errors import UserError
from mentor.tools.source import load_tools
from mentor.tools.spec import ToolSpec
from mentor.tools.validation import argument_error
from mentor.tools.values import decode_value

GOOD = '''
from typing import Literal, Optional
import os
os.environ["RAN"] = "yes"

def convert(amount: float, unit: Literal["km", "mi"], digits: int = 2, note: Optional[str] = None) -> float:
    """Convert a distance
    to the other unit.

    More text."""
    return round(amount, digits)

def total(items: list[dict[str, float]], anything) -> float:
    return 0.0

def _private(x): ...
'''


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(text)
    return path


def test_signatures_become_schemas_and_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAN", raising=False)
    convert, total = load_tools(write(tmp_path, GOOD))
    assert convert.description == "Convert a distance to the other unit."
    assert convert.parameters == {
        "type": "object",
        "properties": {
            "amount": {"type": "number"},
            "unit": {"enum": ["km", "mi"]},
            "digits": {"type": "integer", "default": 2},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["amount", "unit"],
    }
    numbers = {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "number"}}}
    assert total.parameters["properties"] == {"items": numbers, "anything": {}}
    assert convert.source == GOOD
    import os

    assert "RAN" not in os.environ


def test_a_schema_file_beside_the_source_decides(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    parameters = {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}}
    schema = [{"type": "function", "function": {"name": "convert", "description": "D", "parameters": parameters}}]
    (tmp_path / "tools.json").write_text(json.dumps(schema))
    (tool,) = load_tools(path)
    assert (tool.name, tool.description, tool.parameters) == ("convert", "D", parameters)


def test_a_literal_in_the_source_decides(tmp_path: Path) -> None:
    source = "TOOLS = [{'name': 'f', 'description': 'D', 'parameters': {'type': 'object'}}]\ndef f(): ...\ndef g(): ..."
    assert [tool.name for tool in load_tools(write(tmp_path, source))] == ["f"]


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def f(:\n", "tools.py:1"),
        ("x = 1", "no public top-level function"),
        ("\ndef f(x: complex): ...", "tools.py:2: parameter x"),
        ("def f(*xs): ...", "tools.py:1: f: parameters must be nameable"),
        ("\n\nasync def f(): ...", "tools.py:3: f is async"),
        ("TOOLS = [{'name': 'g'}]\ndef f(): ...", "no top-level function 'g'"),
        ("TOOLS = make()\ndef f(): ...", "tools.py:1: TOOLS must be a literal"),
        ("TOOLS = {}\ndef f(): ...", "expected a list"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_line(tmp_path: Path, source: str, named: str) -> None:
    with pytest.raises(UserError) as caught:
        load_tools(write(tmp_path, source))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.py"):
        load_tools(tmp_path / "nothing.py")


def spec(**properties: dict[str, object]) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return ToolSpec(name="t", description="", parameters=parameters)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"a": 1}, None),
        ({"a": 1.5}, None),
        ({}, "missing 'a'"),
        ({"a": "1"}, 'a must be number, got "1"'),
        ({"a": True}, "a must be number, got true"),
        ({"a": 1, "b": 2}, "unexpected 'b'"),
    ],
)
def test_arguments_are_judged_in_one_wording(arguments: dict[str, object], wrong: str | None) -> None:
    assert argument_error(spec(a={"type": "number"}), arguments) == wrong


def test_an_invalid_schema_is_the_users_error() -> None:
    with pytest.raises(UserError, match="schema of tool t"):
        argument_error(spec(a={"type": "nmber"}), {})


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("0", 0),
        ('""', ""),
        ("null", None),
        ('{"__float__":"-inf"}', float("-inf")),
        ('{"__int__":"0x10"}', 16),
        ('{"__set__":[1,2]}', {1, 2}),
        ('{"__dict__":[[[1,2],"x"]]}', {(1, 2): "x"}),
        ('{"a":{"__complex__":[1.0,2.0]}}', {"a": 1 + 2j}),
        ('{"__ndarray__":[[1]],"dtype":"int64"}', [[1]]),
    ],
)
def test_explicit_forms_are_decoded(encoded: str, value: object) -> None:
    assert decode_value(encoded) == value
