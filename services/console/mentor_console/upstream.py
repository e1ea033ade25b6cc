"""The services as the console sees them: their public REST APIs, asked with the key of whoever looks at the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from mentor.errors import InfrastructureError, MentorError
from mentor.rpc.context import outgoing
from mentor.rpc.errors import from_http
from mentor_console.settings import JOB_SERVICES, ConsoleSettings

_PATIENCE_S = 20.0
SERVICES = (*JOB_SERVICES, "sandbox", "retriever")


class Upstream:
    """Clients of all services. A service that is away raises ``InfrastructureError``; what it refuses is raised as it says."""

    def __init__(self, settings: ConsoleSettings) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=20)
        self._clients = {
            name: httpx.AsyncClient(base_url=settings.url(name), timeout=_PATIENCE_S, trust_env=False, limits=limits)
            for name in SERVICES
        }

    async def call(
        self,
        authorization: str,
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One request.

        Raises:
            MentorError: as the service says; ``InfrastructureError`` where it cannot be reached.
        """
        try:
            sent = _headers(authorization) | dict(headers or {})
            response = await self._clients[service].request(method, path, headers=sent, **options)
        except httpx.HTTPError as error:
            raise InfrastructureError(f"the {service} cannot be reached: {error or type(error).__name__}") from error
        if response.status_code >= 400:
            raise from_http(response)
        return response

    async def json(self, authorization: str, service: str, path: str, **options: Any) -> Any:
        """The JSON of a GET; raises as ``call``."""
        return (await self.call(authorization, service, "GET", path, **options)).json()

    @asynccontextmanager
    async def stream(
        self, authorization: str, service: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncIterator[httpx.Response]:
        """A GET whose body is read as it comes, however long that takes; raises as ``call``."""
        client, sent = self._clients[service], _headers(authorization) | dict(headers or {})
        timeout = httpx.Timeout(_PATIENCE_S, read=None)
        try:
            async with client.stream("GET", path, headers=sent, timeout=timeout, **options) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise from_http(response)
                yield response
        except httpx.HTTPError as error:
            raise InfrastructureError(f"the {service} broke off: {error or type(error).__name__}") from error

    async def states(self, authorization: str) -> dict[str, str]:
        """What each service says of itself, in words: ``ready``, or why not."""
        return dict(
            zip(SERVICES, await asyncio.gather(*(self._state(authorization, n) for n in SERVICES)), strict=True)
        )

    async def _state(self, authorization: str, service: str) -> str:
        try:
            response = await self._clients[service].get("/ready", headers=_headers(authorization), timeout=3.0)
            reasons = response.json().get("reasons") or {}
        except (httpx.HTTPError, ValueError, AttributeError):
            return "cannot be reached"
        except MentorError as error:
            return error.message
        return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "ready"

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()


def _headers(authorization: str) -> dict[str, str]:
    sent = outgoing()
    return sent | ({"authorization": authorization} if authorization else {})
