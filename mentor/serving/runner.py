"""Runs a service: both transports in one event loop, from start to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from mentor.errors import UserError
from mentor.rpc.tracing import configure_tracing
from mentor.serving.grpc_server import create_grpc_server, server_credentials, set_serving
from mentor.serving.http import create_admin_app, create_app
from mentor.serving.logs import configure_logs
from mentor.serving.service import Service

log = structlog.get_logger("serving")
_HEALTH_PERIOD_S = 0.5
_KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections: who closes first loses the request that the other is just sending."""


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: a drain has an order that uvicorn cannot know."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """One service listening on both transports. ``http_url`` and ``grpc_target`` hold after ``start``."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.http_url = ""
        self.grpc_target: str | None = None
        self.admin_url: str | None = None
        self._stack = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bind both ports, then start what the service owns, then say ready.

        Raises:
            UserError: a port is taken or the address is not ours.
        """
        settings = self.service.settings
        listener = _bind(settings.host, settings.port)
        self.http_url = f"http://{_authority(settings.host, listener.getsockname()[1])}"
        self._http = self._uvicorn(create_app(self.service))
        await self._start_admin()
        self._grpc, self._checks = create_grpc_server(self.service)
        if settings.grpc_port is not None and settings.grpc_port >= 0:
            self.grpc_target = self._bind_grpc(settings.host, settings.grpc_port)
        self._tasks.append(asyncio.create_task(self._http.serve(sockets=[listener])))
        try:
            await self._stack.enter_async_context(self.service.lifespan())
        except BaseException:
            await self._close(0.0)
            raise
        if self.grpc_target:
            await self._grpc.start()
            await set_serving(self.service, self._checks)
            self._mirror = asyncio.create_task(self._mirror_health())
        self.service.readiness.started = True
        while not self._http.started:
            await asyncio.sleep(0.005)

    def _uvicorn(self, app: FastAPI) -> _Uvicorn:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=max(1, round(self.service.settings.drain_timeout_s)),
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        return _Uvicorn(config)

    async def _start_admin(self) -> None:
        """The admin port, if there is one, answers from the start and to the end."""
        settings = self.service.settings
        self._admin: _Uvicorn | None = None
        if settings.admin_port is None:
            return
        listener = _bind(settings.host, settings.admin_port)
        self.admin_url = f"http://{_authority(settings.host, listener.getsockname()[1])}"
        self._admin = self._uvicorn(create_admin_app(self.service))
        self._admin_task = asyncio.create_task(self._admin.serve(sockets=[listener]))

    def _bind_grpc(self, host: str, port: int) -> str:
        credentials = server_credentials(self.service.settings)
        try:
            if credentials is None:
                bound = self._grpc.add_insecure_port(_authority(host, port))
            else:
                bound = self._grpc.add_secure_port(_authority(host, port), credentials)
        except RuntimeError:
            bound = 0
        if bound == 0:
            raise UserError(f"cannot listen on {host}:{port} (in use?)", field="grpc_port")
        return _authority(host, bound)

    async def _mirror_health(self) -> None:
        while True:
            await set_serving(self.service, self._checks)
            await asyncio.sleep(_HEALTH_PERIOD_S)

    async def stop(self) -> None:
        """Drain: not ready first, then no new connections, then what is in flight, then what the service owns."""
        settings = self.service.settings
        self.service.readiness.draining = True
        if self.grpc_target:
            self._mirror.cancel()
            await set_serving(self.service, self._checks)
        await asyncio.sleep(settings.drain_delay_s)
        await self._close(settings.drain_timeout_s)

    async def _close(self, grace: float) -> None:
        self._http.should_exit = True
        await asyncio.gather(self._grpc.stop(grace), *self._tasks, return_exceptions=True)
        await self._stack.aclose()
        if self._admin is not None:
            self._admin.should_exit = True
            await self._admin_task


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Server]:
    """A service listening for the duration of the block (in tests: settings with port 0 take free ports)."""
    server = Server(service)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def serve(service: Service) -> int:
    """Run until SIGTERM or SIGINT, then drain. Returns 0.

    Raises:
        MentorError: it could not start.
    """
    settings = service.settings
    configure_logs(service.name, settings.log_level, settings.log_format)
    configure_tracing(service.name)
    with asyncio.Runner(loop_factory=service.loop_factory) as runner:
        return runner.run(_serve(service))


async def _serve(service: Service) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        log.info("draining", signal=signal.Signals(number).name)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    server = Server(service)
    starting = asyncio.create_task(server.start())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return 0
    waiting.cancel()
    starting.result()
    if not service.door.authenticates:
        log.warning(
            "no keys are set: whoever reaches this port is an operator (docs/security.md)", host=service.settings.host
        )
    log.info("listening", http=server.http_url, grpc=server.grpc_target, pid=os.getpid())
    await stopping.wait()
    await server.stop()
    log.info("stopped")
    return 0


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only for sockets that say they are TCP; without it a small answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise UserError(f"cannot listen on {host}:{port}: {reason}", field="port") from None
    return listener


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
