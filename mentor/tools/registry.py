"""Which tools a question offers: built-in ones by name, its own from source, a user's from a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mentor.errors import UserError
from mentor.tools.builtin import MATH_TOOLS, WIKIPEDIA_SEARCH
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Question

SEARCH_URL_PLACEHOLDER = "<search-url-placeholder>"


class ToolRegistry:
    """Tools by name.

    Args:
        specs: a user's tools: offered in place of the 12 math tools, and found before built-in ones of the same name.
        search_url: the retriever's URL, put in place of the placeholder in published tool sources.
        default: names of the tools offered by questions that name none; None offers ``specs``, else the 12 math tools.
    """

    def __init__(
        self, specs: Iterable[ToolSpec] = (), search_url: str | None = None, default: tuple[str, ...] | None = None
    ) -> None:
        own = tuple(specs)
        self._specs = {spec.name: spec for spec in (*MATH_TOOLS, WIKIPEDIA_SEARCH, *own)}
        self._default = own or MATH_TOOLS
        self._default_names = default
        self._search_url = search_url

    @property
    def names(self) -> list[str]:
        """Names of all tools, built-in first."""
        return list(self._specs)

    def for_question(self, question: Question) -> tuple[ToolSpec, ...]:
        """The question's tools: its own (``func_schemas``), those it names, else the default.

        A schema without source (``env``) is that of a tool which somebody else has: this registry, or else the sandbox.

        Raises:
            UserError: a named tool is not registered, or a schema is malformed.
        """
        if question.func_schemas is not None:
            return tuple(self._own(question, schema) for schema in question.func_schemas)
        names = question.tools if question.tools is not None else self._default_names
        return self._default if names is None else tuple(self.get(name) for name in names)

    def get(self, name: str) -> ToolSpec:
        """A tool by name; raises ``UserError`` if there is none."""
        if name not in self._specs:
            raise UserError(f"unknown tool {name!r}", field="tools", allowed=", ".join(self._specs))
        return self._specs[name]

    def _own(self, question: Question, schema: dict[str, Any]) -> ToolSpec:
        function = schema.get("function", schema)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UserError(f"question {question.id}: a tool schema has no name", field="func_schemas")
        source = question.env
        if source is None and function["name"] in self._specs:
            return self._specs[function["name"]]
        if source is not None and SEARCH_URL_PLACEHOLDER in source and self._search_url:
            source = source.replace(SEARCH_URL_PLACEHOLDER, self._search_url)
        return ToolSpec(
            name=function["name"],
            description=function.get("description", ""),
            parameters=function.get("parameters") or {"type": "object", "properties": {}},
            source=source,
        )
