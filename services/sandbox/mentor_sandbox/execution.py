"""One call from fork to result: descriptors, deadline, verdict, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any, Self

import structlog

from mentor.errors import InfrastructureError
from mentor_sandbox import scratch
from mentor_sandbox.processes import Exit, ZygoteProcess
from mentor_sandbox.results import FROM_CALL, CallResult, Status
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.wire import FRAME, frame

log = structlog.get_logger("execution")
_CHUNK = 65536
_SCRATCH_PERIOD_S = 0.25


class Execution:
    """Runs one prepared request in a fork of ``zygote``. Use once."""

    def __init__(self, zygote: ZygoteProcess, settings: SandboxSettings, scratch_root: Path) -> None:
        self._zygote = zygote
        self._settings = settings
        self._scratch_root = scratch_root
        self._limit_hit: tuple[Status, str, str] | None = None

    async def run(self, request: dict[str, Any], timeout_s: float) -> CallResult:
        """The result, without duration.

        Raises:
            InfrastructureError: the zygote died, no process could be started, or it did not begin in time.
        """
        directory = self._make_scratch()
        try:
            with _Ends() as ends:
                return await self._run(request, timeout_s, directory, ends)
        finally:
            await scratch.remove(directory)

    def _make_scratch(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix="call-", dir=self._scratch_root))
        except OSError as error:
            raise InfrastructureError(f"cannot make a scratch directory: {error.strerror}") from None

    async def _run(self, request: dict[str, Any], timeout_s: float, directory: Path, ends: _Ends) -> CallResult:
        nonce = secrets.token_hex(8)
        full = {**request, "nonce": nonce, "scratch": str(directory), "timeout_s": timeout_s}
        call, ended = self._zygote.fork((ends.theirs.fileno(), ends.out, ends.err))
        ends.theirs.close()
        try:
            said = await self._converse(ends.ours, json.dumps(full).encode(), timeout_s, call, ended, directory)
        except _NeverBegan as failure:
            output = os.pread(ends.err, 4000, 0).decode("utf-8", "replace")
            log.error("call did not begin", reason=str(failure), output=output)
            raise
        return self._verdict(said, ended.result(), nonce, ends.out, ends.err)

    async def _converse(
        self,
        ours: socket.socket,
        request: bytes,
        timeout_s: float,
        call: int,
        ended: asyncio.Future[Exit],
        directory: Path,
    ) -> bytes:
        """Send the request and listen. On return the process has ended; what it said is in the bytes."""
        reader = _Reader(ours, self._settings.result_mb * MIB + _CHUNK)
        watch = asyncio.create_task(self._watch_scratch(call, directory))
        try:
            await self._begin(ours, request, reader)
            async with asyncio.timeout(timeout_s):
                said = await reader.to_end()
                await asyncio.shield(ended)
                return said
        except TimeoutError:
            if self._limit_hit is None:
                self._limit_hit = (Status.TIMEOUT, "Timeout", f"the call exceeded its time limit of {timeout_s:g} s")
            return b""
        finally:
            watch.cancel()
            if not ended.done():
                self._zygote.kill(call)
                await ended

    async def _begin(self, ours: socket.socket, request: bytes, reader: _Reader) -> None:
        """Until the walls stand; the call's own clock starts after this."""
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                await asyncio.get_running_loop().sock_sendall(ours, frame(request))
                begun = await reader.begun()
        except TimeoutError:
            raise _NeverBegan(f"no process began the call within {self._settings.startup_timeout_s:g} s") from None
        except OSError:
            begun = False
        if not begun:
            raise _NeverBegan("the call's process ended before it began")

    async def _watch_scratch(self, call: int, directory: Path) -> None:
        limit = self._settings.scratch_mb * MIB
        while True:
            await asyncio.sleep(_SCRATCH_PERIOD_S)
            if scratch.exceeds(directory, limit):
                message = f"the call wrote more than {self._settings.scratch_mb} MiB of files"
                self._limit_hit = (Status.OUTPUT_LIMIT, "ScratchLimit", message)
                self._zygote.kill(call)
                return

    def _verdict(self, said: bytes, end: Exit, nonce: str, out: int, err: int) -> CallResult:
        keep, most = self._settings.output_kb * 1024, self._settings.file_mb * MIB
        sizes = os.fstat(out).st_size, os.fstat(err).st_size
        flooded = max(sizes) >= most
        status, value, kind, message = self._status(said, end, nonce)
        if flooded and status is Status.TOOL_ERROR:
            status, kind = Status.OUTPUT_LIMIT, "OutputLimit"
            message = f"the call printed more than {self._settings.file_mb} MiB"
        return CallResult(
            status=status,
            value_json=value,
            stdout=os.pread(out, keep, 0).decode("utf-8", "replace"),
            stderr=os.pread(err, keep, 0).decode("utf-8", "replace"),
            error_type=kind,
            error_message=message,
            truncated=max(sizes) > keep,
        )

    def _status(self, said: bytes, end: Exit, nonce: str) -> tuple[Status, str | None, str, str]:
        if self._limit_hit is not None:
            status, kind, message = self._limit_hit
            return status, None, kind, message
        if end.signal == signal.SIGXCPU:
            return Status.TIMEOUT, None, "CpuTimeout", "the call used up its CPU time"
        if end.signal is not None:
            name = signal.Signals(end.signal).name
            return Status.KILLED, None, name, f"the process was ended by {name}"
        if end.code != 0 or not said:
            return Status.KILLED, None, "Exited", f"the process exited with code {end.code} before the call returned"
        answer = _answer(said, nonce)
        if answer is None:
            return Status.KILLED, None, "ForgedResult", "the call wrote to the result channel"
        return answer


