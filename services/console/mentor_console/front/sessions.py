"""Signed-in browsers. A session lives in this process: after a restart people sign in again."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass, field

COOKIE = "mentor_console"
_MOST = 10_000


@dataclass
class Session:
    """One browser. ``authorization`` is what its requests carry to the services; empty where nobody is asked for a key."""

    authorization: str
    expires: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def agrees(self, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


class Sessions:
    """All of them, by the secret in the browser's cookie."""

    def __init__(self, hours: float) -> None:
        self._seconds = hours * 3600
        self._known: dict[str, Session] = {}

    def open(self, authorization: str = "") -> tuple[str, Session]:
        """A new session, and the secret to be kept in the cookie."""
        self._forget()
        secret = secrets.token_urlsafe(32)
        self._known[secret] = Session(authorization, time.monotonic() + self._seconds)
        return secret, self._known[secret]

    def get(self, secret: str) -> Session | None:
        """The session of a cookie; None where it is unknown or over."""
        found = self._known.get(secret)
        return found if found is not None and found.expires > time.monotonic() else None

    def close(self, secret: str) -> None:
        """Sign out."""
        self._known.pop(secret, None)

    def _forget(self) -> None:
        now = time.monotonic()
        self._known = {secret: session for secret, session in self._known.items() if session.expires > now}
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
