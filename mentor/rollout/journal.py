"""Draw many trajectories through a journal: what is finished is on disk, and a later attempt goes on from there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mentor.data import iter_trajectories
from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout.driver import Finish, Sampler, Schedule, ToolsetFactory, run_many
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import rollout
from mentor.rollout.policy import Policy
from mentor.rollout.wanted import Wanted
from mentor.trajectory import Trajectory


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

    def __init__(self, share: float) -> None:
        self.share = share
        self.lost = 0

    def spend(self, trajectory: Trajectory, of: int) -> None:
        """Count a lost trajectory, of so many that are known to be wanted.

        Raises:
            InfrastructureError: that was one too many.
        """
        self.lost += 1
        if self.lost > int(of * self.share):
            raise InfrastructureError(f"{self.lost} trajectories lost to infrastructure; the last: {trajectory.error}")


async def draw(
    wanted: Wanted,
    journal: Journal,
    policy: Policy,
    toolset_for: ToolsetFactory,
    limits: RolloutLimits,
    sampling: SamplingParams,
    *,
    schedule: Schedule,
    max_infrastructure_share: float,
    finish: Finish,
    on_done: Callable[[], None],
    should_stop: Callable[[], bool],
    sampler: Sampler = rollout,
) -> bool:
    """Draw what is wanted into the journal.

    Args:
        finish: completes a trajectory before it is written (judges it).
        on_done: told after each that has been written, and once before the first.

    Returns:
        True when all are done or a budget is used up, False if ``should_stop`` cut it short.

    Raises:
        InfrastructureError: more trajectories were lost to outages than ``max_infrastructure_share`` of those wanted.
    """
    budget, known = OutageBudget(max_infrastructure_share), wanted.known
    on_done()
    stream = run_many(wanted, policy, toolset_for, limits, sampling, schedule, finish=finish, sampler=sampler)
    try:
        async for _, trajectory in stream:
            journal.add(trajectory)
            if trajectory.failed:
                budget.spend(trajectory, known)
            on_done()
            if should_stop():
                return False
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
    return True
