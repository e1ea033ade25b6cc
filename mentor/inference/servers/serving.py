"""From a ``ServeSpec`` to clients of its servers, which run as long as the block does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mentor.inference.engines import ENGINES, Launch
from mentor.inference.openai import Endpoint, OpenAIServer
from mentor.inference.servers.command import program, shares
from mentor.inference.servers.managed import ManagedServer
from mentor.inference.servers.several import OneOfSeveral, Told
from mentor.inference.servers.spec import ServeSpec
from mentor.inference.servers.watch import Watch

_NOT_IN_A_FILENAME = re.compile(r"[^A-Za-z0-9._-]")


class ManagedClient(OpenAIServer):
    """A server whose lives are known: a pool asks it nothing while it is being started again."""

    def __init__(self, server: ManagedServer) -> None:
        super().__init__(Endpoint(url=server.url, model=server.launch.name, api_key=server.launch.key))
        self.server = server

    @property
    def life(self) -> int:
        return self.server.starts

    @property
    def away(self) -> bool:
        return not self.server.up

    @property
    def coming(self) -> bool:
        return not self.server.up and not self.server.given_up

    def heed(self, hear: Callable[[], None]) -> None:
        self.server.hearers.append(hear)


@asynccontextmanager
async def serving(
    serve: ServeSpec, folder: Path, name: str, *, threads: int = 1, watch: Watch | None = None
) -> AsyncIterator[tuple[ManagedClient, ...]]:
    """The replicas of the model in ``folder`` for the duration of the block, each with a log in ``servers`` of the workdir:
    ``NAME.log``, or ``NAME-1.log`` and so on.

    Raises:
        UserError: the engine is not set up here, refuses its arguments, or has GPUs that the replicas cannot share.
        InfrastructureError: one does not start, or all have died more often than they may; the block is cancelled then.
        Stopped: the job was told to stop while a server was being started.
    """
    engine = ENGINES.get(serve.engine, "model.serve.engine")
    words, devices = program(engine), shares(serve.replicas)
    with tempfile.TemporaryDirectory(prefix="mentor-server-") as temporary:
        watch = watch or _Nobody(Path(temporary))
        told = Told(watch)
        servers: list[ManagedServer] = []
        for number, port in enumerate(_free_ports(serve.replicas), 1):
            launch = Launch(
                folder.resolve(), name, port, secrets.token_urlsafe(24), threads, serve.options,
                replica=number if serve.replicas > 1 else 0, devices=devices[number - 1],
            )  # fmt: skip
            log = watch.workdir / "servers" / f"{launch.numbered(_NOT_IN_A_FILENAME.sub('_', name))}.log"
            hears = OneOfSeveral(told, launch.numbered(engine.name)) if launch.replica else watch
            server = ManagedServer(engine, words, launch, serve, log, hears)
            server.hearers.append(lambda: told.serving(sum(one.up for one in servers)))
            servers.append(server)
        try:
            await _started(servers)
            async with _supervised(servers, watch):
                clients = tuple(map(ManagedClient, servers))
                try:
                    yield clients
                finally:
                    await asyncio.gather(*(client.close() for client in clients))
        finally:
            await asyncio.shield(asyncio.gather(*(server.close() for server in servers)))


async def _started(servers: Sequence[ManagedServer]) -> None:
    """Start them side by side. The first that cannot be started ends the wait for the others."""
    starts = [asyncio.create_task(server.start()) for server in servers]
    try:
        await asyncio.gather(*starts)
    finally:
        await _ended(starts)


@asynccontextmanager
async def _supervised(servers: Sequence[ManagedServer], watch: Watch) -> AsyncIterator[None]:
    """Watch the servers beside the block. If none can be helped any more, the block is cancelled and the error raised."""
    owner = asyncio.current_task()
    assert owner is not None
    watching = asyncio.create_task(_kept_up(servers, watch))
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
        await _ended([watching])


async def _kept_up(servers: Sequence[ManagedServer], watch: Watch) -> None:
    """Supervise all; what is given up is left to the others, down to the last.

    Raises: as ``ManagedServer.supervise``.
    """
    left = {asyncio.create_task(server.supervise()): server for server in servers}
    try:
        while True:
            done, _ = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                server = left.pop(task)
                error = task.exception()
                assert error is not None
                if not left or not server.given_up:
                    raise error
                await asyncio.to_thread(server.stop, 0.0)  # one that hung still has its processes
                watch.tell(f"{error}; the job goes on with {len(left)} of {len(servers)}")
    finally:
        await _ended(left)


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Nobody:
    """Watches a server of which nobody wants to hear."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def tell(self, message: str, **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def should_stop(self) -> bool:
        return False


def _free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on. Who takes one first makes the start fail, and say so."""
    with contextlib.ExitStack() as held:  # all at once, so that none is found twice
        found = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in found]
