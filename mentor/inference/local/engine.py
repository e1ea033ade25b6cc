"""The in-process engine: token ids in, token ids out, with continuous batching, on a CPU or one GPU.

One worker thread owns the model and the batch. Requests come from any asyncio loop, wait in a bounded queue, join the
running batch between two steps and leave it as they end. Web code lives elsewhere (``server``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mentor.errors import ContextLengthError, DeadlineError, InfrastructureError, OverloadedError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.batch import Batch, Row
from mentor.inference.local.weights import context_length, copy_weights, end_ids, load_model, on_device, vocabulary_size

_log = logging.getLogger(__name__)
FINISHED = None
"""What a token stream yields last, before its generation."""


@dataclass(eq=False)
class _Pending:
    row: Row
    future: Future[Generation]


@dataclass(frozen=True)
class EngineStats:
    """A moment's figures: rows being decoded, requests waiting, and totals since the start.

    ``busy_seconds``: time in steps of the batch, which is the model's forward passes and the drawing of tokens.
    ``reused_tokens``: of the prompts, taken over from sequences that began alike.
    """

    running: int
    waiting: int
    requests: int
    prompt_tokens: int
    reused_tokens: int
    generated_tokens: int
    steps: int
    busy_seconds: float = 0.0


class LocalEngine:
    """Generate with a transformers model. Satisfies ``mentor.inference.base.TokenClient``.

    Args:
        model: a directory in Hugging Face format, or a loaded model.
        max_batch: rows decoded together.
        max_queue: requests that may wait; one more is refused.
        threads: threads of the forward passes.
        seed: makes requests without a seed of their own reproducible in order of arrival; None draws one.
        device: where the model is; torch's name of one device. A loaded model is moved there.
        prefix_cache_mb: memory for sequences that have ended, for prompts that begin like them. What is taken over was computed
            in another batch, so that log-probabilities may differ in their last digits; 0 where no digit may.

    Raises:
        UserError: the model cannot be loaded, or there is no such device.
    """

    def __init__(
        self,
        model: str | Path | PreTrainedModel,
        *,
        max_batch: int = 64,
        max_queue: int = 1024,
        threads: int = 1,
        seed: int | None = None,
        device: str = "cpu",
        prefix_cache_mb: int = 512,
    ) -> None:
        self.model = on_device(model if isinstance(model, PreTrainedModel) else load_model(model), device)
        self.context_length = context_length(self.model)
        self.vocabulary = vocabulary_size(self.model)
        self.end_ids = end_ids(self.model)
        self.max_batch, self.max_queue, self.threads = max_batch, max_queue, threads
        self._seeds = torch.Generator()
        self._seeds.manual_seed(seed) if seed is not None else self._seeds.seed()
        self._kept_mb = prefix_cache_mb
        self._batch = Batch(self.model, self._kept_mb)
        self._live: dict[int, _Pending] = {}
        self._waiting: deque[_Pending] = deque()
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._paused = self._closed = False
        self._requests = self._prompt_tokens = self._reused = self._generated = self._steps = 0
        self._busy_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="local-engine", daemon=True)
        self._thread.start()

    async def generate(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        request_id: str = "",
        timeout_s: float = 600.0,
    ) -> Generation:
        """Continue ``prompt_ids``.

        ``max_tokens`` is cut to what the context leaves. Cancelling the call frees its row.

        Raises:
            ContextLengthError: the prompt leaves no room in the context.
            UserError: the prompt is empty or holds an id outside the vocabulary; or the sampling parameters are
                impossible.
            OverloadedError: the queue is full.
            DeadlineError: ``timeout_s`` passed.
            InfrastructureError: the engine failed or was closed.
        """
        future = self._submit(self._row(prompt_ids, params))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise DeadlineError(f"the generation took longer than {timeout_s:g} s") from error

    async def stream(
        self, prompt_ids: Sequence[int], params: SamplingParams, *, timeout_s: float = 600.0
    ) -> AsyncIterator[tuple[int, float] | Generation]:
        """Yield every token with its log-probability as it is drawn, then the whole generation.

        Raises as ``generate`` does; closing the iterator frees the row.
        """
        loop = asyncio.get_running_loop()
        tokens: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        row = self._row(prompt_ids, params)
        row.on_token = lambda token, logprob: _tell(loop, tokens, (token, logprob))
        future = self._submit(row)
        future.add_done_callback(lambda _: _tell(loop, tokens, FINISHED))
        # The deadline stands around the wait for a token only: around a yield it would cancel whatever the consumer does.
        until = loop.time() + timeout_s
        try:
            while True:
                async with asyncio.timeout_at(until):
                    item = await tokens.get()
                if item is FINISHED:
                    break
                yield item
            yield future.result()
        except TimeoutError as error:
            raise DeadlineError(f"the generation took longer than {timeout_s:g} s") from error
        finally:
            future.cancel()

    async def load_weights(self, named_tensors: Iterable[tuple[str, torch.Tensor]]) -> int:
        """Replace weights between two steps. Sequences in flight go on under the new ones (their cache is rebuilt).

        Returns:
            How many tensors were copied.

        Raises:
            UserError: a name or shape that the model does not have; nothing is changed then.
        """
        tensors = list(named_tensors)

        def load() -> int:
            count = copy_weights(self.model, tensors)
            for row in reversed(self._batch.evict()):
                self._waiting.appendleft(self._live.pop(id(row)))
            return count

        return int(await self._between_steps(load))

    async def pause(self) -> None:
        """Stop stepping; returns when the worker is idle. Requests keep waiting and are accepted still."""
        self._paused = True
        await self._between_steps(lambda: None)

    async def resume(self) -> None:
        """Go on after ``pause``."""
        with self._changed:
            self._paused = False
            self._changed.notify()

    async def close(self) -> None:
        """Fail what is in flight and end the worker thread. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def ails(self) -> str | None:
        """Why nothing is generated any more, or None: its thread has ended without being told to."""
        return None if self._closed or self._thread.is_alive() else "has ended"

    def stats(self) -> EngineStats:
        """Figures of this moment."""
        return EngineStats(
            running=len(self._live),
            waiting=len(self._waiting),
            requests=self._requests,
            prompt_tokens=self._prompt_tokens,
            reused_tokens=self._reused,
            generated_tokens=self._generated,
            steps=self._steps,
            busy_seconds=self._busy_seconds,
        )

    def _row(self, prompt_ids: Sequence[int], params: SamplingParams) -> Row:
        check_sampling(params)
        prompt = tuple(int(token) for token in prompt_ids)
        if not prompt:
            raise UserError("the prompt is empty", field="prompt", allowed="at least one token")
        if len(prompt) >= self.context_length:
            raise ContextLengthError(
                f"the prompt has {len(prompt)} tokens", field="prompt", allowed=f"at most {self.context_length - 1}"
            )
        if min(prompt) < 0 or max(prompt) >= self.vocabulary:
            last = self.vocabulary - 1
            raise UserError("a token id is outside the vocabulary", field="prompt", allowed=f"0 to {last}")
        limit = min(params.max_tokens, self.context_length - len(prompt))
        stop_ids = tuple(dict.fromkeys((*self.end_ids, *params.stop_token_ids)))
        return Row(prompt, params, limit, stop_ids, self._uniforms(params, limit))

    def _uniforms(self, params: SamplingParams, count: int) -> torch.Tensor:
        if params.temperature == 0:
            return torch.zeros(count)
        with self._changed:
            own = int(torch.randint(2**62, (), generator=self._seeds)) if params.seed is None else params.seed
        return torch.rand(count, generator=torch.Generator().manual_seed(own % 2**63))

    def _submit(self, row: Row) -> Future[Generation]:
        pending = _Pending(row, Future())
        with self._changed:
            if self._closed:
                raise InfrastructureError("the engine is closed")
            if len(self._waiting) >= self.max_queue:
                raise OverloadedError(f"{self.max_queue} requests are waiting already")
            self._waiting.append(pending)
            self._requests += 1
            self._prompt_tokens += len(row.prompt)
            self._changed.notify()
        return pending.future

    async def _between_steps(self, action: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        with self._changed:
            if self._closed:
                raise InfrastructureError("the engine is closed")
            self._commands.append((action, future))
            self._changed.notify()
        return await asyncio.wrap_future(future)

    # ---- below: the worker thread ----

    def _run(self) -> None:
        torch.set_num_threads(self.threads)
        while self._wait_for_work():
            self._run_commands()
            if not self._paused:
                try:
                    self._advance()
                except Exception as error:  # the thread must live on: whatever failed, these requests did
                    _log.exception("a step of the local engine failed")
                    self._fail_live(f"the engine failed: {type(error).__name__}: {error}")
        self._fail_live("the engine was closed")
        for pending in self._waiting:
            _settle(pending.future, InfrastructureError("the engine was closed"))
        for _, future in self._commands:
            _settle(future, InfrastructureError("the engine was closed"))

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._closed and not self._commands and (self._paused or not (self._waiting or self._live)):
                self._changed.wait()
            return not self._closed

    def _run_commands(self) -> None:
        while self._commands:
            action, future = self._commands.popleft()
            try:
                _settle(future, action())
            except Exception as error:  # whoever asked is told, and the thread lives on
                _settle(future, error)

    def _advance(self) -> None:
        """Drop the abandoned, admit the waiting, advance everybody by a token, and hand over what ended."""
        for pending in self._live.values():
            pending.row.aborted = pending.future.cancelled()
        for row in self._batch.drop_aborted():
            self._live.pop(id(row))
        started = time.perf_counter()
        reused = self._batch.reused
        ended = self._batch.admit(self._arrivals())
        self._reused += self._batch.reused - reused
        if len(self._batch):
            ended += self._batch.step()
            self._steps += 1
        self._busy_seconds += time.perf_counter() - started
        for row in ended:
            self._generated += len(row.tokens)
            _settle(self._live.pop(id(row)).future, _generation(row))

    def _arrivals(self) -> list[Row]:
        rows = []
        with self._changed:
            while self._waiting and len(self._live) < self.max_batch:
                pending = self._waiting.popleft()
                if not pending.future.cancelled():
                    self._live[id(pending.row)] = pending
                    rows.append(pending.row)
        return rows

    def _fail_live(self, message: str) -> None:
        self._batch = Batch(self.model, self._kept_mb)
        for pending in self._live.values():
            _settle(pending.future, InfrastructureError(message))
        self._live.clear()


def check_sampling(params: SamplingParams) -> None:
    """Refuse impossible sampling parameters, naming the one at fault."""
    if not 0 <= params.temperature <= 100:
        raise UserError(f"temperature is {params.temperature}", field="temperature", allowed="0 to 100")
    if not 0 < params.top_p <= 1:
        raise UserError(f"top_p is {params.top_p}", field="top_p", allowed="above 0, at most 1")
    if params.top_k < -1:
        raise UserError(f"top_k is {params.top_k}", field="top_k", allowed="-1 or 0 (all), or a positive number")
    if params.max_tokens < 1:
        raise UserError(f"max_tokens is {params.max_tokens}", field="max_tokens", allowed="at least 1")


def _generation(row: Row) -> Generation:
    return Generation(
        token_ids=tuple(row.tokens), logprobs=tuple(row.logprobs), finish_reason=row.finish_reason or "abort"
    )


def _settle(future: Future[Any], outcome: Any) -> None:
    """Give a waiting caller its outcome; one that has gone is passed over."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _tell(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[Any], item: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(queue.put_nowait, item)
