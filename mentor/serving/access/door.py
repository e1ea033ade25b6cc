"""The door of a service: authentication, then limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext

from mentor.errors import UnauthenticatedError, UserError
from mentor.serving.access.keys import SHARED, KeyAuthenticator, read_keys
from mentor.serving.access.limits import ClientLimits
from mentor.serving.access.principal import Authenticator, Principal, bearer
from mentor.serving.settings import ServiceSettings


class Door:
    """Admits requests. ``open`` is True where there is nothing to check: callers can then skip it."""

    def __init__(self, authenticators: Sequence[Authenticator], limits: ClientLimits | None) -> None:
        self._authenticators = tuple(authenticators)
        self._limits = limits
        self.open = not self._authenticators and limits is None

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
    async def admit(self, authorization: str, peer: str) -> AsyncIterator[Principal]:
        """Let one request in for the block.

        Args:
            authorization: the ``Authorization`` header, "" if there is none.
            peer: the caller's address; its name where no authentication is configured.

        Raises:
            UnauthenticatedError: no valid credential.
            OverloadedError: the caller has its share already.
        """
        principal = await self._principal(authorization) if self._authenticators else Principal(peer)
        with self._limits.admit(principal.name) if self._limits else nullcontext():
            yield principal

    async def _principal(self, authorization: str) -> Principal:
        token = bearer(authorization)
        for authenticator in self._authenticators:
            if (principal := await authenticator.principal(token)) is not None:
                return principal
        raise UnauthenticatedError("a valid bearer token is required")


def _authenticators(settings: ServiceSettings) -> list[Authenticator]:
    found: list[Authenticator] = []
    keys = read_keys(settings.api_keys_file) if settings.api_keys_file else {}
    if settings.api_key is not None:
        keys[SHARED] = settings.api_key.get_secret_value()
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

        found.append(OidcAuthenticator(issuer, audience, jwks_url))
    return found
