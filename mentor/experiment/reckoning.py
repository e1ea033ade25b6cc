"""What steps would take, reckoned from their specs and the grid file's ``costs``: an estimate, and it says what it assumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mentor.data import read_questions
from mentor.experiment.keys import File, Output
from mentor.experiment.plan import Plan, Run, Step
from mentor.experiment.spec import TEACHER, Costs
from mentor.paper import ROLLOUTS, TOTAL_EPOCHS, TRAIN_BATCH_SIZE
from mentor.trajectory import Frozen

DEFAULTS = {"train_batch_size": TRAIN_BATCH_SIZE, "rollouts": ROLLOUTS, "total_epochs": TOTAL_EPOCHS}
"""The trainer's, where a spec does not say."""
_NO_ROLLOUTS = frozenset({"sft", "dpo"})
"""Algorithms that learn from given texts."""
_MILLION, _HOUR = 1e6, 3600.0
ROWS = ("teacher", "draw", "train", "evaluate", "evaluate teacher")


class Load(Frozen):
    """Sums over jobs. ``steps``: of optimisation; ``tokens``: generated; ``gpu_hours``: None where no speed is known."""

    jobs: int = 0
    steps: int = 0
    trajectories: int = 0
    tokens: float = 0.0
    gpu_hours: float | None = 0.0
    money: float = 0.0

    def __add__(self, other: Load) -> Load:
        unknown = self.gpu_hours is None or other.gpu_hours is None
        return Load(
            jobs=self.jobs + other.jobs,
            steps=self.steps + other.steps,
            trajectories=self.trajectories + other.trajectories,
            tokens=self.tokens + other.tokens,
            gpu_hours=None if unknown else (self.gpu_hours or 0.0) + (other.gpu_hours or 0.0),
            money=self.money + other.money,
        )


class Reckoning:
    """Reckons with the jobs of a plan.

    Args:
        step_seconds: mean seconds of an optimisation step of runs like the one given, None where none was measured.
    """

    def __init__(self, plan: Plan, costs: Costs, step_seconds: Callable[[Run], float | None]) -> None:
        self._plan, self._costs, self._step_seconds = plan, costs, step_seconds
        self._counts: dict[Path, int] = {}

    def loads(self, runs: Iterable[Run]) -> dict[str, Load]:
        """What runs take, by kind of work (``ROWS``); a step that several need counts once."""
        found: dict[str, Load] = {}
        seen: set[str] = set()
        for run in runs:
            for step in self._plan.steps_of(run):
                row = self._row(run, step)
                if row is not None and step.content not in seen:
                    found[row] = found.get(row, Load()) + self._load(row, run, step)
                seen.add(step.content)
        return {row: found[row] for row in ROWS if row in found}

    def _row(self, run: Run, step: Step) -> str | None:
        if step.kind == "evaluate":
            return "evaluate teacher" if run.id.method == TEACHER else "evaluate"
        if step.kind == "teacher":
            return "draw" if step is run.roles.get("draw") else "teacher"
        return "train" if step.kind == "train" else None

    def _load(self, row: str, run: Run, step: Step) -> Load:
        if row == "train":
            return self._training(run, step)
        asked = self._questions(step.spec["questions"])
        asked = min(asked, step.spec.get("max_questions") or asked)
        trajectories = asked * int(step.spec.get("samples", 1))
        tokens = trajectories * self._costs.tokens_per_trajectory
        plain = Load(jobs=1, trajectories=trajectories, tokens=tokens)
        if row in ("teacher", "evaluate teacher"):
            return plain + Load(money=tokens / _MILLION * self._costs.teacher_price_per_million_tokens)
        speed = self._costs.evaluation_tokens_per_second
        return plain + self._gpus(self._costs.gpus_per_evaluation, tokens / speed if speed else None)

    def _training(self, run: Run, step: Step) -> Load:
        spec = {**DEFAULTS, **step.spec}
        questions = self._questions(spec["train_files"][0])
        epoch = math.ceil(questions / spec["train_batch_size"])
        steps = int(spec.get("total_steps") or epoch * spec["total_epochs"])
        sampled = spec.get("algorithm") not in _NO_ROLLOUTS
        trajectories = steps * spec["train_batch_size"] * spec["rollouts"] if sampled else 0
        tokens = trajectories * self._costs.tokens_per_trajectory
        measured = self._costs.seconds_per_step or self._step_seconds(run)
        seconds = None if measured is None else self._costs.seconds_to_start + steps * measured
        made = Load(jobs=1, steps=steps, trajectories=trajectories, tokens=tokens)
        return made + self._gpus(self._costs.gpus_per_training, seconds)

    def _gpus(self, gpus: float, seconds: float | None) -> Load:
        if not gpus:
            return Load()
        if seconds is None:
            return Load(gpu_hours=None)
        hours = gpus * seconds / _HOUR
        return Load(gpu_hours=hours, money=hours * self._costs.price_per_gpu_hour)

    def _questions(self, value: Any) -> int:
        """Questions in what a spec names; what a step is to make has as many as it is made from."""
        if isinstance(value, File):
            if value.path not in self._counts:
                self._counts[value.path] = len(read_questions(value.path))
            return self._counts[value.path]
        if isinstance(value, Output):
            return self._made(self._plan.steps[value.step])
        return 0

    def _made(self, step: Step) -> int:
        if step.kind == "subset":
            return int(step.spec["count"])
        if step.kind == "evaluation_set":
            return sum(self._questions(one["file"]) for one in step.spec["sets"].values())
        asked = self._questions(step.spec["questions"])
        return min(asked, step.spec.get("max_questions") or asked)


def assumptions(costs: Costs, measured: int) -> list[str]:
    """What the figures rest on, a line each; ``measured``: records from which seconds of a step are known."""
    if costs.seconds_per_step:
        pace = f"{costs.seconds_per_step:g} s a step (costs.seconds_per_step)"
    elif measured:
        pace = f"seconds a step as measured in {measured} records, of the same method and student where there are any"
    else:
        pace = "seconds a step unknown: no costs.seconds_per_step and no record yet, so that GPU hours of training are unknown"
    speed = costs.evaluation_tokens_per_second
    defaults = ", ".join(f"{name} {value}" for name, value in DEFAULTS.items())
    return [
        f"a trajectory: {costs.tokens_per_trajectory:g} generated tokens (costs.tokens_per_trajectory)",
        f"a training: {costs.gpus_per_training:g} GPUs (costs.gpus_per_training), {costs.seconds_to_start:g} s to start "
        f"(costs.seconds_to_start), {pace}",
        f"an evaluation, and a student's own trajectories: {costs.gpus_per_evaluation:g} GPUs "
        "(costs.gpus_per_evaluation) at "
        + (f"{speed:g} tokens a second" if speed else "an unknown speed")
        + " (costs.evaluation_tokens_per_second)",
        f"a GPU hour costs {costs.price_per_gpu_hour:g} (costs.price_per_gpu_hour), a million tokens of the teacher "
        f"{costs.teacher_price_per_million_tokens:g} (costs.teacher_price_per_million_tokens); prompts cost nothing",
        f"where a spec does not say: {defaults} (the trainer's defaults)",
        "every question gets a right trajectory of the teacher, so that all are trained on: an upper bound",
        "nothing is drawn twice: no dynamic sampling, no retries, no early stop; what runs share is done once",
    ]
