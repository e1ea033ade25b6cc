"""The math judge: math-verify in worker processes that are killed at a deadline and restarted.

math-verify bounds itself with signals, which work in the main thread only and cannot stop C code. Here the caller waits
on a pipe instead, so a judge works from any thread, and a hostile answer costs one worker, not the service.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import queue
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Lock

from mentor.errors import InfrastructureError
from mentor.grading.equivalence import decided
from mentor.trajectory import Frozen

MAX_ANSWER_CHARS = 4000
_START_SECONDS = 120.0


class MathGrade(Frozen):
    """A verdict. ``reason``: ``equal``, ``different``, ``no_answer``, ``unparsed``, ``unparsed_gold``, ``too_long``,
    ``timeout``, ``worker_died``, or ``error: ...``. ``seconds`` is wall time."""

    correct: bool
    reason: str
    seconds: float = 0.0


class _Worker:
    """One child process; used by one thread at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "mentor.grading.worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        if self._read(_START_SECONDS) is None:
            self.kill()
            raise InfrastructureError("the math judge's worker did not start: is math-verify installed?")

    def ask(self, prediction: str, gold: str, timeout_s: float) -> dict[str, object] | None:
        """The verdict, or None if the deadline passed or the worker died; it must be killed then."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"prediction": prediction, "gold": gold}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read(timeout_s)

    def _read(self, timeout_s: float) -> dict[str, object] | None:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], timeout_s)[0]:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that it never read is still in the buffer
                    pipe.close()


class MathJudge:
    """A pool of judge workers, started on first need, safe to use from any thread.

    Args:
        workers: most processes at once; further callers wait for one.
        timeout_s: seconds a comparison may take before its worker is killed and the answer is wrong (``timeout``).
    """

    def __init__(self, workers: int = 2, timeout_s: float = 5.0) -> None:
        self.timeout_s = timeout_s
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._slots.put(None)
        self._alive: set[_Worker] = set()
        self._lock = Lock()
        atexit.register(self.close)

    def grade(self, prediction: str | None, gold: str | Sequence[str]) -> MathGrade:
        """Judge one prediction against one or several accepted answers.

        Raises:
            InfrastructureError: no worker can be started.
        """
        started = time.monotonic()
        golds = [gold] if isinstance(gold, str) else list(gold)
        verdict = self._grade(prediction, golds)
        return verdict.model_copy(update={"seconds": time.monotonic() - started})

    def _grade(self, prediction: str | None, golds: list[str]) -> MathGrade:
        if prediction is None or not prediction.strip():
            return MathGrade(correct=False, reason="no_answer")
        if len(prediction) > MAX_ANSWER_CHARS:
            return MathGrade(correct=False, reason="too_long")
        verdicts = [decided(prediction, gold) for gold in golds]
        if any(verdicts):
            return MathGrade(correct=True, reason="equal")
        verdict = MathGrade(correct=False, reason="different")
        for gold in (gold for gold, known in zip(golds, verdicts, strict=True) if known is None):
            verdict = self._ask(prediction, gold)
            if verdict.correct:
                break
        return verdict

    def _ask(self, prediction: str, gold: str) -> MathGrade:
        verdict = self._ask_once(prediction, gold)
        # A worker may have been killed from outside: only an answer that kills a second one is to blame.
        return self._ask_once(prediction, gold) if verdict.reason == "worker_died" else verdict

    def _ask_once(self, prediction: str, gold: str) -> MathGrade:
        worker = self._slots.get()
        try:
            worker = worker or self._start()
            answer = worker.ask(prediction, gold, self.timeout_s)
            if answer is not None:
                return MathGrade.model_validate(answer)
            reason = "timeout" if worker.process.poll() is None else "worker_died"
            self._retire(worker)
            worker = None
            return MathGrade(correct=False, reason=reason)
        finally:
            self._slots.put(worker)

    def _start(self) -> _Worker:
        worker = _Worker()
        with self._lock:
            self._alive.add(worker)
        return worker

    def _retire(self, worker: _Worker) -> None:
        with self._lock:
            self._alive.discard(worker)
        worker.kill()

    def close(self) -> None:
        """Kill every worker; the judge may be used again afterwards."""
        with self._lock:
            workers, self._alive = list(self._alive), set()
        for worker in workers:
            worker.kill()