def _answer(said: bytes, nonce: str) -> tuple[Status, str | None, str, str] | None:
    """The one frame of a well-behaved call; None for anything else."""
    try:
        (length,) = FRAME.unpack_from(said)
        if length != len(said) - FRAME.size:
            return None
        body = json.loads(said[FRAME.size :])
        status = Status(body["status"])
        value, kind, message = body["value_json"], body["error_type"], body["error_message"]
        if body["nonce"] != nonce or status not in FROM_CALL or isinstance(value, str) != (status is Status.OK):
            return None
        if isinstance(value, str):
            json.loads(value, parse_constant=_no_constant)
        return status, value, str(kind), str(message)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _Ends:
    """What server and call share: a socket, of which each has an end, and two memory files for output.

    Raises:
        InfrastructureError: this process has no descriptors left.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self.ours, self.theirs = (self._stack.enter_context(end) for end in socket.socketpair())
            self.out, self.err = (self._memory_file(name) for name in ("stdout", "stderr"))
        except OSError as error:
            self._stack.close()
            raise InfrastructureError(f"cannot prepare a call: {error.strerror}") from None
        self.ours.setblocking(False)

    def _memory_file(self, name: str) -> int:
        descriptor = os.memfd_create(name)
        self._stack.callback(os.close, descriptor)
        return descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class _NeverBegan(InfrastructureError):
    """No process took the request."""


class _Reader:
    """Reads what a call says: an empty frame when it begins, then everything up to the end of the stream."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._buffer = bytearray()

    async def begun(self) -> bool:
        """Whether the call began; False if the stream ended instead."""
        while len(self._buffer) < FRAME.size:
            if not await self._more():
                return False
        del self._buffer[: FRAME.size]
        return True

    async def to_end(self) -> bytes:
        """The rest of the stream; what exceeds the limit is read and dropped, so that the call is not blocked."""
        while await self._more():
            del self._buffer[self._limit :]
        return bytes(self._buffer)

    async def _more(self) -> bool:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._connection, _CHUNK)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)
