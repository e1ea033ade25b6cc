"""One OpenAI-compatible server: what is sent to it, and what its failures mean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from mentor.errors import InfrastructureError, UserError
from mentor.inference.faults import BAD_SHAPE, NO_TOKEN_IDS, NOT_JSON, Fault, NoTokenIdsError
from mentor.inference.refusals import refusal
from mentor.inference.transport import ModelTransport
from mentor.rpc.context import outgoing
from mentor.rpc.retry import RetryPolicy, with_retries
from mentor.trajectory import Frozen

T = TypeVar("T")
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where vLLM and SGLang, OpenRouter, Groq, and Mistral say how much context a model has."""


class Endpoint(Frozen):
    """Where a model is served.

    ``url`` ends before ``/v1`` or with it. ``api_key`` goes out as a bearer token. ``attempts`` bounds the tries of one
    request: the waits between sixteen add up to about 40 s, which outlasts a restart of the server.
    """

    url: str
    model: str
    api_key: str | None = None
    attempts: int = 16

    @property
    def base(self) -> str:
        """The URL without ``/v1``."""
        return self.url.rstrip("/").removesuffix("/v1")


Note = Callable[[str], None]
Reading = Callable[[dict[str, Any], Note], T]
"""Takes what was asked for out of a reply; raises where it is not there, which counts against the server. What it puts right
it notes, by a name of ``mentor.inference.faults``."""


class Asked(Protocol):
    """What the clients ask: one server (``OpenAIServer``), or several that serve one model (``mentor.inference.pool``)."""

    @property
    def context_limit(self) -> int | None: ...

    @property
    def label(self) -> str:
        """Its name in messages."""
        ...

    async def ask(self, path: str, body: dict[str, Any], read: Reading[T], *, request_id: str, timeout_s: float) -> T:
        """POST until an answer can be read. ``model`` of the body is filled in.

        Raises:
            InfrastructureError: unreachable, 5xx, overloaded, too slow, or with unusable answers, after retries
                within ``timeout_s``.
            RequestRefusedError: the server refused this one request.
            UserError: it refuses requests of this kind, and has not served one before.
        """
        ...


class OpenAIServer:
    """One server: posts JSON with retries and deadlines, and maps failures to typed errors.

    Attributes:
        context_limit: tokens that its model's context holds, as /v1/models tells after ``check``; None where it does not.
        noted: what was put right of its answers, by name, since somebody last took it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.context_limit: int | None = None
        self.noted: Counter[str] = Counter()
        self._served = False
        self._transport = ModelTransport(endpoint.base)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.endpoint.base

    def note(self, fault: str) -> None:
        """Count something that was put right."""
        self.noted[fault] += 1

    async def ask(self, path: str, body: dict[str, Any], read: Reading[T], *, request_id: str, timeout_s: float) -> T:
        """See ``Asked.ask``."""
        policy = RetryPolicy(attempts=self.endpoint.attempts, backoff_s=0.2, deadline_s=timeout_s)
        return await with_retries(lambda left: self.attempt(path, body, read, request_id, left), policy)

    async def post(self, path: str, body: dict[str, Any], *, request_id: str, timeout_s: float) -> dict[str, Any]:
        """The whole reply; raises as ``ask`` does."""
        return await self.ask(path, body, _whole, request_id=request_id, timeout_s=timeout_s)

    async def attempt(self, path: str, body: dict[str, Any], read: Reading[T], request_id: str, timeout_s: float) -> T:
        """One try; raises as ``ask`` does, ``Fault`` with the name of what is wrong with an answer."""
        reply = await self._once(path, {"model": self.endpoint.model, **body}, request_id, timeout_s)
        try:
            found = read(reply, self.note)
        except NoTokenIdsError as error:
            if not self._served:
                raise
            raise Fault(NO_TOKEN_IDS, error.message) from error
        except Fault as fault:
            fault.message = f"{self.endpoint.base}: {fault.message}"
            fault.args = (fault.message,)
            raise
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise Fault(BAD_SHAPE, f"{self.endpoint.base} answered in an unknown shape: {error}") from error
        self._served = True
        return found

    async def _once(self, path: str, body: dict[str, Any], request_id: str, timeout_s: float) -> dict[str, Any]:
        extra = {"x-request-id": request_id}
        if self.endpoint.api_key:
            extra["authorization"] = f"Bearer {self.endpoint.api_key}"
        headers = outgoing(timeout_s, extra | {"content-type": "application/json"}, ours=False)
        encoded = json.dumps(body).encode()
        answer = await self._transport.send("POST", path, headers=headers, timeout_s=timeout_s, body=encoded)
        if answer.status >= 400:
            raise refusal(answer.as_response(), served_before=self._served)
        try:
            decoded = json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise Fault(NOT_JSON, f"{self.endpoint.base}{path} answered with something that is not JSON") from error
        if not isinstance(decoded, dict):
            raise Fault(BAD_SHAPE, f"{self.endpoint.base}{path} answered with a {type(decoded).__name__}")
        return decoded

    async def models(self, timeout_s: float = 60.0) -> dict[str, dict[str, Any]]:
        """What it tells of the models it serves, by id; raises as ``ask`` does."""
        policy = RetryPolicy(attempts=self.endpoint.attempts, backoff_s=0.2, deadline_s=timeout_s)
        return await with_retries(self._models, policy)

    async def _models(self, timeout_s: float) -> dict[str, dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {}
        answer = await self._transport.send("GET", "/v1/models", headers=headers, timeout_s=min(10.0, timeout_s))
        if answer.status >= 400:
            raise refusal(answer.as_response(), served_before=self._served)
        return _by_id(answer.content, self.endpoint.base)

    async def check(self, timeout_s: float = 60.0) -> None:
        """Refuse a model that the server does not know; learn how much context it has.

        Raises:
            UserError: the model is not served there.
            InfrastructureError: the server cannot be reached.
        """
        known = await self.models(timeout_s)
        if self.endpoint.model not in known:
            raise UserError(
                f"{self.endpoint.base} does not serve {self.endpoint.model!r}", field="model", allowed=", ".join(known)
            )
        entry = known[self.endpoint.model]
        limits = (entry.get(name) for name in _CONTEXT_FIELDS)
        self.context_limit = next((n for n in limits if isinstance(n, int) and not isinstance(n, bool) and n > 0), None)

    @property
    def life(self) -> int:
        """Another number than before says that it has been started anew by whoever keeps it up."""
        return 0

    @property
    def away(self) -> bool:
        """Whether it is known not to serve now."""
        return False

    @property
    def coming(self) -> bool:
        """Whether it is known to come back: somebody is starting it again."""
        return False

    def heed(self, hear: Callable[[], None]) -> None:
        """Call ``hear`` whenever it goes away or comes back, where that is known."""

    async def close(self) -> None:
        """Close this loop's connections."""
        await self._transport.close()


def _whole(reply: dict[str, Any], note: Note) -> dict[str, Any]:
    return reply


def _by_id(content: bytes, base: str) -> dict[str, dict[str, Any]]:
    try:
        return {str(entry["id"]): entry for entry in json.loads(content)["data"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"{base}/v1/models does not answer with a list of models") from error
