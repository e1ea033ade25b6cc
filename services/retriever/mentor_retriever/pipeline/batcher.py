"""Dynamic micro-batching: whatever waits when a worker falls free becomes its next batch."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Item(Generic[T, R]):
    value: T
    answer: asyncio.Future[R]


@dataclass(frozen=True)
class BatchRecord:
    """One batch that ran: its stage, its size, and its time in seconds."""

    stage: str
    size: int
    seconds: float


class MicroBatcher(Generic[T, R]):
    """Runs a blocking batch function in threads, on whatever has gathered meanwhile.

    There is no window to wait in: an idle worker takes a lone item at once, and under load batches grow by themselves to
    what arrives during one run. Items whose caller has gone (a cancelled future) are left out. Belongs to one event loop.

    A stage whose cost is shared by a whole batch (a scan of all vectors) may wait for the stage before it: ``more_to_come``
    says that this one is still at work. It never waits longer than its own run takes, nor with a full batch.

    Args:
        run: ``[item] -> [answer]``, in order; an exception of it fails the whole batch.
        workers: batches that run at a time.
        max_batch: items in one batch.
        seen: told of every batch.
        more_to_come: whether items are about to arrive; None: never wait.
    """

    def __init__(
        self,
        stage: str,
        run: Callable[[Sequence[T]], Sequence[R]],
        threads: Executor,
        *,
        workers: int,
        max_batch: int,
        seen: Callable[[BatchRecord], None],
        more_to_come: Callable[[], bool] | None = None,
    ) -> None:
        self._stage, self._run, self._threads = stage, run, threads
        self._workers = self._free = workers
        self._max_batch = max_batch
        self._seen = seen
        self._more_to_come = more_to_come
        self._run_s = 0.0
        self._wait_until = 0.0
        self._wake: asyncio.Handle | None = None
        self._waiting: deque[_Item[T, R]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Items that no worker has taken yet."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether it has items, waiting or being answered."""
        return bool(self._waiting) or self._free < self._workers

    async def submit(self, value: T) -> R:
        """The answer to one item. Cancelling it before its batch begins takes it out."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._wait_until = time.monotonic() + self._run_s
        self._waiting.append(_Item(value, answer))
        self._soon()
        return await answer

    def _soon(self, delay_s: float = 0.0) -> None:
        """Dispatch in the loop's next round: items that one batch of the stage before hands on together stay together."""
        if self._wake is None or delay_s == 0.0:
            if self._wake is not None:
                self._wake.cancel()
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(delay_s, self._dispatch) if delay_s else loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._wake = None
        while self._free and self._waiting:
            if (delay_s := self._patience()) > 0:
                self._soon(delay_s)
                return
            batch = self._take()
            if not batch:
                return
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._serve(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _patience(self) -> float:
        """Seconds for which it is worth waiting for a larger batch."""
        if self._more_to_come is None or len(self._waiting) >= self._max_batch or not self._more_to_come():
            return 0.0
        return self._wait_until - time.monotonic()

    def _take(self) -> list[_Item[T, R]]:
        batch: list[_Item[T, R]] = []
        fair = -(-len(self._waiting) // self._free)  # what waits is shared by the workers that are free
        while self._waiting and len(batch) < min(fair, self._max_batch):
            item = self._waiting.popleft()
            if not item.answer.done():
                batch.append(item)
        return batch

    async def _serve(self, batch: list[_Item[T, R]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, self._timed, [item.value for item in batch])
        except Exception as error:  # whatever the stage raises is its callers' answer
            for item in batch:
                if not item.answer.done():
                    item.answer.set_exception(error)
        else:
            for item, answer in zip(batch, answers, strict=True):
                if not item.answer.done():
                    item.answer.set_result(answer)
        finally:
            self._free += 1
            self._soon()

    def _timed(self, values: list[T]) -> Sequence[R]:
        started = time.perf_counter()
        answers = self._run(values)
        self._run_s = time.perf_counter() - started
        self._seen(BatchRecord(self._stage, len(values), self._run_s))
        return answers
