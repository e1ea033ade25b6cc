"""A chat server of fixed latency that costs next to nothing: first turn a call of ``add``, then the answer.

``python -m benchmarks.rollout.server LATENCY_S [SIGMA]`` prints its port. With ``SIGMA`` latencies are log-normal around the
given median, the same for a request whatever the order in which requests come.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import zlib
from typing import Any

import uvloop

MODEL = "fixed"
_CALL = {
    "id": "c",
    "type": "function",
    "function": {"name": "add", "arguments": '{"firstNumber": 2, "secondNumber": 3}'},
}


def _reply(message: dict[str, Any], finish: str) -> bytes:
    usage = {"prompt_tokens": 200, "completion_tokens": 30, "total_tokens": 230}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return _http({"id": "x", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage})


def _http(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


CALLS = _reply({"content": "", "tool_calls": [_CALL]}, "tool_calls")
ANSWERS = _reply({"content": "So the answer is \\boxed{5}."}, "stop")
MODELS = _http({"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 32768}]})


class Answering(asyncio.Protocol):
    """One connection: a request, a wait, an answer; the next request."""

    def __init__(self, latency_s: float, sigma: float) -> None:
        self._latency_s, self._sigma = latency_s, sigma
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = 0 if at < 0 else int(head[at + 15 : (head.find(b"\r", at) if head.find(b"\r", at) > 0 else len(head))])
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + length], b""
        if head.startswith(b"get"):
            self._transport.write(MODELS)
            return
        reply = ANSWERS if b'"tool_call_id"' in body else CALLS
        asyncio.get_running_loop().call_later(self._wait(body), self._write, reply)

    def _wait(self, body: bytes) -> float:
        if not self._sigma:
            return self._latency_s
        return self._latency_s * math.exp(random.Random(zlib.crc32(body)).gauss(0.0, self._sigma))

    def _write(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def main() -> None:
    """Serve until killed."""
    latency, sigma = float(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(latency, sigma), "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
