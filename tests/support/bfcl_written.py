"""Calls as a model would write them, in each format that BFCL asks for."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from mentor_evaluator.bfcl.categories import FORMAT_SENSITIVITY, Mode, category_of
from mentor_evaluator.bfcl.entries import Entry

Calls = list[tuple[str, dict[str, Any]]]


def written(calls: Calls, entry: Entry, mode: Mode) -> Any:
    """A result of one request."""
    category = category_of(entry["id"])
    if category in ("simple_java", "simple_javascript"):
        java = category == "simple_java"
        calls = [(name, _sources(name, arguments, entry, java)) for name, arguments in calls]
        if mode == "prompt":
            return _source_text(calls, entry, java)
    if mode == "fc":
        return [{name.replace(".", "_"): json.dumps(arguments)} for name, arguments in calls]
    if category == FORMAT_SENSITIVITY:
        config = dict(part.split("=") for part in entry["id"].split(":")[1].split("&"))
        text = _FORMATS[config["ret_fmt"]](calls)
        return f"<TOOLCALL>{text}</TOOLCALL>" if config["tool_call_tag"] == "True" else text
    return _python(calls)


def _python(calls: Calls) -> str:
    return "[" + ", ".join(f"{n}({', '.join(f'{k}={v!r}' for k, v in a.items())})" for n, a in calls) + "]"


def _json(calls: Calls) -> str:
    return (
        "```json\n" + json.dumps([{"function": name, "parameters": arguments} for name, arguments in calls]) + "\n```"
    )


def _verbose_xml(calls: Calls) -> str:
    def parameter(name: str, value: Any) -> str:
        return f"<param name={quoteattr(name)} value={quoteattr(_literal(value))} type={quoteattr(_type(value))}/>"

    return _xml(calls, parameter, "<params>", "</params>")


def _concise_xml(calls: Calls) -> str:
    def parameter(name: str, value: Any) -> str:
        return f"<param name={quoteattr(name)} type={quoteattr(_type(value))}>{escape(_literal(value))}</param>"

    return _xml(calls, parameter, "", "")


def _xml(calls: Calls, parameter: Any, opening: str, closing: str) -> str:
    functions = (
        f"<function name={quoteattr(name)}>{opening}{''.join(parameter(k, v) for k, v in a.items())}{closing}</function>"
        for name, a in calls
    )
    return f"<functions>{''.join(functions)}</functions>"


_FORMATS = {"python": _python, "json": _json, "verbose_xml": _verbose_xml, "concise_xml": _concise_xml}


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _type(value: Any) -> str:
    kinds = {
        bool: "boolean",
        str: "string",
        int: "integer",
        float: "float",
        list: "array",
        dict: "dict",
        type(None): "null",
    }
    return kinds[type(value)]


def _schema(name: str, entry: Entry) -> dict[str, Any]:
    function = next(doc for doc in entry["function"] if doc["name"] == name)
    properties: dict[str, Any] = function["parameters"]["properties"]
    return properties


def _sources(name: str, arguments: dict[str, Any], entry: Entry, java: bool) -> dict[str, Any]:
    """Values as source text of the language: what models are asked for."""
    schema = _schema(name, entry)
    write = _java if java else _javascript
    return {k: write(v, schema[k]) if k in schema else str(v) for k, v in arguments.items()}


def _java(value: Any, schema: dict[str, Any]) -> str:
    kind, inner = schema["type"], schema.get("items", {})
    if isinstance(value, list):
        if kind == "ArrayList":
            return f"new ArrayList<>(Arrays.asList({', '.join(_java_item(item, inner.get('type')) for item in value)}))"
        return (
            f"new {inner['type']}[]{{{', '.join(map(str, value))}}}"  # the checker keeps quotes as part of an element
        )
    if isinstance(value, dict):
        puts = " ".join(f"put({json.dumps(k)}, {_java_item(v, None)});" for k, v in value.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value}{ {'long': 'L', 'float': 'f'}.get(kind, '') if not isinstance(value, str) else '' }"


def _java_item(item: Any, kind: str | None) -> str:
    if isinstance(item, str):
        return item if kind == "any" else json.dumps(item)
    return f"{str(item).lower() if isinstance(item, bool) else item}{'L' if kind == 'long' else ''}"


def _javascript(value: Any, schema: dict[str, Any]) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value}{'n' if schema['type'] == 'Bigint' else ''}"


def _source_text(calls: Calls, entry: Entry, java: bool) -> str:
    """A call in source; values between quotes, which the decoders strip, so that any text can be one."""
    ((name, arguments),) = calls
    quote = _java_quoted if java else _javascript_quoted
    return f"[{name}({', '.join(f'{k}={quote(v)}' for k, v in arguments.items())})]"


def _java_quoted(source: str) -> str:
    """Expressions that hold strings stand as they are, but for maps: their bodies are lost unless they are text."""
    if '"' not in source:
        return json.dumps(source)
    return f'"""\n{source}"""' if "HashMap" in source else source


def _javascript_quoted(source: str) -> str:
    return source if source.startswith(("[", "{")) or source in ("true", "false") else json.dumps(source)
