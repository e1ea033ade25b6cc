"""Run one training to its end under supervision, for a job or for the command line.

Layout of ``output_dir``: ``checkpoints/`` (shared by all attempts), ``attempts/N/`` (log, metrics, rollouts of one), and
``model/``, the student in Hugging Face format, once the run is through.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mentor.data import write_text
from mentor.trajectory import Frozen
from mentor_trainer import checkpoints
from mentor_trainer.config import TrainSpec
from mentor_trainer.diagnose import explain
from mentor_trainer.events import MetricsFollower, TrainEvent, write_prometheus
from mentor_trainer.launcher import Command, Launcher, LocalProcess, RayJob
from mentor_trainer.lifecycle.best import Best
from mentor_trainer.lifecycle.card import write_card
from mentor_trainer.lifecycle.keeper import RESULTS, Keeper
from mentor_trainer.methods import METHODS
from mentor_trainer.output import LOG
from mentor_trainer.overrides import RunPaths
from mentor_trainer.preflight import Plan, check_services, check_spec
from mentor_trainer.verl_ext import PLUGIN_MODULE, TEACHER_VARIABLE

_TICK_SECONDS = 0.2
_STOP_SECONDS = 90.0
"""How long a run may take to finish its step and save once asked to stop."""


class TrainResult(Frozen):
    """How a run ended. ``stopped``: on request, before its last step; then ``model`` is None. ``best``: whose weights ``model``
    are, where the best was kept. ``early``: nothing got better, so that it ended before its last step."""

    step: int
    total_steps: int
    model: Path | None
    stopped: bool = False
    seconds: float = 0.0
    best: Best | None = None
    early: bool = False


def run_training(
    spec: TrainSpec,
    attempt_dir: Path,
    on_event: Callable[[TrainEvent], None],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    launcher: Launcher | None = None,
) -> TrainResult:
    """Train, going on from the last whole checkpoint of ``spec.output_dir`` if there is one.

    Args:
        spec: what to do.
        attempt_dir: folder of this attempt alone.
        on_event: called after every step.
        should_stop: asked several times a second; once true, the run saves a checkpoint after its present step.
        launcher: where to run; chosen by the spec where None.

    Raises:
        UserError: the spec cannot work; found before anything is started where possible.
        InfrastructureError: a service is away, or the run was killed: another attempt may go through.
        MentorError: the run failed; the message is its innermost exception and where its log lies.
    """
    started = time.monotonic()
    plan = check_spec(spec)
    check_services(spec)
    attempt_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(spec.output_dir).absolute() / "checkpoints"
    found = checkpoints.latest(folder) if spec.resume else None
    run = _Supervised(spec, plan, attempt_dir.absolute(), on_event)
    if (found is None or found.step < plan.total_steps) and not run.keeper.wants_stop:
        run.supervise(folder, found, should_stop, launcher)
        found = checkpoints.latest(folder)
    through = found is not None and (found.step >= plan.total_steps or run.keeper.wants_stop)
    if found is None or not through:
        step, seconds = found.step if found else 0, time.monotonic() - started
        return TrainResult(step=step, total_steps=plan.total_steps, model=None, stopped=True, seconds=seconds)
    run.keeper.close()
    model = export(spec, found, run.keeper.best, run.last)
    seconds = time.monotonic() - started
    return TrainResult(
        step=found.step, total_steps=plan.total_steps, model=model, seconds=seconds, best=run.keeper.best,
        early=found.step < plan.total_steps,
    )  # fmt: skip


def export(spec: TrainSpec, last: checkpoints.Checkpoint, best: Best | None, metrics: Mapping[str, float]) -> Path:
    """The trained student, the best one where it was kept, with its card.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    model = Path(spec.output_dir) / "model"
    checkpoints.export_model(best.path if best else last.hf_model, model)
    results = Path(spec.output_dir) / RESULTS
    evaluations = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    write_card(spec, model, best.step if best else last.step, metrics, evaluations)
    return model


class _Supervised:
    """One attempt: the process, its metrics, its checkpoints."""

    def __init__(self, spec: TrainSpec, plan: Plan, attempt: Path, on_event: Callable[[TrainEvent], None]) -> None:
        self._spec, self._attempt, self._on_event = spec, attempt, on_event
        self._follower = MetricsFollower(attempt / "metrics.jsonl", plan.total_steps)
        self.keeper = Keeper(spec)
        self.last: dict[str, float] = {}

    def supervise(
        self,
        folder: Path,
        resume: checkpoints.Checkpoint | None,
        should_stop: Callable[[], bool],
        launcher: Launcher | None,
    ) -> None:
        """Run the process to its end."""
        spec, attempt = self._spec, self._attempt
        launcher = launcher or (RayJob(spec.ray_address) if spec.ray_address else LocalProcess())
        paths = RunPaths(checkpoints=folder, attempt=attempt, resume_from=resume.path if resume else None)
        command = build_command(spec, paths)
        handle = launcher.submit(command)
        write_text(attempt / "handle", handle)
        stopping: float | None = None
        try:
            while (code := launcher.poll(handle)) is None:
                self._report()
                if stopping is None and (should_stop() or self.keeper.wants_stop):
                    stopping = time.monotonic()
                    write_text(attempt / "stop", "")
                if stopping is not None and time.monotonic() - stopping > _STOP_SECONDS:
                    return  # the last checkpoint stands
                time.sleep(_TICK_SECONDS)
            self._report()
        finally:
            launcher.stop(handle)
        if code != 0:
            raise explain(command.log, code)

    def _report(self) -> None:
        for event in self._follower.read():
            write_prometheus(event, self._spec.name, self._attempt / "metrics.prom")
            self.last.update(event.metrics)
            self.keeper.see(event)
            self._on_event(event)
        self.keeper.look()


def build_command(spec: TrainSpec, paths: RunPaths) -> Command:
    """The process of a run, as its method wants it. Its environment is set here and nowhere else."""
    paths.attempt.mkdir(parents=True, exist_ok=True)
    environment = {
        "VERL_USE_EXTERNAL_MODULES": PLUGIN_MODULE,
        "VERL_FILE_LOGGER_PATH": str(paths.attempt / "metrics.jsonl"),
        "TENSORBOARD_DIR": str(Path(spec.output_dir).absolute() / "tensorboard"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "HYDRA_FULL_ERROR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    if spec.device == "cpu":
        # Ray's memory monitor counts page cache of other processes against the run and kills it on a shared machine.
        # By default Ray also runs workers at niceness 15, behind everything else on the machine.
        environment |= {
            "VERL_PLATFORM": "cpu",
            "OMP_NUM_THREADS": str(spec.cpu_threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait starve the run's other processes
            "RAY_memory_monitor_refresh_ms": "0",
            "RAY_worker_niceness": "0",
        }
    if spec.device == "cpu" and spec.ray_address is None:
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # ranks of one machine talk on loopback
    if spec.distil_model is not None:
        environment[TEACHER_VARIABLE] = str(Path(spec.distil_model).absolute())
    arguments = METHODS.get(spec.algorithm).command(spec, paths)
    return Command(arguments=arguments, environment=environment, log=paths.attempt / LOG)
