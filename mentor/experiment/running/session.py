"""A session: what of a grid is not done yet, done."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

from pydantic import Field
from rich.console import Console

from mentor.experiment.plan import make_plan
from mentor.experiment.running.board import Board
from mentor.experiment.running.jobs import StepRunner
from mentor.experiment.running.lanes import Lanes, Outcome
from mentor.experiment.running.queue import Queue
from mentor.experiment.running.work import Work
from mentor.experiment.spec import ExperimentSpec
from mentor.experiment.standing import Standing
from mentor.trajectory import Frozen


class RunOptions(Frozen):
    """How to run. ``only``: see ``make_plan``. ``resume``: keep what is done. ``minutes``: after which no run is started."""

    only: tuple[str, ...] = ()
    resume: bool = True
    any_code: bool = False
    lanes: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    work: Path | None = None


def work_folder(spec: ExperimentSpec, given: Path | None) -> Path:
    """Where an experiment's steps are kept: where it is said, else ``.mentor/experiments/NAME``."""
    return (given or Path(".mentor", "experiments", spec.name)).resolve()


def run_experiment(spec: ExperimentSpec, options: RunOptions, console: Console, stop: threading.Event) -> Outcome:
    """Run what is not done; every run that gets through leaves its record in ``spec.results``.

    A killed session loses nothing but time: jobs go on in the services and are found again by the next one. Setting
    ``stop`` cancels running jobs, which the next one resumes.

    Raises:
        UserError: the grid cannot be expanded, or the work folder cannot be written.
    """
    plan = make_plan(spec, options.only)
    work = Work(work_folder(spec, options.work), plan.code, any_code=options.any_code)
    standing = Standing(plan, work, any_code=options.any_code)
    runs = standing.left() if options.resume else list(plan.runs)
    wanted = {step.content: step for run in runs for step in plan.steps_of(run)}
    if not options.resume:
        for content in wanted:
            work.forget(content)
    done = {content for content in wanted if work.find(content) is not None}
    console.print(
        f"{spec.name}: {len(plan.runs)} runs, {len(runs)} to do in {len(wanted) - len(done)} steps, "
        f"{len(done)} of their steps are there already",
        highlight=False,
    )
    lanes = options.lanes or spec.lanes
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    nonce = "" if options.resume else uuid.uuid4().hex
    runner = StepRunner(spec.services, work, stop, nonce)
    with Board(console, len(runs)) as board:
        pool = Lanes(plan, work, runner, board, stop, standing=standing, lanes=lanes, until=until)
        return pool.run(Queue(plan, runs, done))
