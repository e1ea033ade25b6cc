"""The error model: every failure is typed at the boundary where it arises.

Four kinds, told apart by who has to act on them:

* ``ModelError``: the model called something that does not exist or with bad arguments. Shown to the model, costs reward.
* ``ToolError``: the tool itself raised. Shown to the model, costs reward under ``executed`` validation.
* ``InfrastructureError``: ours (outage, time-out, lost worker). Retried, then the sample is set aside. Never scored.
* ``UserError``: a bad request or configuration. Refused at once, naming the field and what is allowed.

``http_status`` and ``grpc_status`` give the same answer on both transports; ``to_body`` is the body both carry.
"""

from __future__ import annotations

from typing import Any, ClassVar


class MentorError(Exception):
    """Base of every typed error. ``message`` is one line, fit to be shown to a person.

    ``detail`` is for the log of whoever runs the service, never for a caller: what a remote server answered.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.detail = ""

    def to_body(self) -> dict[str, Any]:
        """JSON body of an error response. ``detail`` repeats the message for clients of FastAPI-style servers."""
        return {"error": {"code": self.code, "message": self.message}, "detail": self.message}


class ModelError(MentorError):
    """The model's call cannot be run: unknown tool, bad arguments, unparsable call."""

    code = "invalid_call"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class ToolError(MentorError):
    """The tool ran and raised."""

    code = "tool_error"
    http_status = 200
    grpc_status = "OK"


class UserError(MentorError):
    """A bad request or configuration.

    Args:
        message: what is wrong, one line.
        field: the field, option or path at fault.
        allowed: what would be accepted.
    """

    code = "invalid_argument"
    http_status = 400
    grpc_status = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, field: str | None = None, allowed: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed

    def __str__(self) -> str:
        named = self.message if not self.field or self.field in self.message else f"{self.field}: {self.message}"
        return named if not self.allowed or self.allowed in named else f"{named} (allowed: {self.allowed})"

    def to_body(self) -> dict[str, Any]:
        body = super().to_body()
        body["error"] |= {"field": self.field, "allowed": self.allowed}
        return body


class NotFoundError(UserError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404
    grpc_status = "NOT_FOUND"


class ConflictError(UserError):
    """The request contradicts the present state (a finished job cancelled, a key reused with another body)."""

    code = "conflict"
    http_status = 409
    grpc_status = "FAILED_PRECONDITION"


class UnauthenticatedError(UserError):
    """No valid credential came with the request."""

    code = "unauthenticated"
    http_status = 401
    grpc_status = "UNAUTHENTICATED"


class ForbiddenError(UserError):
    """The caller is known, and may not do this."""

    code = "forbidden"
    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class RequestRefusedError(UserError):
    """A model server refused this one request; it may serve the next. It ends a trajectory, never a job."""

    code = "request_refused"


class ContextLengthError(RequestRefusedError):
    """The request does not fit into the model's context."""

    code = "context_length_exceeded"


class ContentFilterError(RequestRefusedError):
    """The server's content filter stopped the request or the answer."""

    code = "content_filter"


class InfrastructureError(MentorError):
    """Ours: an outage, a lost worker, an unreachable server. Retried; never the model's failure."""

    code = "unavailable"
    http_status = 503
    grpc_status = "UNAVAILABLE"


class DeadlineError(InfrastructureError):
    """A deadline of ours passed."""

    code = "deadline_exceeded"
    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"


class OverloadedError(InfrastructureError):
    """A bounded queue is full. ``retry_after`` is in seconds."""

    code = "overloaded"
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def to_body(self) -> dict[str, Any]:
        body = super().to_body()
        body["error"] |= {"retry_after": self.retry_after}
        return body
