"""Server. A forward proxy of the sandbox: the one way out for calls that may reach named hosts.

It speaks HTTP/1.1 (absolute-form requests) and CONNECT, resolves names itself, and forwards to the ``host:port`` pairs
of its list only; to everything else it answers 403. To the retriever it passes on searches alone (``searching``).

A call reaches it because Landlock allows the call this one port,
and finds it through HTTP_PROXY and HTTPS_PROXY, which carry the list's password: another process of the machine that
connects to the port is refused with 407.

Covered: hosts and ports by name as the tool gives them. Not covered: what the allowed hosts do with a request, and what
a name on the list resolves to.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

import structlog

from mentor.rpc.credentials import client_key
from mentor_sandbox.supervise.network.searching import Refused, Search, search

log = structlog.get_logger("proxy")
_MAX_HEAD = 65536
_CHUNK = 65536
_CONNECT_TIMEOUT_S = 10.0
_HOP_BY_HOP = {"proxy-authorization", "proxy-connection", "connection", "keep-alive"}
_PORTS = {"http": 80, "https": 443}


class Proxy:
    """One allow-list with a port and a password of its own.

    ``ours`` names the retriever: searches in it carry this deployment's API key, which the proxy adds and no tool ever sees,
    and nothing but searches reaches it.
    """

    def __init__(self, allowed: Collection[str], ours: str | None = None) -> None:
        self.allowed = frozenset(host.lower() for host in allowed)
        self._ours = ours.lower() if ours else None
        self._password = secrets.token_urlsafe(16)
        expected = base64.b64encode(f"sandbox:{self._password}".encode()).decode("ascii")
        self._expected = f"Basic {expected}"
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which HTTP libraries find it."""
        url = f"http://sandbox:{self._password}@127.0.0.1:{self.port}"
        return dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._exchange(reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("connection ended early")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request; its connection is not kept."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = line.split(" ", 2)
        try:
            host, port, asked = self._admitted(method, target, fields)
            theirs = await _connected(host, port)
        except Refused as refusal:
            await _refuse(writer, refusal.status, str(refusal))
            return
        if asked is not None:
            theirs[1].write(asked.head(f"{host}:{port}", client_key()))
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            theirs[1].write(_forwarded(method, target, fields))
        await _relay((reader, writer), theirs, None if asked is None else asked.length)

    def _admitted(self, method: str, target: str, fields: list[str]) -> tuple[str, int, Search | None]:
        """Where the request goes, and what it asks of the retriever if that is where.

        Raises:
            Refused: its sender or its destination is not on the list, or it asks the retriever for more than to search.
            ValueError: it is no request to a proxy.
        """
        given = [
            field.partition(":")[2].strip() for field in fields if field.lower().startswith("proxy-authorization:")
        ]
        if not secrets.compare_digest("".join(given).encode("latin-1"), self._expected.encode()):
            raise Refused("this proxy serves calls of the sandbox", "407 Proxy Authentication Required")
        host, port = _destination(method, target)
        name = f"{host}:{port}"
        if name not in self.allowed:
            raise Refused(f"the sandbox allows no connection to {name}")
        return host, port, search(method, target, fields, name) if name == self._ours else None


async def _connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; raises ``Refused`` where there is none to be had."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(host.strip("[]"), port)
    except (OSError, TimeoutError) as error:
        raise Refused(f"cannot reach {host}:{port}: {error}", "502 Bad Gateway") from None


def _destination(method: str, target: str) -> tuple[str, int]:
    """Host (an IPv6 address in brackets) and port that a request is for.

    Raises:
        ValueError: it names none.
    """
    parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
    port = parts.port or _PORTS.get(parts.scheme)
    if not parts.hostname or port is None or (method != "CONNECT" and parts.scheme != "http"):
        raise ValueError("a request to a proxy names a host")
    return (f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname), port


def _forwarded(method: str, target: str, fields: list[str]) -> bytes:
    """The request as the origin expects it: its path alone, and one request per connection."""
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [field for field in fields if field.partition(":")[0].strip().lower() not in _HOP_BY_HOP]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode("latin-1")


async def _refuse(writer: asyncio.StreamWriter, status: str, message: str) -> None:
    body = f"{message}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode("ascii") + body)
    await writer.drain()


async def _relay(
    ours: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    theirs: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    length: int | None,
) -> None:
    """Copy both ways until the other side has said all; upwards no more than ``length`` bytes where that is given."""
    upward = asyncio.create_task(_copy(ours[0], theirs[1]) if length is None else _send(ours[0], theirs[1], length))
    try:
        await _copy(theirs[0], ours[1])
    finally:
        upward.cancel()
        theirs[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    """A body of known length; what follows it is nobody's. One that ends early ends the request."""
    while length and (data := await reader.read(min(length, _CHUNK))):
        length -= len(data)
        writer.write(data)
        await writer.drain()
    if length:
        writer.close()
