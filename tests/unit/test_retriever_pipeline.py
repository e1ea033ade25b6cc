"""Micro-batching, the ranking cache and admission: who is served together, who shares, who is refused."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from mentor.errors import OverloadedError
from mentor_retriever.pipeline import MicroBatcher, QueryGate, RankingCache
from mentor_retriever.pipeline.batcher import BatchRecord


class Stage:
    """A batch function that waits to be let go, and remembers its batches."""

    def __init__(self, workers: int = 1, max_batch: int = 4) -> None:
        self.go = threading.Event()
        self.batches: list[list[int]] = []
        self.seen: list[BatchRecord] = []
        self.threads = ThreadPoolExecutor(workers)
        self.batcher: MicroBatcher[int, int] = MicroBatcher(
            "test", self.run, self.threads, workers=workers, max_batch=max_batch, seen=self.seen.append
        )

    def run(self, values: Sequence[int]) -> list[int]:
        self.batches.append(list(values))
        assert self.go.wait(10)
        if 13 in values:
            raise ValueError("thirteen")
        return [value * 2 for value in values]


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    made.go.set()
    made.threads.shutdown()


async def started(stage: Stage, *values: int) -> list[asyncio.Task[int]]:
    """Submit values, each when the one before has been taken or waits."""
    tasks = []
    for value in values:
        tasks.append(asyncio.create_task(stage.batcher.submit(value)))
        await asyncio.sleep(0.02)
    return tasks


async def test_a_lone_item_runs_at_once_and_what_waits_meanwhile_becomes_the_next_batches(stage: Stage) -> None:
    tasks = await started(stage, *range(7))
    assert (stage.batches, stage.batcher.waiting) == ([[0]], 6)
    stage.go.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10, 12]
    assert stage.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert [record.size for record in stage.seen] == [1, 4, 2]


async def test_items_that_come_together_stay_together(stage: Stage) -> None:
    stage.go.set()
    assert await asyncio.gather(*(stage.batcher.submit(value) for value in range(4))) == [0, 2, 4, 6]
    assert stage.batches == [[0, 1, 2, 3]]


async def test_an_item_whose_caller_has_gone_is_left_out(stage: Stage) -> None:
    tasks = await started(stage, *range(4))
    tasks[2].cancel()
    await asyncio.sleep(0)
    stage.go.set()
    assert await asyncio.gather(tasks[0], tasks[1], tasks[3]) == [0, 2, 6]
    assert stage.batches == [[0], [1, 3]]


async def test_an_error_is_the_answer_of_its_whole_batch_and_of_no_other(stage: Stage) -> None:
    tasks = await started(stage, 1, 13, 2, 3, 4, 5)
    stage.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [int, ValueError, ValueError, ValueError, ValueError, int]


async def test_free_workers_share_what_waits() -> None:
    stage = Stage(workers=2)
    tasks = [asyncio.create_task(stage.batcher.submit(value)) for value in range(5)]
    await asyncio.sleep(0.05)
    assert sorted(stage.batches) == [[0, 1, 2], [3, 4]]
    stage.go.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    stage.threads.shutdown()


async def test_a_stage_waits_for_the_one_before_no_longer_than_its_own_run_takes() -> None:
    coming = True
    batches: list[list[int]] = []

    def run(values: Sequence[int]) -> list[int]:
        batches.append(list(values))
        time.sleep(0.2)
        return list(values)

    threads = ThreadPoolExecutor(1)
    batcher: MicroBatcher[int, int] = MicroBatcher(
        "scan", run, threads, workers=1, max_batch=3, seen=lambda _: None, more_to_come=lambda: coming
    )
    assert await batcher.submit(0) == 0  # nothing is known of its time yet: it does not wait
    late = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.02)
    assert batches == [[0]]
    assert await asyncio.gather(batcher.submit(2), batcher.submit(3), late) == [2, 3, 1]  # full: no reason to wait
    assert await batcher.submit(4) == 4  # nobody else came
    waiting = asyncio.create_task(batcher.submit(5))
    await asyncio.sleep(0.02)
    coming = False
    assert await asyncio.gather(batcher.submit(6), waiting) == [6, 5]
    assert batches == [[0], [1, 2, 3], [4], [5, 6]]
    threads.shutdown()


async def test_callers_of_one_key_share_a_computation_and_later_ones_its_answer() -> None:
    counted: list[str] = []
    cache: RankingCache[int] = RankingCache(2, counted.append)
    ran: list[str] = []

    async def compute() -> int:
        ran.append("x")
        await asyncio.sleep(0.01)
        return 5

    assert await asyncio.gather(*(cache.get("a", compute) for _ in range(3))) == [5, 5, 5]
    assert await cache.get("a", compute) == 5
    assert (counted, len(ran)) == (["miss", "joined", "joined", "hit"], 1)


async def test_the_least_recently_used_answer_goes_first() -> None:
    counted: list[str] = []
    cache: RankingCache[str] = RankingCache(2, counted.append)

    async def answer(key: str) -> str:
        async def compute() -> str:
            return key

        return await cache.get(key, compute)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert await answer(key) == key
    assert counted == ["miss", "miss", "hit", "miss", "hit", "miss"]


async def test_a_caller_that_leaves_does_not_take_the_others_with_it_but_the_last_ends_the_work() -> None:
    cache: RankingCache[int] = RankingCache(2, lambda _: None)
    ended: list[str] = []

    async def compute() -> int:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return 7

    first, second = (asyncio.create_task(cache.get("a", compute)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 7
    alone = asyncio.create_task(cache.get("b", compute))
    await asyncio.sleep(0.01)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    assert await cache.get("b", compute) == 7
    assert ended == ["cancelled"]


async def test_failures_and_partial_answers_are_not_kept() -> None:
    cache: RankingCache[int] = RankingCache(4, lambda _: None, keep=lambda answer: answer > 0)
    answers = iter((ValueError("once"), -1, 3))

    async def compute() -> int:
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    with pytest.raises(ValueError, match="once"):
        await cache.get("a", compute)
    assert [await cache.get("a", compute) for _ in range(3)] == [-1, 3, 3]


def test_the_gate_counts_queries_and_lets_a_lone_request_in_whatever_its_size() -> None:
    gate = QueryGate(10)
    with gate.admit(50):
        assert (gate.queries, gate.requests) == (50, 1)
        with pytest.raises(OverloadedError, match="50 queries are inside, 10 may") as refused, gate.admit(1):
            pass
        assert 0.1 <= refused.value.retry_after <= 30
    with gate.admit(6), gate.admit(4), pytest.raises(OverloadedError), gate.admit(1):
        pass
    assert (gate.queries, gate.requests) == (0, 0)
