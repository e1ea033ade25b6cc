"""A model server that this process starts, watches, restarts on the same port, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import httpx

from mentor.errors import InfrastructureError, UserError
from mentor.inference.engines import Engine, Launch
from mentor.inference.servers.command import command, environment
from mentor.inference.servers.figures import TokenFigures, totals
from mentor.inference.servers.process import ServerProcess, reason, tail
from mentor.inference.servers.spec import ServeSpec
from mentor.inference.servers.watch import Watch
from mentor.jobs.handler import Stopped

_POLL_SECONDS = 0.1
_HEALTH_SECONDS = 2.0
_FIGURES_SECONDS = 10.0
_UNANSWERED = 3
_GRACE_SECONDS = 15.0
_BACKOFF_SECONDS = 0.5
_BAD_USAGE = 2
"""Exit code of a program that refuses its arguments: argparse's, and our services'."""


class ManagedServer:
    """One model server over all its lives.

    Attributes:
        label: its name in messages and figures.
        up: it serves, as far as is known.
        starts: lives that have come to serve.
        restarts: how often it was started again.
        given_up: it has used up its restarts.
        hearers: called when it has come to serve, and when it does no longer.
    """

    def __init__(
        self, engine: Engine, words: tuple[str, ...], launch: Launch, serve: ServeSpec, log: Path, watch: Watch
    ) -> None:
        self.engine, self.launch, self.serve, self.log = engine, launch, serve, log
        self.label = launch.numbered(engine.name)
        self.starts = self.restarts = 0
        self.given_up = False
        self.hearers: list[Callable[[], None]] = []
        self._words = words
        self._watch = watch
        self._mark = secrets.token_hex(8)
        self._figures = TokenFigures(engine.name, watch)
        self._process: ServerProcess | None = None
        self.up = False
        headers = {"authorization": f"Bearer {launch.key}"}
        timeout = min(10.0, serve.hang_s)
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    @property
    def url(self) -> str:
        """Where it listens, in every life."""
        return f"http://127.0.0.1:{self.launch.port}"

    async def start(self) -> None:
        """Start the process and wait until it serves the model.

        Raises:
            UserError: it refuses its arguments.
            InfrastructureError: it ended, or did not serve in time.
            Stopped: the job was told to stop meanwhile.
        """
        began = told = time.monotonic()
        arguments = command(self._words, self.engine, self.launch, self.serve.arguments)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._process = ServerProcess(arguments, environment(self.engine, self.launch, self._mark), self.log)
        while not await self._serves():
            waited = time.monotonic() - began
            if (code := self._process.poll()) is not None:
                raise self._failed(f"ended with exit code {code} before it served", bad_usage=code == _BAD_USAGE)
            if waited > self.serve.start_timeout_s:
                raise self._failed(f"did not serve within {self.serve.start_timeout_s:g} s")
            if self._watch.should_stop():
                raise Stopped
            if time.monotonic() - told > 1.0:
                told = time.monotonic()
                self._watch.tell(f"{self.label} is starting {self.launch.name}: {waited:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        self._began_to_serve(time.monotonic() - began)

    def _began_to_serve(self, seconds: float) -> None:
        self.starts += 1
        self._watch.count("mentor_model_server_starts", engine=self.engine.name)
        self._watch.count("mentor_model_server_start_seconds", seconds, engine=self.engine.name)
        self._watch.tell(f"{self.label} serves {self.launch.name} after {seconds:.0f} s")
        self._figures.restarted()
        self._turn(up=True)

    def _turn(self, *, up: bool) -> None:
        self.up = up
        for hear in self.hearers:
            hear()

    async def supervise(self) -> NoReturn:
        """Start it again whenever it dies or hangs.

        Raises:
            InfrastructureError: it has used up its restarts; with the log's last error.
            Stopped: the job was told to stop while it was being started again.
        """
        why, what = await self._until_it_fails()
        while True:
            self._turn(up=False)
            self._figures.paused()
            if self.restarts >= self.serve.restarts:
                self.given_up = True
                raise self._failed(f"{what}, {self.restarts} restarts are used up")
            self.restarts += 1
            self._watch.count("mentor_model_server_restarts", engine=self.engine.name, reason=why)
            self._watch.tell(f"{self.label} {what}: restart {self.restarts} of {self.serve.restarts}")
            await asyncio.to_thread(self.stop, 0.0)
            await asyncio.sleep(_BACKOFF_SECONDS * (self.restarts - 1))
            try:
                await self.start()
            except (InfrastructureError, UserError) as error:
                why, what = "start", error.message
            else:
                why, what = await self._until_it_fails()

    async def _until_it_fails(self) -> tuple[str, str]:
        """Why it has to be started again: in a word, and for people."""
        assert self._process is not None
        healthy = asked = read = time.monotonic()
        unanswered = 0
        while True:
            if (code := self._process.poll()) is not None:
                return "died", f"died with exit code {code}"
            now = time.monotonic()
            if now - asked >= min(_HEALTH_SECONDS, self.serve.hang_s / 4):
                asked = now
                if await self._healthy():
                    healthy, unanswered = time.monotonic(), 0
                    continue
                unanswered += 1
                # Time alone would be this process's own: its loop, too, can have stood still.
                if unanswered >= _UNANSWERED and time.monotonic() - healthy > self.serve.hang_s:
                    return "hung", f"did not answer for {self.serve.hang_s:g} s"
            if now - read >= _FIGURES_SECONDS:
                read = now
                await self.read_figures()
            await asyncio.sleep(_POLL_SECONDS)

    async def _healthy(self) -> bool:
        try:
            return (await self._http.get("/health")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _serves(self) -> bool:
        """Whether it is healthy and lists our model: who else listens there does not."""
        if not await self._healthy():
            return False
        try:
            listed = (await self._http.get("/v1/models")).json()["data"]
            return any(entry["id"] == self.launch.name for entry in listed)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    async def read_figures(self) -> None:
        """Take the server's own counts of tokens; one that cannot tell now tells later."""
        with contextlib.suppress(httpx.HTTPError, ValueError):
            answer = await self._http.get("/metrics", follow_redirects=True)
            self._figures.take(totals(answer.text, self.engine.tokens))

    def _failed(self, what: str, bad_usage: bool = False) -> InfrastructureError | UserError:
        """The error for people; the log's tail goes to the job's log."""
        lines = tail(self.log, self.launch.key)
        print(f"--- {self.log.name}: the last lines", *lines, "---", sep="\n", file=sys.stderr, flush=True)
        message = f"the model server ({self.label}, {self.launch.name}) {what}: {reason(lines)}"
        return UserError(message, field="model.serve") if bad_usage else InfrastructureError(message)

    def stop(self, grace_s: float = _GRACE_SECONDS) -> None:
        """End its processes, and no others; blocks until none is alive."""
        process, self._process = self._process, None
        if process is not None:
            process.stop(grace_s)

    async def close(self) -> None:
        """Take the last figures, end it, and let its connections go; it ends whatever its job's context raises."""
        try:
            if self.up:
                await self.read_figures()
        finally:
            self.up = False
            await asyncio.to_thread(self.stop)
            await self._http.aclose()
