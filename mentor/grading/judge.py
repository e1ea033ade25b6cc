"""The math judge: answers compared by form where that suffices, else in worker processes that are killed at a deadline.

math-verify bounds itself with signals, which work in the main thread only and cannot stop C code. Here the caller waits
on a socket instead, so a judge works from any thread, and a hostile answer costs one worker, not the service.

There are two lanes. Every answer starts in the quick one. What has not been decided there after a quarter of a second of
processor time is killed and begun again in the slow one, which has fewer workers, of low priority: slow answers wait for
one another there, and quick ones never wait for them.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Sequence
from typing import Literal

from mentor.errors import UserError
from mentor.grading.equivalence import MAX_ANSWER_CHARS, decided
from mentor.grading.workers import Lane, Zygote, cores
from mentor.trajectory import Frozen

WORKERS_VARIABLE = "MENTOR_JUDGE_WORKERS"
"""Environment variable: workers of the quick lane of this process' judge; default: one for each processor, from 2 to 16."""
Method = Literal["math", "symbolic"]

_SLOW_NICENESS = 10


class MathGrade(Frozen):
    """A verdict. ``reason``: ``equal``, ``different``, ``no_answer``, ``unparsed``, ``unparsed_gold``, ``too_long``,
    ``timeout``, ``worker_died``, or ``error: ...``. ``seconds`` is wall time."""

    correct: bool
    reason: str
    seconds: float = 0.0


class MathJudge:
    """Judge workers in two lanes, started on first need, safe to use from any thread.

    Args:
        workers: processes of the quick lane; None: as ``MENTOR_JUDGE_WORKERS`` says, else one for each processor.
        timeout_s: processor seconds a comparison may take before its worker is killed and the answer is wrong (``timeout``).
        quick_s: processor seconds of the quick lane.
        slow_workers: processes of the slow lane; None: half as many as quick ones.
    """

    def __init__(
        self,
        workers: int | None = None,
        timeout_s: float = 5.0,
        *,
        quick_s: float = 0.25,
        slow_workers: int | None = None,
    ) -> None:
        size = workers or default_workers()
        self.timeout_s = timeout_s
        self.quick_s = min(quick_s, timeout_s)
        self._zygote = Zygote()
        self._quick = Lane(self._zygote, size, niceness=0)
        self._slow = Lane(self._zygote, slow_workers or max(1, size // 2), niceness=_SLOW_NICENESS)
        atexit.register(self.close)

    def grade(self, prediction: str | None, gold: str | Sequence[str], method: Method = "math") -> MathGrade:
        """Judge one prediction against one or several accepted answers.

        Raises:
            InfrastructureError: no worker can be started.
        """
        started = time.monotonic()
        golds = [gold] if isinstance(gold, str) else list(gold)
        verdict = self._grade(prediction, golds, method)
        return verdict.model_copy(update={"seconds": time.monotonic() - started})

    def _grade(self, prediction: str | None, golds: list[str], method: Method) -> MathGrade:
        if prediction is None or not prediction.strip():
            return MathGrade(correct=False, reason="no_answer")
        if len(prediction) > MAX_ANSWER_CHARS:
            return MathGrade(correct=False, reason="too_long")
        verdicts = [decided(prediction, gold) if method == "math" else None for gold in golds]
        if any(verdicts):
            return MathGrade(correct=True, reason="equal")
        verdict = MathGrade(correct=False, reason="different")
        for gold in (gold for gold, known in zip(golds, verdicts, strict=True) if known is None):
            verdict = self._ask(prediction, gold, method)
            if verdict.correct or verdict.reason == "timeout":
                break  # an answer gets its time once, however many answers would be accepted
        return verdict

    def _ask(self, prediction: str, gold: str, method: Method) -> MathGrade:
        for lane, cpu_s in ((self._quick, self.quick_s), (self._slow, self.timeout_s)):
            answer = lane.ask(method, prediction, gold, cpu_s)
            if answer != "timeout":
                break
        return MathGrade(correct=False, reason=answer) if isinstance(answer, str) else MathGrade.model_validate(answer)

    def close(self) -> None:
        """Kill every worker; the judge may be used again afterwards."""
        self._zygote.close()


def default_workers() -> int:
    """Workers of the quick lane where nobody says how many.

    Raises:
        UserError: ``MENTOR_JUDGE_WORKERS`` is no number from 1 to 256.
    """
    said = os.environ.get(WORKERS_VARIABLE)
    if said is None:
        return min(16, max(2, cores()))
    if not said.isdigit() or not 1 <= int(said) <= 256:
        raise UserError(f"{WORKERS_VARIABLE} is {said!r}", field=WORKERS_VARIABLE, allowed="1 to 256")
    return int(said)
