"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mentor.errors import UnauthenticatedError


@dataclass(frozen=True)
class Principal:
    """A caller. ``name`` is a client's name, a token's subject, or the peer's address."""

    name: str


class Authenticator(Protocol):
    """Turns a bearer token into a caller."""

    async def principal(self, token: str) -> Principal | None:
        """The token's owner, or None if it is no token of this kind.

        Raises:
            UnauthenticatedError: it is one, but not a valid one.
        """
        ...


def bearer(authorization: str) -> str:
    """The token of an ``Authorization`` header.

    Raises:
        UnauthenticatedError: there is none.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("a valid bearer token is required")
    return token.strip()
