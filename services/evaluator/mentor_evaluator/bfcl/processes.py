"""Disposable processes for the package's code: forked from a warm one, talked to in lines of JSON, killed at a deadline."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from mentor.errors import InfrastructureError
from mentor_evaluator.bfcl.categories import package_root

START_SECONDS = 120.0
_LINE_BYTES = 256 << 20


class ProcessLost(Exception):
    """The process died, or was killed at its deadline (``timed_out``), before it answered."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("timeout" if timed_out else "killed")
        self.timed_out = timed_out


class Child:
    """One disposable process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, message: dict[str, Any]) -> None:
        """Send a request. Raises ``ProcessLost`` if nobody is there."""
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except OSError:
            raise ProcessLost(False) from None

    async def receive(self, timeout_s: float) -> dict[str, Any]:
        """The next line of an answer. Raises ``ProcessLost``."""
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._reader.readline()
            answer: dict[str, Any] = json.loads(line)
        except TimeoutError:
            raise ProcessLost(True) from None
        except (OSError, ValueError):  # closed, cut off in a line, or a line beyond every bound
            raise ProcessLost(False) from None
        return answer

    async def ask(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request that is answered by one line. Raises ``ProcessLost``."""
        await self.send(message)
        return await self.receive(timeout_s)

    def close(self) -> None:
        """Let go of the socket."""
        self._writer.close()


class Processes:
    """Forks disposable processes; a context manager that ends all of them.

    Args:
        network: leave the network where it is, for web search; else it is taken away where the kernel allows that.
        encoder: name and folder of an embedding model, which the package looks for by its name in the working directory.

    Raises:
        UserError: the package is not installed.
        InfrastructureError: the process does not start.
    """

    def __init__(
        self, *, network: bool = False, preload: tuple[str, ...] = (), encoder: tuple[str, str] | None = None
    ) -> None:
        package_root()
        self._folder = tempfile.TemporaryDirectory(prefix="bfcl-zygote-", ignore_cleanup_errors=True)
        if encoder is not None:
            Path(self._folder.name, encoder[0]).symlink_to(encoder[1], target_is_directory=True)
        self._options = ["--network"] if network else []
        self._tokens = itertools.count()
        self._lock = Lock()
        self._loaded: list[str] = []
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "mentor_evaluator.bfcl.child.zygote", str(theirs.fileno()), *self._options]
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=_environment(), cwd=self._folder.name, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        ready = select.select([self._control], [], [], START_SECONDS)[0]
        if not ready or self._control.recv(1) != b"!":
            self.close()
            raise InfrastructureError(
                "the process that runs BFCL's checkers did not start: are its packages installed?"
            )

    @property
    def pid(self) -> int:
        """Of the warm process."""
        return self._process.pid

    def load(self, what: str, name: str) -> None:
        """Have a category read (``shown`` to models, or ``checked``), or a module imported (``import``), before forking."""
        command = f"{what} {name}"
        with self._lock:
            if command not in self._loaded:
                self._loaded.append(command)
                self._tell(command)

    def _tell(self, command: str, fds: tuple[int, ...] = ()) -> None:
        try:
            socket.send_fds(self._control, [command.encode()], list(fds))
        except OSError:
            self._restart()
            socket.send_fds(self._control, [command.encode()], list(fds))

    def _restart(self) -> None:
        """The warm process was killed from outside: start another."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        self._start()
        for command in self._loaded:
            self._control.send(command.encode())

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        """A process of its own, killed when the block ends.

        Raises:
            InfrastructureError: none could be forked, twice. It has seen nothing of any model's by then.
        """
        async with AsyncExitStack() as stack:
            try:
                child = await stack.enter_async_context(self._forked())
            except ProcessLost:  # the warm process was killed, or could not read what it was told to
                try:
                    child = await stack.enter_async_context(self._forked())
                except ProcessLost as lost:
                    raise InfrastructureError(f"no process for BFCL's checkers could be started ({lost})") from lost
            yield child

    @asynccontextmanager
    async def _forked(self) -> AsyncIterator[Child]:
        token = str(next(self._tokens))
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            self._tell(f"spawn {token}", (theirs.fileno(),))
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LINE_BYTES)
        child = Child(reader, writer)
        try:
            await child.receive(START_SECONDS)
            yield child
        finally:
            child.close()
            with self._lock, suppress(OSError):
                self._control.send(f"kill {token}".encode())

    def close(self) -> None:
        """End every process."""
        self._control.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _environment() -> dict[str, str]:
    """Nothing of ours but what finds the interpreter's packages; one thread per library, and no hub."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    quiet = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    return kept | quiet | {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
