"""How a bearer token becomes a caller."""

from __future__ import annotations

from typing import Protocol

from mentor.errors import UnauthenticatedError
from mentor.rpc.principal import Principal


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
