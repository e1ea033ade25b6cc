"""Where a grid stands: which runs are done, by which code, which failed, and how long the others may take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from mentor.experiment.keys import run_key
from mentor.experiment.plan import Plan, Run
from mentor.experiment.records import RecordHead, RunId, RunRecord, path_of, read_head
from mentor.experiment.running.work import Failure, Work

State = Literal["done", "stale code", "stale", "failed", "missing"]
"""``stale code``: the record differs from what is asked for in the code's version alone; ``stale``: in its making."""
_OWN = ("draw", "train", "sampled", "greedy")
"""Roles of the steps that a run does not share with most others."""


class Standing:
    """The records of a plan's runs, as far as they are there.

    Args:
        any_code: a record by other code counts as done.
    """

    def __init__(self, plan: Plan, work: Work, *, any_code: bool = False) -> None:
        self.plan = plan
        self._any_code = any_code
        self.heads = _heads(plan)
        self.failures: dict[RunId, Failure] = {
            run.id: found for run in plan.runs if (found := work.failure(run.id)) is not None
        }

    def state(self, run: Run) -> State:
        """Where a run stands."""
        head = self.heads.get(run.id)
        if head is None:
            return "failed" if run.id in self.failures else "missing"
        if head.key == run_key(run.content, [self.plan.code]):
            return "done"
        if head.made_of.get("content") == run.content:
            return "stale code"
        return "failed" if run.id in self.failures else "stale"

    def is_done(self, run: Run) -> bool:
        """Whether there is nothing to do for a run."""
        state = self.state(run)
        return state == "done" or (self._any_code and state == "stale code")

    def left(self) -> list[Run]:
        """Runs that are not done."""
        return [run for run in self.plan.runs if not self.is_done(run)]

    def counts(self) -> dict[State, int]:
        """Runs by state."""
        found: dict[State, int] = dict.fromkeys(("done", "stale code", "stale", "failed", "missing"), 0)
        for run in self.plan.runs:
            found[self.state(run)] += 1
        return found

    @property
    def measured(self) -> int:
        """Records that know how long a training step takes."""
        return sum(head.step_seconds is not None for head in self.heads.values())

    def step_seconds(self, run: Run) -> float | None:
        """Mean seconds of a training step of runs like this one, None where none was measured."""
        return _nearest(_means(self.heads, lambda head: head.step_seconds), run.id)

    def add(self, run: Run, record: RunRecord) -> None:
        """A run is done: estimates take it into account."""
        fields = {name: getattr(record, name) for name in RecordHead.model_fields if name != "step_seconds"}
        self.heads[run.id] = RecordHead(step_seconds=None, **fields)

    def seconds_left(self, runs: Iterable[Run], lanes: int) -> float | None:
        """Seconds that runs may take, from those of the records there are; None without any.

        A run takes as long as the mean of its method and student, else of its method, else of all; its teacher's data are
        taken to be there.
        """
        means = _means(self.heads, _own_seconds)
        if not means:
            return None
        return sum(_nearest(means, run.id) or 0.0 for run in runs) / lanes


def _heads(plan: Plan) -> dict[RunId, RecordHead]:
    folder = Path(plan.spec.results)
    found: dict[RunId, RecordHead] = {}
    for run in plan.runs:
        path = path_of(folder, run.id)
        if path.is_file():
            found[run.id] = read_head(path)
    return found


def _own_seconds(head: RecordHead) -> float:
    return sum(head.seconds.get(role, 0.0) for role in _OWN)


def _means(
    heads: Mapping[RunId, RecordHead], figure: Callable[[RecordHead], float | None]
) -> dict[tuple[str, str], float]:
    """Means of a figure by method and student, by method, and over all."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run, head in heads.items():
        value = figure(head)
        if value is not None:
            for name in _likenesses(run):
                taken[name].append(value)
    return {name: fmean(values) for name, values in taken.items()}


def _nearest(means: Mapping[tuple[str, str], float], run: RunId) -> float | None:
    return next((means[name] for name in _likenesses(run) if name in means), None)


def _likenesses(run: RunId) -> tuple[tuple[str, str], ...]:
    """What runs may have in common with this one, the closest first."""
    return ((run.method, run.student), (run.method, ""), ("", ""))


def cells(plan: Plan) -> dict[tuple[str, str, str], list[Run]]:
    """Runs by method, world and student, the methods in the order of the grid."""
    found: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    order: Sequence[str] = list(dict.fromkeys(run.id.method for run in plan.runs))
    for run in sorted(plan.runs, key=lambda run: order.index(run.id.method)):
        found[run.id.method, run.id.world, run.id.student].append(run)
    return found
