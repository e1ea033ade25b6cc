"""Calls that are made at the same moment travel together: one stream of results instead of a request for each.

A rollout step makes hundreds of calls in one turn of the event loop. They are collected until the loop comes round,
sent as one ``ExecuteStream``, and answered one by one as they finish: nobody waits for the slowest. A call that is
alone goes by ``Execute``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from mentor.errors import InfrastructureError, MentorError
from mentor.rpc.context import outgoing, request_id, traceparent
from mentor.rpc.errors import from_grpc
from mentor.rpc.v1 import sandbox_pb2 as pb

MOST = 64
"""Calls in one stream. More are several streams: a full queue refuses a stream whole."""


@dataclass(frozen=True)
class _Sent:
    """A call on its way, how long it may take in all, and who waits for it."""

    call: pb.ToolCall
    limit_s: float
    answer: asyncio.Future[pb.CallResult]


class CallStreams:
    """The calls of one event loop to one sandbox. ``stub`` is the generated one, on a channel of that loop."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._waiting: dict[tuple[str, str], list[_Sent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, call: pb.ToolCall, limit_s: float) -> pb.CallResult:
        """A call's result.

        Raises:
            MentorError: what the sandbox, or the way to it, said of the request that carried the call.
        """
        loop = asyncio.get_running_loop()
        # Calls of different requests keep their own identity and trace.
        key = (request_id.get(), traceparent.get())
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = []
            loop.call_soon(self._flush, key)
        sent = _Sent(call, limit_s, loop.create_future())
        waiting.append(sent)
        return await sent.answer

    def _flush(self, key: tuple[str, str]) -> None:
        sent = self._waiting.pop(key)
        for start in range(0, len(sent), MOST):
            part = sent[start : start + MOST]
            task = asyncio.get_running_loop().create_task(self._send(part))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            for one in part:
                one.answer.add_done_callback(partial(_unless_wanted, part, task))

    async def _send(self, sent: Sequence[_Sent]) -> None:
        limit_s = max(one.limit_s for one in sent)
        metadata = tuple(outgoing().items())
        try:
            if len(sent) == 1:
                one = pb.ExecuteRequest(call=sent[0].call)
                answer = await self._stub.Execute(one, timeout=limit_s, metadata=metadata)
                _set(sent[0], answer.result)
                return
            request = pb.ExecuteStreamRequest(calls=[one.call for one in sent])
            async for part in self._stub.ExecuteStream(request, timeout=limit_s, metadata=metadata):
                for item in part.results:
                    _set(sent[item.index], item.result)
            _fail(sent, lambda: InfrastructureError("the stream ended before all results had come"))
        except grpc.aio.AioRpcError as failure:
            reason = failure
            _fail(sent, lambda: from_grpc(reason))


def _set(sent: _Sent, result: pb.CallResult) -> None:
    if not sent.answer.done():
        sent.answer.set_result(result)


def _fail(sent: Sequence[_Sent], error: Any) -> None:
    """Raise a fresh error for everyone who still waits: retries write into theirs."""
    for one in sent:
        if not one.answer.done():
            made: MentorError = error()
            one.answer.set_exception(made)


def _unless_wanted(sent: Sequence[_Sent], task: asyncio.Task[None], _: asyncio.Future[pb.CallResult]) -> None:
    """Give the stream up when nobody waits for it any more: the sandbox then stops its calls."""
    if all(one.answer.done() for one in sent) and any(one.answer.cancelled() for one in sent):
        task.cancel()
