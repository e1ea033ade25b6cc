"""HTTP to one model server, for thousands of requests in flight.

aiohttp, because the cost of a request must not grow with the number of those that run beside it (httpx's pool walks all
of its connections for every request). Connections are as many as requests; who asks decides how many that are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
import httpx

from mentor.errors import DeadlineError
from mentor.inference.faults import CUT_OFF, UNREACHABLE, Fault
from mentor.rpc.channels import PerLoop

_IDLE_S = 30.0


class Answer(NamedTuple):
    """Status and body; beside an error's status what it answered, the type of its body, and when it may be asked again."""

    status: int
    content: bytes
    request: httpx.Request | None = None
    content_type: str = ""
    retry_after: str = ""

    def as_response(self) -> httpx.Response:
        """In the form that the reading of errors takes."""
        named = {"content-type": self.content_type, "retry-after": self.retry_after}
        headers = {name: value for name, value in named.items() if value}
        return httpx.Response(self.status, headers=headers, content=self.content, request=self.request)


class ModelTransport:
    """Connections to one server, a pool for every event loop that uses it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._sessions: PerLoop[aiohttp.ClientSession] = PerLoop(_session)

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], timeout_s: float, body: bytes | None = None
    ) -> Answer:
        """One request and its whole answer, whatever its status; redirects are not followed.

        Raises:
            DeadlineError: there was none within ``timeout_s``.
            Fault: the server cannot be reached, or broke off.
        """
        try:
            async with asyncio.timeout(timeout_s), self._sessions.get().request(
                method, self.base + path, data=body, headers=headers, allow_redirects=False
            ) as answer:  # fmt: skip
                content = await answer.read()
        except TimeoutError as error:
            raise DeadlineError(f"{self.base} did not answer within {timeout_s:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionResetError):
                raise Fault(CUT_OFF, f"the model server {self.base} broke off: {reason}") from error
            raise Fault(UNREACHABLE, f"cannot reach the model server {self.base}: {reason}") from error
        if answer.status < 400:
            return Answer(answer.status, content)
        request = httpx.Request(method, self.base + path, headers=dict(headers))
        named = (answer.headers.get(name, "") for name in ("content-type", "retry-after"))
        return Answer(answer.status, content, request, *named)

    async def close(self) -> None:
        """Close this loop's connections."""
        session = self._sessions.take()
        if session is not None:
            await session.close()


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
    # The caller's own deadline stands around each request.
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False)
