"""Draw many trajectories through a journal: what is finished is on disk, and a later attempt goes on from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mentor.data import iter_trajectories
from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout.driver import Finish, Sampler, Schedule, Task, ToolsetFactory, run_many
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import rollout
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory


class Journal:
    """Trajectories as JSON lines, appended one by one; the last word on a (question, sample) counts.

    A line that a killed writer left unfinished is cut off at opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[tuple[str, int], Trajectory] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._cut_unfinished_line()
            for trajectory in iter_trajectories(path):
                self.done[trajectory.question_id, trajectory.sample] = trajectory
        self._file = path.open("a", encoding="utf-8")

    def _cut_unfinished_line(self) -> None:
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            os.truncate(self.path, content.rfind(b"\n") + 1)

    def add(self, trajectory: Trajectory) -> None:
        """Append and hand to the operating system. Raises ``OSError`` on a full disk."""
        self._file.write(trajectory.model_dump_json(exclude_defaults=True) + "\n")
        self._file.flush()
        self.done[trajectory.question_id, trajectory.sample] = trajectory

    def close(self) -> None:
        """Make it durable."""
        os.fsync(self._file.fileno())
        self._file.close()


class OutageBudget:
    """How many trajectories may be lost to infrastructure before going on would only pretend to work."""

    def __init__(self, tasks: int, share: float) -> None:
        self.allowed = int(tasks * share)
        self.lost = 0

    def spend(self, trajectory: Trajectory) -> None:
        """Count a lost trajectory.

        Raises:
            InfrastructureError: that was one too many.
        """
        self.lost += 1
        if self.lost > self.allowed:
            raise InfrastructureError(f"{self.lost} trajectories lost to infrastructure; the last: {trajectory.error}")


async def draw(
    tasks: Sequence[Task],
    journal: Journal,
    policy: Policy,
    toolset_for: ToolsetFactory,
    limits: RolloutLimits,
    sampling: SamplingParams,
    *,
    schedule: Schedule,
    max_infrastructure_share: float,
    finish: Finish,
    on_done: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    sampler: Sampler = rollout,
) -> bool:
    """Draw what the journal does not hold yet.

    Args:
        finish: completes a trajectory before it is written (judges it).
        on_done: told the number done and the number of tasks after each.

    Returns:
        True when all are done, False if ``should_stop`` cut it short.

    Raises:
        InfrastructureError: more trajectories were lost to outages than ``max_infrastructure_share`` of the tasks.
    """
    missing = [t for t in tasks if not _kept(journal.done.get((t.question.id, t.sample)))]
    done = len(tasks) - len(missing)
    budget = OutageBudget(len(tasks), max_infrastructure_share)
    on_done(done, len(tasks))
    stream = run_many(missing, policy, toolset_for, limits, sampling, schedule, finish=finish, sampler=sampler)
    try:
        async for _, trajectory in stream:
            journal.add(trajectory)
            if trajectory.failed:
                budget.spend(trajectory)
            done += 1
            on_done(done, len(tasks))
            if should_stop():
                return False
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
    return True


def _kept(trajectory: Trajectory | None) -> bool:
    return trajectory is not None and not trajectory.failed


def tasks_for(questions: Iterable[Question], samples: int) -> list[Task]:
    """Every sample of every question, first samples first."""
    pool = list(questions)
    return [Task(question=question, sample=sample) for sample in range(samples) for question in pool]
