"""What a model server's refusal means: of this one request, or of every request of its kind.

OpenAI's codes are not spoken by all (vLLM, SGLang, TGI and gateways put the reason into the message), so both are read.
"""

from __future__ import annotations

import re

import httpx

from mentor.errors import (
    ContentFilterError,
    ContextLengthError,
    InfrastructureError,
    MentorError,
    RequestRefusedError,
    UserError,
)
from mentor.rpc.errors import from_http

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
    if response.status_code in _ONE_REQUEST:
        return _of_one_request(error, response.text)
    if served_before and isinstance(error, UserError):
        return InfrastructureError(f"the model server now refuses what it took before: {error.message}")
    return error


def _of_one_request(error: MentorError, body: str) -> RequestRefusedError:
    field, allowed = getattr(error, "field", None), getattr(error, "allowed", None)
    kind = RequestRefusedError
    if isinstance(error, ContextLengthError) or _CONTEXT.search(body):
        kind = ContextLengthError
    elif isinstance(error, ContentFilterError) or _FILTER.search(body):
        kind = ContentFilterError
    return kind(error.message, field=field, allowed=allowed)
