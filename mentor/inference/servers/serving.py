"""From a ``ServeSpec`` to a client of a server that runs as long as the block does."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mentor.inference.engines import ENGINES, Launch
from mentor.inference.openai import Endpoint, OpenAIServer
from mentor.inference.servers.command import program
from mentor.inference.servers.managed import ManagedServer
from mentor.inference.servers.spec import ServeSpec
from mentor.inference.servers.watch import Watch

_NOT_IN_A_FILENAME = re.compile(r"[^A-Za-z0-9._-]")


class ManagedClient(OpenAIServer):
    """A server whose lives are known: requests wait while it is being started again."""

    def __init__(self, server: ManagedServer) -> None:
        super().__init__(Endpoint(url=server.url, model=server.launch.name, api_key=server.launch.key))
        self.server = server

    async def life(self) -> int:
        """Which life it is in, once it serves."""
        return await self.server.up()


@asynccontextmanager
async def serving(
    serve: ServeSpec, folder: Path, name: str, *, threads: int = 1, watch: Watch | None = None
) -> AsyncIterator[ManagedClient]:
    """A server of the model in ``folder`` for the duration of the block; its log is ``servers/NAME.log`` of the workdir.

    Raises:
        UserError: the engine is not set up here, or refuses its arguments.
        InfrastructureError: it does not start, or has died more often than it may; the block is cancelled then.
        Stopped: the job was told to stop while the server was being started.
    """
    engine = ENGINES.get(serve.engine, "model.serve.engine")
    words = program(engine)
    launch = Launch(folder.resolve(), name, _free_port(), secrets.token_urlsafe(24), threads, serve.options)
    with tempfile.TemporaryDirectory(prefix="mentor-server-") as temporary:
        watch = watch or _Nobody(Path(temporary))
        log = watch.workdir / "servers" / f"{_NOT_IN_A_FILENAME.sub('_', name)}.log"
        server = ManagedServer(engine, words, launch, serve, log, watch)
        try:
            await server.start()
            async with _supervised(server):
                client = ManagedClient(server)
                try:
                    yield client
                finally:
                    await client.close()
        finally:
            await asyncio.shield(server.close())


@asynccontextmanager
async def _supervised(server: ManagedServer) -> AsyncIterator[None]:
    """Watch the server beside the block. If it cannot be helped any more, the block is cancelled and its error raised."""
    owner = asyncio.current_task()
    assert owner is not None
    watching = asyncio.create_task(server.supervise())
    cut = False

    def ended(task: asyncio.Task[Any]) -> None:
        nonlocal cut
        if not task.cancelled():
            cut = True
            owner.cancel()

    watching.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if not cut or (failure := watching.exception()) is None:
            raise
        owner.uncancel()
        raise failure from None
    finally:
        watching.remove_done_callback(ended)
        watching.cancel()
        await asyncio.wait([watching])


class _Nobody:
    """Watches a server of which nobody wants to hear."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def tell(self, message: str, **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def should_stop(self) -> bool:
        return False


def _free_port() -> int:
    """A port of the loopback interface that nothing listens on. Who takes it first makes the start fail, and say so."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
