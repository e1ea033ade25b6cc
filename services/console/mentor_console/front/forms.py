"""Every request that changes something comes from a form or a script of a page of the same session."""

from __future__ import annotations

from fastapi import Request

from mentor.errors import ForbiddenError
from mentor_console.front.gate import session_of

FIELD, HEADER = "csrf", "x-csrf-token"


async def require_token(request: Request) -> None:
    """For routers: refuses a change without the session's token.

    Raises:
        ForbiddenError: it is missing or another session's.
    """
    if request.method in ("GET", "HEAD"):
        return
    token = request.headers.get(HEADER)
    if token is None:
        token = str((await request.form()).get(FIELD) or "")
    if not session_of(request.scope).agrees(token):
        raise ForbiddenError("this form is not from a page of this session", field=FIELD, allowed="reload the page")
