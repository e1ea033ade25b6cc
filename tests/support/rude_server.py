"""A model server that speaks OpenAI's protocol byte by byte, so that it can break it: a behaviour for each request."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

MODEL = "rude"
Body = dict[str, Any]


@dataclass(frozen=True)
class Says:
    """An answer as it goes over the wire.

    Attributes:
        cut: bytes of the body that are still sent before the connection breaks; None sends it whole.
        wait_s: before it is sent; ``hangs`` never sends it.
    """

    status: int = 200
    body: str | Body = ""
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None
    wait_s: float = 0.0
    hangs: bool = False


def chat(
    content: str = "", *, calls: list[Any] | None = None, finish: str = "stop", usage: Body | None = None, **more: Any
) -> Says:
    """A chat answer; ``more`` goes into the message."""
    message = {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {}), **more}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return Says(body={"choices": [choice], "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5}})


def call(name: str, arguments: Any) -> Body:
    """A tool call of a message, arguments as they are."""
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


def error(status: int, message: str, code: str | None = None, **headers: str) -> Says:
    """An error in OpenAI's shape."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Says(status, {"error": {"message": message, "type": "error", "code": code}}, named)


@dataclass
class RudeServer:
    """``behave`` answers each request that is no probe; ``asked`` counts requests by the question's text."""

    behave: Callable[[Body], Says]
    url: str = ""
    served: tuple[str, ...] = (MODEL,)
    asked: Counter[str] = field(default_factory=Counter)
    trajectories: set[str] = field(default_factory=set)
    in_flight: int = 0
    most_in_flight: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                said = self._models() if head[0].startswith("GET") else self._answer(json.loads(raw), headers)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    await asyncio.sleep(3600 if said.hangs else said.wait_s)
                finally:
                    self.in_flight -= 1
                if not await _send(writer, said):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _models(self) -> Says:
        return Says(body={"object": "list", "data": [{"id": name, "object": "model"} for name in self.served]})

    def _answer(self, body: Body, headers: dict[str, str]) -> Says:
        name = headers["x-request-id"]
        if name == "probe":
            return chat("2") if "messages" in body else _tokens([1, 2])
        self.asked[name.rpartition("-")[0].rpartition("-")[0]] += 1
        self.trajectories.add(name.rpartition("-")[0])
        return self.behave(body)


async def _send(writer: asyncio.StreamWriter, said: Says) -> bool:
    content = (said.body if isinstance(said.body, str) else json.dumps(said.body)).encode()
    lines = [f"HTTP/1.1 {said.status} X", "content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in said.headers]
    writer.write("\r\n".join([*lines, "", ""]).encode() + (content if said.cut is None else content[: said.cut]))
    await writer.drain()
    return said.cut is None


def _tokens(ids: list[int]) -> Says:
    return Says(body={"choices": [{"index": 0, "text": "", "token_ids": ids, "finish_reason": "stop"}]})


def tokens(ids: list[int], finish: str = "stop", logprobs: int | None = None) -> Says:
    """A completion with token ids."""
    choice: Body = {"index": 0, "text": "", "token_ids": ids, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"token_logprobs": [-0.5] * logprobs}
    return Says(body={"choices": [choice]})


@asynccontextmanager
async def rude_server(behave: Callable[[Body], Says], **fields: Any) -> AsyncIterator[RudeServer]:
    """One on a free port."""
    server = RudeServer(behave, **fields)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
