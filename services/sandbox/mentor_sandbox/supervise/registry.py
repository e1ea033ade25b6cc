"""Server. Registered tools: compiled, with their validators, ids and what they may reach."""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from mentor.errors import UserError
from mentor.tools.spec import ToolSpec
from mentor.tools.validation import argument_error, closed_schema
from mentor_sandbox.supervise.processes.kinds import kind_for

_ID_DIGITS = 12


@dataclass(frozen=True, eq=False)
class RegisteredTool:
    """A tool of the operator's. Its id names exactly this source and schema: another version has another id."""

    spec: ToolSpec
    id: str
    code: bytes
    """``marshal`` of its source's code: compiled once, here."""
    kind: str
    hosts: tuple[str, ...]
    _validator: Any = field(repr=False)

    def argument_error(self, arguments: dict[str, Any]) -> str | None:
        """What is wrong with the arguments; None if they fit.

        The fast validator only ever says yes: what it refuses (NaN, which its JSON lacks) the other one decides.
        """
        if self._validator.is_valid(arguments):
            return None
        return argument_error(self.spec, arguments)


class Registry:
    """Registered tools by name and by id.

    Raises:
        UserError: a source does not compile, a schema is invalid, or two tools share a name.
    """

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self.tools: dict[str, RegisteredTool] = {}
        self._by_key: dict[str, RegisteredTool] = {}
        for spec in specs:
            tool = registered(spec)
            self.tools[spec.name] = tool
        for tool in self.tools.values():
            self._by_key[tool.spec.name] = self._by_key[tool.id] = tool

    def add(self, spec: ToolSpec) -> None:
        """Register one more tool, as MCP servers tell of theirs.

        Raises:
            UserError: its schema is invalid, or there is another of its name.
        """
        if spec.name in self.tools:
            raise UserError(f"there is a tool {spec.name} already", field=spec.name)
        tool = registered(spec)
        self.tools[spec.name] = self._by_key[spec.name] = self._by_key[tool.id] = tool

    def remove(self, name: str) -> None:
        """Forget a tool."""
        tool = self.tools.pop(name)
        for key in (name, tool.id):
            self._by_key.pop(key, None)

    def listed(self) -> list[RegisteredTool]:
        """All tools, sorted by name."""
        return [tool for _, tool in sorted(self.tools.items())]

    def get(self, name_or_id: str) -> RegisteredTool | None:
        """A tool; None if there is none of that name or id."""
        return self._by_key.get(name_or_id)


def registered(spec: ToolSpec) -> RegisteredTool:
    """A tool made ready to be called.

    Raises:
        UserError: its source does not compile, or its schema is invalid.
    """
    source = spec.source or ""
    try:
        code = marshal.dumps(compile(source, f"<{spec.name}>", "exec", dont_inherit=True))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the source of tool {spec.name} does not compile: {error}", field=spec.name) from None
    argument_error(spec, {})
    kind = kind_for(source, spec.network)
    try:
        validator = jsonschema_rs.Draft202012Validator(closed_schema(spec))
    except jsonschema_rs.ValidationError as error:
        raise UserError(f"the schema of tool {spec.name} is invalid: {error.message}", field=spec.name) from None
    return RegisteredTool(spec, tool_id(spec), code, kind, tuple(sorted(spec.network)), validator)


def tool_id(spec: ToolSpec) -> str:
    """``name-digest`` of everything that decides what a call of it does."""
    parts = [spec.name, spec.source, spec.parameters, spec.network, spec.isolation, spec.timeout_s]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{spec.name}-{digest[:_ID_DIGITS]}"
