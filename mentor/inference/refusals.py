"""What a model server's refusal means: of this one request, or of every request of its kind.

OpenAI's codes are not spoken by all (vLLM, SGLang, TGI and gateways put the reason into the message), so both are read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from mentor.errors import (
    ContentFilterError,
    ContextLengthError,
    InfrastructureError,
    MentorError,
    OverloadedError,
    RequestRefusedError,
    UserError,
)
from mentor.inference.faults import REFUSES_NOW, UNAVAILABLE, Fault
from mentor.rpc.errors import from_http

_MAX_RETRY_AFTER_S = 3600.0
_ONE_REQUEST = frozenset({400, 413, 422})
_CONTEXT = re.compile(
    r"context[ _-]?(length|size|window)|max_model_len|maximum (allowed )?(number of )?(input )?(tokens|length)"
    r"|(prompt|input|request)[^.]{0,60}too (long|large)|too many tokens|longer than the model"
    r"|max_(new_|completion_)?tokens[^.]{0,60}(too large|must be)",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content[ _-]?(filter|management|policy|moderation)|responsible_?ai|inspection_failed", re.IGNORECASE
)


def refusal(response: httpx.Response, *, served_before: bool) -> MentorError:
    """The typed error of a response of 4xx or 5xx.

    Args:
        served_before: the server has answered such requests before. A refusal of the key, or of the model's name, is
            then a change at the server, not a mistake in the configuration.
    """
    error = from_http(response)
    if response.status_code == 429 or (response.status_code == 503 and "retry-after" in response.headers):
        return OverloadedError(error.message, retry_after=_asked_for(response.headers.get("retry-after")) or 0.0)
    if response.status_code == 503 and isinstance(error, InfrastructureError):
        return Fault(UNAVAILABLE, error.message)
    if response.status_code in _ONE_REQUEST:
        return _of_one_request(error, response.text)
    if served_before and isinstance(error, UserError):
        return Fault(REFUSES_NOW, f"the model server now refuses what it took before: {error.message}")
    return error


def _asked_for(header: str | None) -> float | None:
    """Seconds of a Retry-After (a number, or a date), an hour at most; None where it is neither, or past."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(seconds, _MAX_RETRY_AFTER_S) if seconds > 0 else None


def _of_one_request(error: MentorError, body: str) -> RequestRefusedError:
    field, allowed = getattr(error, "field", None), getattr(error, "allowed", None)
    kind = RequestRefusedError
    if isinstance(error, ContextLengthError) or _CONTEXT.search(body):
        kind = ContextLengthError
    elif isinstance(error, ContentFilterError) or _FILTER.search(body):
        kind = ContentFilterError
    return kind(error.message, field=field, allowed=allowed)
