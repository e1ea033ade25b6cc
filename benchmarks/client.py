"""A lean HTTP client: a benchmark shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[[], Awaitable[int]]
"""Makes a request and returns how many calls it carried."""


class Client:
    """Keep-alive connections to one HTTP server, one request at a time on each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def post(self, path: str, body: Any, check: Callable[[Any], bool], calls: int = 1) -> Call:
        """A request that is sent again and again; its first answer must pass the check."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        checked = False

        async def call() -> int:
            nonlocal checked
            status, answer = await self.exchange(request)
            if not checked:
                assert status == 200, (status, answer)
                assert check(json.loads(answer)), answer
                checked = True
            assert status == 200, (status, answer)
            return calls

        return call

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one request, given with its head; the server may have closed an idle connection."""
        while True:
            reused = bool(self._idle)
            reader, writer = self._idle.pop() if reused else await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request)
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                # A server closes connections that were idle between two rounds.
                if not reused:
                    raise
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        answer = await reader.readexactly(length)
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), answer

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
