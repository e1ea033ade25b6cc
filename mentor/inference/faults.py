"""What a model server does wrong, by name: each is counted under it, and none is ever the model's fault.

``Fault`` is a failure of one attempt: it is tried again, elsewhere where there is another endpoint. The names from
``OVER_MAX_TOKENS`` on are of what is put right (``mentor.inference.reading``), and only counted.
"""

from __future__ import annotations

from mentor.errors import (
    ContentFilterError,
    ContextLengthError,
    DeadlineError,
    InfrastructureError,
    MentorError,
    OverloadedError,
    RequestRefusedError,
    UserError,
)

OVERLOADED = "overloaded"
"""429, or 503 that says when to come back: the endpoint is asked for less at once."""
UNAVAILABLE = "unavailable"
SERVER_ERROR = "server_error"
UNREACHABLE = "unreachable"
CUT_OFF = "cut_off"
TIMEOUT = "timeout"
NOT_JSON = "not_json"
WRONG_CHOICES = "wrong_choices"
NO_TOKEN_IDS = "no_token_ids"
WRONG_LOGPROBS = "wrong_logprobs"
BAD_SHAPE = "bad_shape"
REFUSES_NOW = "refuses_now"
"""It refuses the key or the model's name, and has served before, or others serve."""

CONTEXT_LENGTH, CONTENT_FILTER, REFUSED = "context_length", "content_filter", "refused"
"""Refusals of one request: they end that trajectory, and say nothing of the endpoint."""

OVER_MAX_TOKENS = "over_max_tokens"
"""More tokens than were asked for: cut (token mode), or taken as cut off (chat mode)."""
AFTER_END_OF_TURN = "after_end_of_turn"
"""Tokens behind the end of the turn: dropped."""
EMPTY_ANSWER = "empty_answer"
JOINED_CALLS = "joined_calls"
"""Several calls written into the arguments of one: taken apart."""
ARGUMENTS_AS_OBJECT = "arguments_as_object"
CALLS_IN_TEXT = "calls_in_text"
UNDECLARED_CALLS = "undeclared_calls"
"""Calls where no tools were offered: each is answered as unknown."""


class Fault(InfrastructureError):
    """An answer that cannot be used, or none."""

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class NoTokenIdsError(UserError):
    """A server that gives no token ids: all that it serves, unless it has given some before."""


def name_of(error: MentorError) -> str:
    """Under which name a failed attempt is counted."""
    if isinstance(error, Fault):
        return error.fault
    for kind, name in _KINDS.items():
        if isinstance(error, kind):
            return name
    return SERVER_ERROR


_KINDS: dict[type[MentorError], str] = {
    OverloadedError: OVERLOADED,
    DeadlineError: TIMEOUT,
    ContextLengthError: CONTEXT_LENGTH,
    ContentFilterError: CONTENT_FILTER,
    RequestRefusedError: REFUSED,
    NoTokenIdsError: NO_TOKEN_IDS,
    UserError: REFUSES_NOW,
}
