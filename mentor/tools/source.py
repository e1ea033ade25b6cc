"""Tools from a user's Python file, read without running it: signatures and docstrings become JSON Schemas.

Every public top-level function is a tool; its annotations give the schema, its docstring's first paragraph the
description. Top-level ``NETWORK = ["host:port", ...]`` and ``ISOLATION = "call"`` say of all tools of the file what
``network`` and ``isolation`` do in ``ToolSpec``. A JSON list of OpenAI tool objects beside the file (``tools.json`` for
``tools.py``) or assigned to a top-level name ``TOOLS`` overrides what the signatures say, and then names the tools.
"""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor.tools.spec import ToolSpec

_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "tuple": {"type": "array"},
    "set": {"type": "array", "uniqueItems": True},
    "Any": {},
    "object": {},
    "None": {"type": "null"},
}
_CONTAINERS = {"list", "List", "Sequence", "Iterable", "tuple", "Tuple", "set", "Set"}
_MAPPINGS = {"dict", "Dict", "Mapping"}


def load_tools(path: Path) -> list[ToolSpec]:
    """The tools that a Python file defines, in its order. The file is parsed, never imported.

    Raises:
        UserError: naming the file and, where there is one, the line.
    """
    source = _read(path)
    try:
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UserError(f"{path}:{line}: {getattr(error, 'msg', error)}", field=str(path)) from None
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    asynchronous = next((n for n in tree.body if isinstance(n, ast.AsyncFunctionDef)), None)
    if asynchronous is not None:
        raise _at(path, asynchronous, f"{asynchronous.name} is async; a tool is a plain function")
    schemas = _declared(path, tree)
    if schemas is not None:
        specs = [_from_schema(path, schema, functions, source) for schema in schemas]
    elif functions:
        specs = [_from_signature(path, node, source) for node in functions.values()]
    else:
        raise UserError(f"{path}: no public top-level function to be a tool", field=str(path))
    common = _common(path, tree)
    return [spec.model_copy(update=common) for spec in specs] if common else specs


def _common(path: Path, tree: ast.Module) -> dict[str, Any]:
    """What the file says of all its tools: the hosts they may reach, and how they are kept apart."""
    found: dict[str, Any] = {}
    for node in tree.body:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and "NETWORK" in names:
            found["network"] = tuple(_strings(path, node, "NETWORK must be a literal list of host:port"))
        if isinstance(node, ast.Assign) and "ISOLATION" in names:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            if value not in ("worker", "call"):
                raise _at(path, node, 'ISOLATION must be "worker" or "call"')
            found["isolation"] = value
    return found


def _strings(path: Path, node: ast.Assign, message: str) -> list[str]:
    try:
        value = ast.literal_eval(node.value)
    except ValueError:
        value = None
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise _at(path, node, message)
    return list(value)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}", field=str(path)) from None


def _at(path: Path, node: ast.AST, message: str) -> UserError:
    return UserError(f"{path}:{getattr(node, 'lineno', 1)}: {message}", field=str(path))


def _declared(path: Path, tree: ast.Module) -> list[Any] | None:
    """Schemas that the user wrote, from TOOLS in the file or the JSON file beside it; None if there are none."""
    for node in tree.body:
        names = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and "TOOLS" in names:
            try:
                return _as_list(path, ast.literal_eval(node.value))
            except ValueError:
                raise _at(path, node, "TOOLS must be a literal list of OpenAI tool objects") from None
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        return _as_list(beside, json.loads(_read(beside)))
    except json.JSONDecodeError as error:
        raise UserError(f"{beside}:{error.lineno}: {error.msg}", field=str(beside)) from None


def _as_list(path: Path, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{path}: expected a list of OpenAI tool objects", field=str(path))
    return value


def _from_schema(path: Path, schema: Any, functions: dict[str, ast.FunctionDef], source: str) -> ToolSpec:
    function = schema.get("function", schema) if isinstance(schema, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UserError(f"{path}: a tool object needs function.name", field=str(path))
    name = function["name"]
    if name not in functions:
        raise UserError(f"{path}: no top-level function {name!r} for the declared tool", field=str(path))
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise UserError(f"{path}: parameters of {name} must be a JSON Schema object", field=str(path))
    described = str(function.get("description") or _description(functions[name]))
    return ToolSpec(name=name, description=described, parameters=parameters, source=source)


def _from_signature(path: Path, node: ast.FunctionDef, source: str) -> ToolSpec:
    if node.args.vararg or node.args.posonlyargs:
        raise _at(path, node, f"{node.name}: parameters must be nameable (no *args, no positional-only ones)")
    arguments = [*node.args.args, *node.args.kwonlyargs]
    defaults: list[ast.expr | None] = [None] * (len(node.args.args) - len(node.args.defaults))
    defaults += [*node.args.defaults, *node.args.kw_defaults]
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument, default in zip(arguments, defaults, strict=True):
        schema = dict(_annotation(path, argument, argument.annotation))
        if default is None:
            required.append(argument.arg)
        elif isinstance(default, ast.Constant) and isinstance(default.value, (str, int, float, bool, type(None))):
            schema["default"] = default.value
        properties[argument.arg] = schema
    parameters: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if node.args.kwarg:
        parameters["additionalProperties"] = True
    return ToolSpec(name=node.name, description=_description(node), parameters=parameters, source=source)


def _description(node: ast.FunctionDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")


def _annotation(path: Path, argument: ast.arg, node: ast.expr | None) -> dict[str, Any]:
    """JSON Schema of an annotation; an unannotated parameter takes anything."""
    if node is None:
        return {}
    if isinstance(node, ast.Constant):
        if node.value is None:
            return {"type": "null"}
        if isinstance(node.value, str):
            return _annotation(path, argument, ast.parse(node.value, mode="eval").body)
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in _SCALARS or name in _CONTAINERS or name in _MAPPINGS:
            return dict(_SCALARS.get(name) or ({"type": "object"} if name in _MAPPINGS else {"type": "array"}))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([_annotation(path, argument, side) for side in (node.left, node.right)])
    if isinstance(node, ast.Subscript):
        return _generic(path, argument, node)
    shown = ast.unparse(node)
    message = f"parameter {argument.arg}: no JSON Schema for the annotation {shown}"
    raise UserError(
        f"{path}:{argument.lineno}: {message}",
        field=str(path),
        allowed="str, int, float, bool, list, dict, Literal, Optional, unions of these",
    )


def _generic(path: Path, argument: ast.arg, node: ast.Subscript) -> dict[str, Any]:
    base = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if base == "Literal":
        return {"enum": [ast.literal_eval(item) for item in items]}
    if base == "Annotated":
        return _annotation(path, argument, items[0])
    if base in ("Optional", "Union"):
        parts = [_annotation(path, argument, item) for item in items]
        return _union([*parts, {"type": "null"}] if base == "Optional" else parts)
    if base in _MAPPINGS:
        return {"type": "object", "additionalProperties": _annotation(path, argument, items[-1])}
    if base in _CONTAINERS:
        return {"type": "array", "items": _annotation(path, argument, items[0])}
    raise _at(path, argument, f"parameter {argument.arg}: no JSON Schema for the annotation {ast.unparse(node)}")


def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": parts}
