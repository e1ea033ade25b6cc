"""What travels with a request: its id, its deadline, and the credential, over HTTP headers and gRPC metadata alike."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar

from mentor.rpc.credentials import client_key

REQUEST_ID_HEADER = "x-request-id"
TIMEOUT_HEADER = "x-request-timeout-ms"
TRACE_HEADER = "traceparent"
TRACE_VARIABLE = "MENTOR_TRACEPARENT"
"""What a job's processes inherit: the trace of whoever submitted it."""

_ID = re.compile(r"[A-Za-z0-9._:/-]{1,128}")

request_id: ContextVar[str] = ContextVar("mentor_request_id", default="")
deadline: ContextVar[float | None] = ContextVar("mentor_deadline", default=None)
"""On the ``time.monotonic`` clock; None where the caller set no limit."""
traceparent: ContextVar[str] = ContextVar("mentor_traceparent", default="")


def new_traceparent() -> str:
    """The start of a new trace (W3C Trace Context)."""
    return f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"


def trace_id_of(parent: str) -> str:
    """The trace's id; "" if ``parent`` is no W3C traceparent."""
    parts = parent.split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else ""


def accept_request_id(offered: str | None) -> str:
    """The caller's id if it is fit for a log line, else a new one."""
    return offered if offered and _ID.fullmatch(offered) else uuid.uuid4().hex


def remaining(limit_s: float) -> float:
    """Seconds left of the caller's deadline, at most ``limit_s``, at least 0."""
    until = deadline.get()
    return limit_s if until is None else max(0.0, min(limit_s, until - time.monotonic()))


def deadline_from_header(value: str | None) -> float | None:
    """``x-request-timeout-ms`` as a deadline on the monotonic clock; None if absent or not a number."""
    if not value or not value.isdecimal():
        return None
    return time.monotonic() + int(value) / 1000


def outgoing(
    timeout_s: float | None = None, extra: Mapping[str, str] | None = None, *, ours: bool = True
) -> dict[str, str]:
    """Headers (or gRPC metadata: the names are lower case) for a call made on behalf of the present request.

    ``ours`` is False for a server that is not one of this system's: our API key is not for it.
    """
    headers = {REQUEST_ID_HEADER: request_id.get() or uuid.uuid4().hex}
    if timeout_s is not None:
        headers[TIMEOUT_HEADER] = str(max(1, int(timeout_s * 1000)))
    if ours and (key := client_key()):
        headers["authorization"] = f"Bearer {key}"
    if parent := traceparent.get() or os.environ.get(TRACE_VARIABLE):
        headers[TRACE_HEADER] = parent
    return headers | dict(extra or {})
