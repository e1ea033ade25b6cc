"""OpenID Connect: bearer tokens that an identity provider signed (JWT, checked against the provider's published keys)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Any

import jwt

from mentor.errors import InfrastructureError, UnauthenticatedError
from mentor.rpc.principal import Principal, Role
from mentor.serving.access.keys import DEFAULT_ROLES

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA")
_REMEMBERED = 1024
_LEEWAY_S = 30


class OidcAuthenticator:
    """Accepts tokens of one issuer for one audience.

    Args:
        issuer: the ``iss`` that tokens must carry.
        audience: the ``aud`` that they must be for.
        jwks_url: where the issuer publishes its keys; they are fetched on first need and kept.
        roles_claim: the claim that lists a caller's roles, dots leading inwards (``realm_access.roles``); a token
            without it has the default ones. What it lists beside our roles means nothing here.
    """

    def __init__(self, issuer: str, audience: str, jwks_url: str, roles_claim: str = "mentor_roles") -> None:
        self._issuer = issuer
        self._audience = audience
        self._roles_claim = roles_claim.split(".")
        self._keys = jwt.PyJWKClient(jwks_url, cache_keys=True, lifespan=600, timeout=5)
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    async def principal(self, token: str) -> Principal | None:
        """The token's subject; None for what is no JWT.

        Raises:
            UnauthenticatedError: expired, of another issuer or audience, or badly signed.
            InfrastructureError: the issuer's keys cannot be fetched.
        """
        if token.count(".") != 2:
            return None
        until, principal = self._known.get(token, (0.0, None))
        if principal is not None and until > time.time():
            return principal
        claims = await asyncio.to_thread(self._claims, token)
        principal = Principal(f"oidc:{claims['sub']}", self._roles(claims))
        self._known[token] = (float(claims["exp"]), principal)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return principal

    def _roles(self, claims: dict[str, Any]) -> frozenset[Role]:
        value: Any = claims
        for part in self._roles_claim:
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return DEFAULT_ROLES
        listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(role for role in Role if role in listed)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            return jwt.decode(
                token, key.key, algorithms=list(ALGORITHMS), audience=self._audience, issuer=self._issuer,
                leeway=_LEEWAY_S, options={"require": ["exp", "sub", "iss", "aud"]},
            )  # fmt: skip
        except jwt.PyJWKClientConnectionError as error:
            raise InfrastructureError(f"the identity provider's keys cannot be fetched: {error}") from None
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(f"the token is not valid: {error}") from None
