"""Reads of the index for pages: a few threads, each with a connection of its own, off the event loop; and who may see what."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mentor.errors import MentorError, NotFoundError
from mentor.jobs.model import MAX_LIST
from mentor_console.index.query import jobs_known
from mentor_console.index.schema import connect, prepare
from mentor_console.index.stored import NOWHERE
from mentor_console.settings import JOB_SERVICES, ConsoleSettings
from mentor_console.upstream import Upstream

T = TypeVar("T")
_THREADS = 3
_LIST_S, _ONE_S = 10.0, 300.0
_MOST = 1000


class Reading:
    """Runs queries, and knows which jobs a reader may see: the services say so, for the reader's own key."""

    def __init__(self, settings: ConsoleSettings, upstream: Upstream, asked: bool) -> None:
        prepare(settings.cache)
        self.folder = settings.cache
        self._upstream, self._asked = upstream, asked
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="index")
        self._listed: dict[str, tuple[float, frozenset[str]]] = {}
        self._single: dict[tuple[str, str], tuple[float, bool]] = {}

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """A query's answer."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._run, query)

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self.folder)
        return query(connection)

    async def visible(self, authorization: str) -> frozenset[str] | None:
        """The jobs whose trajectories a reader may see; None: nobody is asked for a key, and everybody sees all.

        What a service does not say, because it is away, is not seen.
        """
        if not self._asked:
            return None
        until, jobs = self._listed.get(authorization, (0.0, frozenset()))
        if time.monotonic() < until:
            return jobs
        known = await self.run(jobs_known)
        lists = await asyncio.gather(*(self._list(authorization, service) for service in JOB_SERVICES))
        listed = frozenset().union(*lists) & known.keys()
        others = [(job, service) for job, service in known.items() if job not in listed and self._full(lists, service)]
        answers = await asyncio.gather(*(self._may_see(authorization, job, service) for job, service in others))
        jobs = listed | {job for (job, _), may in zip(others, answers, strict=True) if may}
        if len(self._listed) > _MOST:
            self._listed.clear()
        self._listed[authorization] = (time.monotonic() + _LIST_S, jobs)
        return jobs

    async def require(self, authorization: str, job: str) -> None:
        """Refuse a trajectory of a job that the reader may not see, in the words for one that does not exist.

        Raises:
            NotFoundError: so it is.
        """
        jobs = await self.visible(authorization)
        if jobs is None or job in jobs:
            return
        service = (await self.run(jobs_known)).get(job)  # one that has come since the services were asked?
        if service is None or not await self._shows(authorization, job, service):
            raise NotFoundError(NOWHERE, field="key")

    async def _may_see(self, authorization: str, job: str, service: str) -> bool:
        """As ``_shows``, remembered: of the many jobs that a service does not list at once."""
        until, may = self._single.get((authorization, job), (0.0, False))
        if time.monotonic() < until:
            return may
        may = await self._shows(authorization, job, service)
        if len(self._single) > 50 * _MOST:
            self._single.clear()
        self._single[authorization, job] = (time.monotonic() + (_ONE_S if may else _LIST_S), may)
        return may

    async def _shows(self, authorization: str, job: str, service: str) -> bool:
        """Whether the service shows this job to the reader now."""
        try:
            await self._upstream.json(authorization, service, f"/v1/jobs/{job}")
        except MentorError:
            return False
        return True

    async def _list(self, authorization: str, service: str) -> frozenset[str]:
        try:
            page = await self._upstream.json(authorization, service, "/v1/jobs", params={"limit": MAX_LIST})
        except MentorError:
            return frozenset()
        return frozenset(job["id"] for job in page["jobs"])

    def _full(self, lists: list[frozenset[str]], service: str) -> bool:
        """Whether a service has more jobs than it lists at once: only then is one that it did not list asked for by itself."""
        return len(lists[JOB_SERVICES.index(service)]) >= MAX_LIST

    def close(self) -> None:
        """End the threads; their connections go with them."""
        self._threads.shutdown(wait=True, cancel_futures=True)
