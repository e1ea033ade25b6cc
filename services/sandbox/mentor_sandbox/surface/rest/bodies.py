"""Server. Bodies that a route reads and writes itself, and the fields of results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from mentor_sandbox.results import CallResult

Body = TypeVar("Body", bound=BaseModel)


def result_fields(result: CallResult, names: Iterable[str], **more: Any) -> dict[str, Any]:
    """The fields of an answer, in the order of ``names``: ``more``'s, else the result's of the same name."""
    more["status"] = result.status.value
    return {name: more[name] if name in more else getattr(result, name) for name in names}


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """What the API's description says of a body that the route reads itself."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema)}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose references are resolved: there is no common place for definitions in ``openapi_extra``."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rpartition("/")[2]])
        return {key: resolve(value) for key, value in node.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's body as a model. Python's own parser: it keeps huge integers, NaN and lone surrogates.

    Raises:
        RequestValidationError: it is not JSON, or not the model's.
    """
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        message = f"JSON decode error: {error}"
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": message}]) from None
    try:
        return model.model_validate(content)
    except ValidationError as failure:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in failure.errors()]) from None
