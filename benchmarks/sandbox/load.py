"""A lean HTTP client and what it measures: the benchmark shares the machine with what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psutil

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
        head = f"POST {path} HTTP/1.1\r\nHost: sandbox\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        checked = False

        async def call() -> int:
            nonlocal checked
            status, answer = await self._exchange(request)
            if not checked:
                assert status == 200, (status, answer)
                assert check(json.loads(answer)), answer
                checked = True
            assert status == 200, (status, answer)
            return calls

        return call

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
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


@dataclass(frozen=True)
class Load:
    """What callers saw: calls per second, seconds of each request, and how many calls there were."""

    rate: float
    seconds: list[float]
    calls: int


async def load(call: Call, concurrency: int, seconds: float, pause_s: float = 0.0) -> Load:
    """``concurrency`` callers, each with one request after the other (and a pause between), for so long."""
    until = time.perf_counter() + seconds
    took: list[float] = []

    async def caller() -> int:
        done = 0
        while time.perf_counter() < until:
            if pause_s:
                await asyncio.sleep(pause_s)
            begun = time.perf_counter()
            done += await call()
            took.append(time.perf_counter() - begun)
        return done

    started = time.perf_counter()
    calls = sum(await asyncio.gather(*(caller() for _ in range(concurrency))))
    return Load(calls / (time.perf_counter() - started), took, calls)


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU of a process and of its ended, reaped descendants; and of its living descendants with theirs."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    others = 0.0
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        others += times.user + times.system + times.children_user + times.children_system
    return own.user + own.system, others
