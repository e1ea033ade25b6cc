"""Server. What calls, programs and sessions share over gRPC: limits out of requests, results into messages."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeVar

from grpc.aio import ServicerContext

from mentor.errors import UserError
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor_sandbox.results import CallResult, Status

N = TypeVar("N", int, float)
Context = ServicerContext[Any, Any]
_STATUSES: dict[Status, Any] = {status: pb.CallStatus.Value(f"CALL_STATUS_{status.name}") for status in Status}


def positive(value: N, field: str, message: str = "a limit must be positive") -> N | None:
    """A limit of a request; None where it has its default, 0.

    Raises:
        UserError: it is negative; ``message`` may show the ``{value}``.
    """
    if value < 0:
        raise UserError(message.format(value=value), field=field)
    return value or None


class ResultMessage:
    """Makes messages of one type out of results: every field but ``status`` is the result's of the same name."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._names = [name for name in make.DESCRIPTOR.fields_by_name if name != "status"]
        self._values = attrgetter(*self._names)

    def __call__(self, result: CallResult) -> Any:
        """The message."""
        values = dict(zip(self._names, self._values(result), strict=True))
        return self._make(status=_STATUSES[result.status], **values)
