"""One index in service, and how it is replaced by another without dropping a request."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mentor_retriever.backends import Backend, Found
from mentor_retriever.metrics import RetrieverMetrics
from mentor_retriever.pipeline import RankingCache
from mentor_retriever.settings import RetrieverSettings

R = TypeVar("R")


class Generation:
    """A backend, the cache of its answers, and the requests that use it."""

    def __init__(self, number: int, settings: RetrieverSettings, backend: Backend, metrics: RetrieverMetrics) -> None:
        self.number = number
        self.settings = settings
        self.backend = backend
        self.cache: RankingCache[Found] = RankingCache(
            settings.cache_size, lambda outcome: metrics.cache.labels(outcome).inc(), lambda found: not found.missing
        )
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it open for the block."""
        self._users += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def retire(self) -> None:
        """Close it when the last request that uses it has its answer."""
        await self._idle.wait()
        await self.backend.close()


def give_back_memory() -> None:
    """Free what nothing refers to any more, and hand it to the system.

    A backend's parts refer to one another, so only the collector frees them, and it comes late where little is allocated;
    what is freed the allocator would keep.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def open_backend(settings: RetrieverSettings, metrics: RetrieverMetrics) -> Backend:
    """What the settings ask for; blocks.

    Raises:
        UserError: something cannot be used.
    """
    if settings.backend == "shards":
        from mentor_retriever.backends.shards import open_shards

        return open_shards(settings)
    if settings.backend == "qdrant":
        from mentor_retriever.backends.qdrant import open_qdrant

        return open_qdrant(settings, metrics.ran)
    from mentor_retriever.backends.local import open_local

    return open_local(settings, metrics.ran)


async def in_daemon(run: Callable[[], R]) -> R:
    """Run something long in a thread that nobody waits for: a stop during a load need not see its end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[R] = loop.create_future()

    def settle(result: R | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failed = None, None
        try:
            result = run()
        except BaseException as error:  # handed to whoever waits
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, name="load", daemon=True).start()
    return await answer
