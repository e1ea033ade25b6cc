"""A model server that is asked for its answer as it writes it, and read like one whose answer came whole.

The library's clients wait for whole turns, because nobody looks at the tokens of ten thousand samples. Here somebody
does: pieces are told as they come, put together in the form of a whole answer, and read by the same reading.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from mentor.errors import DeadlineError
from mentor.inference import OpenAIServer
from mentor.inference.endpoint import Reading
from mentor.inference.faults import BAD_SHAPE, CUT_OFF, Fault
from mentor.rpc.context import outgoing

T = TypeVar("T")
Tell = Callable[[dict[str, Any]], None]
"""Hears what is new: ``content``, ``reasoning``, or ``call`` with its index, name and the next piece of its arguments."""
_MOST_BYTES = 8 * 1024 * 1024
_CONNECT_S = 10.0


class Streamed:
    """As ``mentor.inference.endpoint.Asked``. A server that does not stream is asked, or read, as before: whole turns."""

    def __init__(self, server: OpenAIServer, tell: Tell) -> None:
        self._server, self._tell = server, tell

    @property
    def context_limit(self) -> int | None:
        """Tokens of the model's context, where the server says."""
        return self._server.context_limit

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self._server.label

    async def ask(self, path: str, body: dict[str, Any], read: Reading[T], *, request_id: str, timeout_s: float) -> T:
        """See ``Asked.ask``. What has begun to be shown is not asked for again: then a break is the answer's end."""
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._reply(path, body, request_id)
        except TimeoutError as error:
            raise DeadlineError(f"{self.label} did not end its answer within {timeout_s:.0f} s") from error
        if reply is None:
            return await self._server.ask(path, body, read, request_id=request_id, timeout_s=timeout_s)
        try:
            return read(reply, self._server.note)
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise Fault(BAD_SHAPE, f"{self.label} answered in an unknown shape: {error}") from error

    async def _reply(self, path: str, body: dict[str, Any], request_id: str) -> dict[str, Any] | None:
        """The whole answer; None where asking for a stream led to nothing, so that it is asked for as one piece."""
        endpoint, growing = self._server.endpoint, Growing()
        asked = {"model": endpoint.model, **body, "stream": True, "stream_options": {"include_usage": True}}
        extra = {"x-request-id": request_id, "content-type": "application/json", "accept": "text/event-stream"}
        if endpoint.api_key:
            extra["authorization"] = f"Bearer {endpoint.api_key}"
        headers = outgoing(None, extra, ours=False)
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
                client.stream("POST", endpoint.base + path, content=json.dumps(asked), headers=headers) as answer,
            ):
                if answer.status_code >= 400:
                    return None
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    return _object(await answer.aread(), self.label)
                await self._listen(answer, growing)
        except httpx.HTTPError as error:
            if not growing.begun:
                return None
            raise Fault(CUT_OFF, f"{self.label} broke off: {error or type(error).__name__}") from error
        if not growing.ended:
            raise Fault(CUT_OFF, f"{self.label} broke off: its stream has no end")
        return growing.whole()

    async def _listen(self, answer: httpx.Response, growing: Growing) -> None:
        read = 0
        async for line in answer.aiter_lines():
            read += len(line)
            if read > _MOST_BYTES:
                raise Fault(BAD_SHAPE, f"{self.label} streamed more than {_MOST_BYTES} bytes")
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            if data == "[DONE]":
                growing.ended = True
                return
            if data:
                for new in growing.add(_object(data.encode(), self.label)):
                    self._tell(new)


class Growing:
    """The one message that a stream's chunks make. ``begun``: something of it has been told; ``ended``: it is whole."""

    def __init__(self) -> None:
        self.begun = self.ended = False
        self._texts: dict[str, list[str]] = {"content": [], "reasoning": []}
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}

    def add(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """Take a chunk; returns what is new in it.

        Raises:
            Fault: it is an error, or in no shape of a chunk.
        """
        if error := chunk.get("error"):
            raise Fault(
                CUT_OFF, f"the model server broke off: {error.get('message') if isinstance(error, dict) else error}"
            )
        self._usage = chunk.get("usage") or self._usage
        try:
            return [new for choice in chunk.get("choices") or () if not choice.get("index") for new in self._of(choice)]
        except (AttributeError, TypeError, ValueError) as error:
            raise Fault(BAD_SHAPE, f"the model server streams in an unknown shape: {error}") from error

    def _of(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        delta, found = choice.get("delta") or {}, []
        spoken = {
            "content": delta.get("content"),
            "reasoning": delta.get("reasoning_content") or delta.get("reasoning"),
        }
        for name, text in spoken.items():
            if text:
                self._texts[name].append(str(text))
                found.append({name: str(text)})
        found += [self._call(number, piece) for number, piece in enumerate(delta.get("tool_calls") or ())]
        if finish := choice.get("finish_reason"):
            self._finish, self.ended = str(finish), True
        self.begun = self.begun or bool(found)
        return found

    def _call(self, number: int, piece: dict[str, Any]) -> dict[str, Any]:
        index, function = int(piece.get("index", number)), piece.get("function") or {}
        made = self._calls.setdefault(
            index, {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        )
        made["id"] = piece.get("id") or made["id"]
        kept = made["function"]
        kept["name"] = kept["name"] or str(function.get("name") or "")
        new = function.get("arguments")
        text = new if isinstance(new, str) else "" if new is None else json.dumps(new)
        kept["arguments"] += text
        return {"call": index, "name": kept["name"], "arguments": text}

    def whole(self) -> dict[str, Any]:
        """As an answer that was not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts["content"])}
        if self._texts["reasoning"]:
            message["reasoning_content"] = "".join(self._texts["reasoning"])
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        return {"choices": [{"index": 0, "message": message, "finish_reason": self._finish}], "usage": self._usage}


def _object(content: bytes, label: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Fault(BAD_SHAPE, f"{label} answered with something that is not JSON") from error
    if not isinstance(found, dict):
        raise Fault(BAD_SHAPE, f"{label} answered with a {type(found).__name__}")
    return found
