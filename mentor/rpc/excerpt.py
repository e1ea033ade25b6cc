"""What may be repeated of what a remote server said: one line, bounded, without credentials, and never a body as it came.

A caller chooses, within what operators allow, which server a job talks to; its answers must not become a way to read pages
that only the job can reach. So a message is repeated where the body is an error object, and otherwise only what kind of
body it was. The body itself goes to the log of whoever runs the worker (``MentorError.detail``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import httpx

MAX_CHARS = 1000
_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"']+|\b(?:sk|hf|ghp|xox[bp])[-_][A-Za-z0-9_-]{8,}")
_HIDDEN = "***"


def one_line(text: str, hidden: Iterable[str] = (), limit: int = MAX_CHARS) -> str:
    """The text as one bounded line; ``hidden`` strings and whatever looks like a credential are masked."""
    for secret in filter(None, hidden):
        text = text.replace(secret, _HIDDEN)
    line = " ".join(_CREDENTIALS.sub(_HIDDEN, text).split())
    printable = "".join(char if char.isprintable() else "?" for char in line)
    return printable if len(printable) <= limit else f"{printable[: limit - 1]}…"


def credentials_of(response: httpx.Response) -> list[str]:
    """What the request carried that its answer must not give away."""
    try:
        sent = response.request.headers.get("authorization", "")
    except RuntimeError:  # made by hand, not received
        return []
    return [sent.partition(" ")[2]]


def shape_of(response: httpx.Response) -> str:
    """An answer of which nothing is repeated: its status and what kind of body it has."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip() or "no content type"
    return one_line(f"HTTP {response.status_code} ({kind}, {len(response.content)} bytes)")


def message_of(body: dict[str, Any]) -> str | None:
    """The message of an error object, ours or OpenAI's; None where it has none."""
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    return next(
        (text for text in (inner, body.get("message"), body.get("detail")) if isinstance(text, str) and text), None
    )
