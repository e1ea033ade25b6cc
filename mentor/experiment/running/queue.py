"""Which step is next: pure bookkeeping of a plan's steps, in the order of its runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mentor.experiment.plan import Plan, Run, Step


@dataclass(frozen=True)
class Lost:
    """A run that will not be: the step that failed, and why."""

    run: Run
    step: Step
    error: Exception


class Queue:
    """Steps of runs: waiting, running, done, failed.

    Args:
        runs: those that are wanted, in the order in which they are started.
        done: digests of steps that are done already.
    """

    def __init__(self, plan: Plan, runs: Sequence[Run], done: Collection[str] = ()) -> None:
        self._steps = {run.id: plan.steps_of(run) for run in runs}
        self._open = list(runs)
        self._done = set(done)
        self._running: set[str] = set()
        self._begun: set[str] = set()
        self._closed = False

    @property
    def open(self) -> list[Run]:
        """Runs that are neither through nor lost nor, once no further run is started, left for another time."""
        return [run for run in self._open if self._wanted(run)]

    @property
    def left(self) -> list[Run]:
        """Runs that are neither through nor lost."""
        return list(self._open)

    def next(self) -> Step | None:
        """A step whose needs are done, of the first run that has one; None if there is none now. It counts as running."""
        for run in self.open:
            for step in self._steps[run.id]:
                waiting = step.content not in self._done and step.content not in self._running
                if waiting and all(need in self._done for need in step.needs):
                    self._running.add(step.content)
                    self._begun.add(run.id.label)
                    return step
        return None

    def finish(self, step: Step) -> list[Run]:
        """A step is done; returns the runs that are through by it."""
        self._running.discard(step.content)
        self._done.add(step.content)
        return self.through()

    def through(self) -> list[Run]:
        """Take out the runs of which every step is done."""
        found = [run for run in self._open if all(step.content in self._done for step in self._steps[run.id])]
        self._open = [run for run in self._open if run not in found]
        return found

    def fail(self, step: Step, error: Exception) -> list[Lost]:
        """A step failed; returns the runs that are lost by it."""
        self._running.discard(step.content)
        found = [run for run in self._open if step in self._steps[run.id]]
        self._open = [run for run in self._open if run not in found]
        return [Lost(run, step, error) for run in found]

    def close(self) -> None:
        """Start no further run; those that have begun go on to their end."""
        self._closed = True

    def _wanted(self, run: Run) -> bool:
        return not self._closed or run.id.label in self._begun
