"""Runs ``wikipedia_search`` against the retriever, over gRPC (``host:port``) or REST (``http://...``)."""

from __future__ import annotations

import time
from typing import Any

import grpc
import httpx

from mentor.errors import ForbiddenError, InfrastructureError, MentorError, UnauthenticatedError, UserError
from mentor.rpc.channels import is_http
from mentor.rpc.context import outgoing
from mentor.rpc.endpoint import ServiceEndpoint
from mentor.rpc.errors import from_grpc, from_http
from mentor.rpc.retry import with_retries
from mentor.rpc.v1 import retriever_pb2 as pb
from mentor.rpc.v1.retriever_pb2_grpc import RetrieverServiceStub
from mentor.tools.executor import presentable, refused
from mentor.tools.render import render_passages
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, ToolCall

_STUB: Any = RetrieverServiceStub
_DEFAULT_TOP_N = 5
_MAX_INT32 = 2**31 - 1
_MARGIN_S = 30.0


class RetrieverExecutor(ServiceEndpoint):
    """Searches one retriever; safe to share between event loops and tasks."""

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """Search; a query that the retriever refuses (blank, too many passages) is the model's error."""
        started = time.perf_counter()
        top_n = int(call.arguments.get("top_n", _DEFAULT_TOP_N))
        if abs(top_n) > _MAX_INT32:
            return refused(call, "invalid_arguments", f"top_n is out of range, got {top_n}")
        try:
            passages = await self.search(presentable(str(call.arguments["query"])), top_n, spec.timeout_s)
        except (UnauthenticatedError, ForbiddenError):
            raise  # our credential, not the model's query
        except UserError as error:
            return refused(call, "invalid_arguments", error.message)
        return Observation(
            name=call.name,
            content=render_passages(passages),
            call_id=call.id,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    async def search(self, query: str, top_n: int = _DEFAULT_TOP_N, timeout_s: float = 10.0) -> list[str]:
        """Contents of the best passages, best first.

        Raises:
            InfrastructureError: after retries.
            UserError: the retriever refuses the query.
        """
        send = self._over_http if is_http(self.endpoint) else self._over_grpc

        async def attempt(left: float) -> list[str]:
            return await send(query, top_n, min(left, timeout_s + _MARGIN_S))

        return await with_retries(attempt, self._policy)

    async def _over_grpc(self, query: str, top_n: int, timeout_s: float) -> list[str]:
        stub = _STUB(self._channel.get())
        request = pb.SearchRequest(query=query, top_n=top_n)
        try:
            answer = await stub.Search(request, timeout=timeout_s, metadata=tuple(outgoing().items()))
        except grpc.aio.AioRpcError as failure:
            error = from_grpc(failure)
            raise self._named(error) from None
        return [hit.document.contents for hit in answer.hits]

    async def _over_http(self, query: str, top_n: int, timeout_s: float) -> list[str]:
        body = {"query": query, "top_n": top_n}
        try:
            response = await self._client.get().post(
                "/search", json=body, timeout=timeout_s, headers=outgoing(timeout_s)
            )
        except httpx.HTTPError as failure:
            reason = str(failure) or type(failure).__name__
            raise InfrastructureError(f"retriever {self.endpoint}: {reason}") from None
        if response.is_error:
            raise self._named(from_http(response))
        return [document["contents"] for document in response.json()]

    def _named(self, error: MentorError) -> MentorError:
        """An outage says whose it is: it may be all that a run's last line has to go by."""
        if isinstance(error, InfrastructureError):
            error.message = f"retriever {self.endpoint}: {error.message}"
        return error
