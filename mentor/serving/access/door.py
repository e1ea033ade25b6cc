"""The door of a service: authentication, the role that is needed, then limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

from mentor.errors import UnauthenticatedError, UserError
from mentor.rpc.principal import ANYONE, Principal, Role, caller
from mentor.serving.access.keys import SHARED, KeyAuthenticator, digest_of, read_keys
from mentor.serving.access.limits import ClientLimits
from mentor.serving.access.principal import Authenticator, bearer
from mentor.serving.settings import ServiceSettings


class Door:
    """Admits requests. ``open`` is True where there is nothing to check: callers can then skip it.

    ``authenticates`` is False where nobody is asked who they are: then everyone is an operator.
    """

    def __init__(self, authenticators: Sequence[Authenticator], limits: ClientLimits | None) -> None:
        self._authenticators = tuple(authenticators)
        self._limits = limits
        self.authenticates = bool(self._authenticators)
        self.open = not self.authenticates and limits is None

    @classmethod
    def of(cls, settings: ServiceSettings) -> Door:
        """The door that the settings describe.

        Raises:
            UserError: a key file cannot be used, or OIDC is configured by halves.
        """
        limits = None
        if settings.client_rate_per_s or settings.client_concurrency:
            limits = ClientLimits(settings.client_rate_per_s, settings.client_concurrency)
        return cls(_authenticators(settings), limits)

    @asynccontextmanager
    async def admit(self, authorization: str, peer: str, role: Role | None = None) -> AsyncIterator[Principal]:
        """Let one request in for the block; ``caller`` says whose it is.

        Args:
            authorization: the ``Authorization`` header, "" if there is none.
            peer: the caller's address, by which limits count where no authentication is configured.
            role: what the request asks for; None where any known caller will do.

        Raises:
            UnauthenticatedError: no valid credential.
            ForbiddenError: the caller has not the role.
            OverloadedError: the caller has its share already.
        """
        principal = await self._principal(authorization) if self._authenticators else ANYONE
        caller.set(principal)
        if role is not None:
            principal.require(role)
        with self._limits.admit(principal.name or peer) if self._limits else nullcontext():
            yield principal

    async def _principal(self, authorization: str) -> Principal:
        token = bearer(authorization)
        for authenticator in self._authenticators:
            if (principal := await authenticator.principal(token)) is not None:
                return principal
        raise UnauthenticatedError("a valid bearer token is required")


def _authenticators(settings: ServiceSettings) -> list[Authenticator]:
    found: list[Authenticator] = []
    keys = read_keys(settings.api_keys_file) if settings.api_keys_file else []
    if settings.api_key is not None:
        keys.append((digest_of(settings.api_key.get_secret_value()), SHARED))
    if keys:
        found.append(KeyAuthenticator(keys))
    oidc = (settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks_url)
    if any(oidc):
        issuer, audience, jwks_url = oidc
        if not (issuer and audience and jwks_url):
            raise UserError(
                "OIDC is configured by halves", field="oidc_issuer", allowed="issuer, audience and jwks_url"
            )
        from mentor.serving.access.oidc import OidcAuthenticator

        found.append(OidcAuthenticator(issuer, audience, jwks_url, settings.oidc_roles_claim))
    return found
