"""Errors in OpenAI's shape, so that its clients show them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from mentor.errors import MentorError, OverloadedError, UserError

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OpenAIRoute(APIRoute):
    """A route whose failures are answered in OpenAI's shape."""

    def get_route_handler(self) -> Handler:
        """The handler with both kinds of failure caught."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                return error_response(_from_validation(error))
            except MentorError as error:
                return error_response(error)

        return answer


def error_body(error: MentorError) -> dict[str, Any]:
    """The body of an error."""
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(error.http_status, "server_error"),
            "param": getattr(error, "field", None),
            "code": error.code,
        }
    }


def error_response(error: MentorError) -> JSONResponse:
    """The response to an error."""
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, OverloadedError) else None
    return JSONResponse(error_body(error), status_code=error.http_status, headers=headers)


def _from_validation(error: RequestValidationError) -> UserError:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return UserError("the request body is not JSON", field="body")
    field = ".".join(str(part) for part in first["loc"][1:3]) or "body"
    if first["type"] == "extra_forbidden":
        return UserError(f"{field} is not supported by this server", field=field)
    return UserError(f"{field}: {first['msg']}", field=field)
