"""Run one training to its end under supervision, for a job or for the command line.

Layout of ``output_dir``: ``checkpoints/`` (shared by all attempts), ``attempts/N/`` (log, metrics, rollouts of one), and
``model/``, the student in Hugging Face format, once the run is through.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mentor.data import write_text
from mentor.trajectory import Frozen
from mentor_trainer import checkpoints
from mentor_trainer.config import TrainSpec
from mentor_trainer.diagnose import explain
from mentor_trainer.events import MetricsFollower, TrainEvent, write_prometheus
from mentor_trainer.launcher import Command, Launcher, LocalProcess, RayJob
from mentor_trainer.methods import METHODS
from mentor_trainer.overrides import RunPaths
from mentor_trainer.preflight import Plan, check_services, check_spec
from mentor_trainer.verl_ext import PLUGIN_MODULE

_TICK_SECONDS = 0.2
_STOP_SECONDS = 90.0
"""How long a run may take to finish its step and save once asked to stop."""


class TrainResult(Frozen):
    """How a run ended. ``stopped``: on request, before its last step; then ``model`` is None."""

    step: int
    total_steps: int
    model: Path | None
    stopped: bool = False
    seconds: float = 0.0


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
    if found is None or found.step < plan.total_steps:
        _supervise(spec, plan, attempt_dir.absolute(), folder, found, on_event, should_stop, launcher)
        found = checkpoints.latest(folder)
    seconds = time.monotonic() - started
    if found is None or found.step < plan.total_steps:
        return TrainResult(
            step=found.step if found else 0, total_steps=plan.total_steps, model=None, stopped=True, seconds=seconds
        )
    model = Path(spec.output_dir) / "model"
    checkpoints.export_model(found, model)
    return TrainResult(step=found.step, total_steps=plan.total_steps, model=model, seconds=seconds)


def _supervise(
    spec: TrainSpec,
    plan: Plan,
    attempt: Path,
    folder: Path,
    resume: checkpoints.Checkpoint | None,
    on_event: Callable[[TrainEvent], None],
    should_stop: Callable[[], bool],
    launcher: Launcher | None,
) -> None:
    launcher = launcher or (RayJob(spec.ray_address) if spec.ray_address else LocalProcess())
    paths = RunPaths(checkpoints=folder, attempt=attempt, resume_from=resume.path if resume else None)
    command = build_command(spec, paths)
    follower = MetricsFollower(attempt / "metrics.jsonl", plan.total_steps)
    handle = launcher.submit(command)
    write_text(attempt / "handle", handle)
    stopping: float | None = None
    try:
        while (code := launcher.poll(handle)) is None:
            _report(follower, spec.name, attempt, on_event)
            if stopping is None and should_stop():
                stopping = time.monotonic()
                write_text(attempt / "stop", "")
            if stopping is not None and time.monotonic() - stopping > _STOP_SECONDS:
                return  # the last checkpoint stands
            time.sleep(_TICK_SECONDS)
        _report(follower, spec.name, attempt, on_event)
    finally:
        launcher.stop(handle)
    if code != 0:
        raise explain(command.log, code)


def _report(follower: MetricsFollower, run: str, attempt: Path, on_event: Callable[[TrainEvent], None]) -> None:
    for event in follower.read():
        write_prometheus(event, run, attempt / "metrics.prom")
        on_event(event)


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
    arguments = METHODS.get(spec.algorithm).command(spec, paths)
    return Command(arguments=arguments, environment=environment, log=paths.attempt / "train.log")
