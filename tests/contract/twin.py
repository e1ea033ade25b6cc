"""One table of cases for both transports of a service, so that RPC and REST twin never drift.

A ``Case`` names an RPC with its request message, the REST request that must mean the same, and what both must say.
The answers are brought into one plain form (by the service's own ``plain_message``) and compared with one another,
then with the expectation. Errors are compared by code, message and field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from mentor.errors import MentorError
from mentor.rpc.errors import from_grpc, from_http

Plain = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Both transports refuse with this code (``invalid_argument``, ``not_found``, ...)."""

    code: str
    mentions: str = ""


@dataclass(frozen=True)
class Case:
    """``expected``: a subset of the plain answer, a ``Failure``, or a check of the plain answer."""

    name: str
    rpc: str
    request: Any
    path: str
    body: Any = None
    method: str = "POST"
    expected: Mapping[str, Any] | Failure | Callable[[Plain], None] = field(default_factory=dict)
    stream: bool = False
    """A server-streaming RPC; its twin sends server-sent events. Answers are ``{"events": [...]}``."""


@dataclass(frozen=True)
class Twin:
    """A running service seen from both sides.

    Args:
        http_url: its REST address.
        stub: the generated stub class on a channel.
        plain_message: a response message in the form that its REST twin has.
        volatile: keys that differ from call to call, dropped wherever they occur.
        headers: sent as HTTP headers and as gRPC metadata (lower-case names).
    """

    http_url: str
    stub: Any
    plain_message: Callable[[Any], Plain]
    volatile: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)

    async def check(self, case: Case) -> None:
        """Run a case on both transports; AssertionError says how they differ from each other or the expectation."""
        over_grpc = await self._grpc(case)
        over_rest = await self._rest(case)
        assert _shape(over_grpc) == _shape(over_rest), f"{case.name}: RPC and REST differ"
        if isinstance(case.expected, Failure):
            assert isinstance(over_grpc, MentorError), f"{case.name}: expected a failure, got {over_grpc}"
            assert over_grpc.code == case.expected.code
            assert case.expected.mentions in over_grpc.message
            return
        assert not isinstance(over_grpc, MentorError), f"{case.name}: {over_grpc}"
        if callable(case.expected):
            case.expected(over_grpc)
        else:
            assert {key: over_grpc.get(key) for key in case.expected} == dict(case.expected), case.name

    async def _grpc(self, case: Case) -> Plain | MentorError:
        call = getattr(self.stub, case.rpc)(case.request, timeout=60, metadata=tuple(self.headers.items()))
        try:
            if case.stream:
                plain = {"events": [self.plain_message(message) async for message in call]}
            else:
                plain = self.plain_message(await call)
        except grpc.aio.AioRpcError as failure:
            return from_grpc(failure)
        return self._stable(plain)

    async def _rest(self, case: Case) -> Plain | MentorError:
        async with httpx.AsyncClient(base_url=self.http_url, trust_env=False, timeout=60) as client:
            response = await client.request(case.method, case.path, json=case.body, headers=dict(self.headers))
        if response.is_error:
            return from_http(response)
        return self._stable({"events": _events(response.text)} if case.stream else response.json())

    def _stable(self, answer: Plain) -> Plain:
        return {key: self._without_volatile(item) for key, item in answer.items() if key not in self.volatile}

    def _without_volatile(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._stable(value)
        return [self._without_volatile(item) for item in value] if isinstance(value, list) else value


def _events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]


def _shape(answer: Plain | MentorError) -> Any:
    """Errors by code, message and field; answers as they are."""
    if not isinstance(answer, MentorError):
        return answer
    return {"code": answer.code, "message": answer.message, "field": getattr(answer, "field", None)}
