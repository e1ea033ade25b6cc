"""Runs side by side: lanes take steps from the queue; what is through becomes a record, what failed is written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from mentor.errors import InfrastructureError, MentorError
from mentor.experiment.plan import Plan, Run, Step
from mentor.experiment.records import write_record
from mentor.experiment.running.board import Board
from mentor.experiment.running.jobs import Interrupted, JobFailedError, StepRunner
from mentor.experiment.running.made import record_of
from mentor.experiment.running.queue import Lost, Queue
from mentor.experiment.running.work import Failure, Work
from mentor.experiment.standing import Standing

_LOOK_SECONDS = 0.5


@dataclass
class Outcome:
    """How a session went. ``left``: runs that were not tried; ``stopped``: on request; ``away``: why no more were tried."""

    through: list[Run] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left: int = 0
    stopped: bool = False
    away: str = ""


class Lanes:
    """One session of running.

    Args:
        standing: told of every record; estimates from it how long the rest may take.
        until: ``time.monotonic()`` after which no further run is started.
    """

    def __init__(
        self,
        plan: Plan,
        work: Work,
        runner: StepRunner,
        board: Board,
        stop: threading.Event,
        *,
        standing: Standing,
        lanes: int,
        until: float | None = None,
    ) -> None:
        self._plan, self._work, self._runner, self._board, self._stop = plan, work, runner, board, stop
        self._standing, self._lanes, self._until = standing, lanes, until
        self._running: dict[Future[None], Step] = {}
        self.outcome = Outcome()

    def run(self, queue: Queue) -> Outcome:
        """Work until nothing is left that can be done, or told to stop."""
        with ThreadPoolExecutor(self._lanes, thread_name_prefix="lane") as pool:
            self._keep(queue.through())
            while self._feed(queue, pool) or self._running:
                ended, _ = wait(self._running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in ended:
                    self._ended(queue, self._running.pop(future), future.exception())
        self.outcome.left = len(queue.left)
        self.outcome.stopped = self._stop.is_set()
        return self.outcome

    def _feed(self, queue: Queue, pool: ThreadPoolExecutor) -> bool:
        """Fill free lanes; whether any step was started."""
        if self._until is not None and time.monotonic() >= self._until:
            queue.close()
        started = False
        while len(self._running) < self._lanes and not self._stop.is_set() and not self.outcome.away:
            step = queue.next()
            if step is None:
                break
            self._board.begin(step)
            self._running[pool.submit(self._do, step)] = step
            started = True
        return started

    def _do(self, step: Step) -> None:
        self._runner.do(step, lambda fraction, message: self._board.move(step, fraction, message))

    def _ended(self, queue: Queue, step: Step, error: BaseException | None) -> None:
        self._board.end(step, "done:" if error is None else "stopped:" if isinstance(error, Interrupted) else "failed:")
        if error is None:
            self._keep(queue.finish(step))
        elif isinstance(error, Interrupted):
            return
        elif isinstance(error, Exception):
            self._lose(queue.fail(step, error))
            if isinstance(error, InfrastructureError):  # the next ones would wait for it, too
                self.outcome.away = error.message
        else:
            raise error
        left = self._standing.seconds_left(queue.left, self._lanes)
        self._board.runs(len(self.outcome.through), len(self.outcome.failures), left)

    def _keep(self, runs: Sequence[Run]) -> None:
        for run in runs:
            try:
                record = record_of(run, self._work)
                write_record(record, Path(self._plan.spec.results))
            except (MentorError, OSError, ValueError, KeyError) as error:  # what a job left is not what it should be
                self._lose([Lost(run, run.roles["sampled"], error)])
                continue
            self._work.succeed(run.id)
            self._standing.add(run, record)
            self.outcome.through.append(run)

    def _lose(self, lost: Sequence[Lost]) -> None:
        for one in lost:
            told = str(one.error) if isinstance(one.error, MentorError) else f"{type(one.error).__name__}: {one.error}"
            job = one.error.job if isinstance(one.error, JobFailedError) else None
            failure = Failure(run=one.run.id, step=one.step.label, error=told, job=job)
            self._work.fail(failure)
            self.outcome.failures.append(failure)
