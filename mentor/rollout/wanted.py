"""Which samples are still wanted: all, or of each question until enough are right; while the budget lasts.

Sample numbers of a question are given out once each, lowest first. What the journal holds is never asked for again, so that a
resumed job draws what an undisturbed one would have drawn, and again only what was in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mentor.rollout.budget import BudgetName, Ledger
from mentor.rollout.driver import Task
from mentor.trajectory import Question, Trajectory

Right = Callable[[Trajectory], bool]


@dataclass
class _Asked:
    """How far a question is: numbers not yet given out, right answers, samples queued or in flight."""

    question: Question
    left: deque[int]
    right: int = 0
    open: int = 0


@dataclass
class Wanted:
    """The tasks of a job, in rounds: first samples of all questions first.

    Args:
        samples: at most so many of a question.
        drawn: the journal.
        right: whether a trajectory counts as right.
        until_right: a question with so many right ones is done; None wants every sample.
        stopped_by: the budget that was used up, if one was.
        ended: samples that are drawn, in earlier attempts too; ``satisfied``: questions that want nothing more.
        ledger: when it says so, no more is given out. What is in flight ends; near the end of a budget a task waits until
            those in flight have shown whether there is room for it.
    """

    questions: Sequence[Question]
    samples: int
    drawn: Mapping[tuple[str, int], Trajectory]
    right: Right
    until_right: int | None = None
    ledger: Ledger | None = None
    stopped_by: BudgetName | None = None
    in_flight: int = 0
    ended: int = 0
    satisfied: int = 0
    _by_id: dict[str, _Asked] = field(default_factory=dict)
    _ready: deque[Task] = field(default_factory=deque)
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        for question in self.questions:
            found = [self.drawn.get((question.id, number)) for number in range(self.samples)]
            kept = [t for t in found if t is not None and not t.failed]
            left = deque(n for n, t in enumerate(found) if t is None or t.failed)
            self._by_id[question.id] = _Asked(question, left, right=sum(map(self.right, kept)))
            self.ended += len(kept)
        for _ in range(self.samples):
            for asked in self._by_id.values():
                self._queue(asked)
        self.satisfied = sum(not asked.open for asked in self._by_id.values())

    def _queue(self, asked: _Asked) -> None:
        enough = self.until_right is not None and asked.right + asked.open >= self.until_right
        if asked.left and not enough:
            asked.open += 1
            self._ready.append(Task(question=asked.question, sample=asked.left.popleft()))

    @property
    def done(self) -> bool:
        """Whether nothing is wanted any more, budgets aside."""
        return not self._ready and not self.in_flight

    @property
    def known(self) -> int:
        """Samples that are drawn or known to be wanted; with ``until_right`` it grows."""
        return len(self._ready) + self.in_flight + self.ended

    @property
    def fraction(self) -> float:
        """Done share: of samples, or of questions where it is not known how many samples they take."""
        if self.until_right is None:
            return self.ended / max(1, self.known)
        return self.satisfied / max(1, len(self.questions))

    async def take(self) -> Task | None:
        """The next task; None when there will be none."""
        while True:
            if self.stopped_by is None and self.ledger is not None:
                self.stopped_by = self.ledger.used_up() if self._ready else None
            if self.stopped_by is not None:
                self._wake(len(self._waiting))
                return None
            if self._ready and not self._pressed():
                self.in_flight += 1
                return self._ready.popleft()
            if not self.in_flight or (self.until_right is None and not self._ready):
                self._wake(len(self._waiting))
                return None
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def _pressed(self) -> bool:
        """Whether those in flight may use up the budget."""
        return self.ledger is not None and self.in_flight > 0 and self.ledger.used_up(self.in_flight + 1) is not None

    def settle(self, task: Task, trajectory: Trajectory) -> None:
        """A task has ended, and its trajectory been judged."""
        self.in_flight -= 1
        self.ended += 1
        asked = self._by_id[task.question.id]
        asked.open -= 1
        asked.right += not trajectory.failed and self.right(trajectory)
        if self.until_right is not None:
            self._queue(asked)
        self.satisfied += not asked.open
        if self.ledger is not None:
            self.ledger.add(trajectory)
        self._wake(max(1, len(self._ready)) if self.in_flight else len(self._waiting))

    def _wake(self, number: int) -> None:
        while number > 0 and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                number -= 1
