"""The supervisor's parts: checkpoints, metrics, diagnosis, local processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mentor.errors import InfrastructureError, MentorError, UserError
from mentor_trainer import checkpoints
from mentor_trainer.diagnose import explain
from mentor_trainer.events import MetricsFollower, event_of, write_prometheus
from mentor_trainer.launcher import Command, LocalProcess, RayJob, processes_of, ray_folder, sweep
from mentor_trainer.train import next_attempt
from mentor_trainer.verl_ext.metrics import rollout_metrics
from tests.support.waiting import eventually


def make_checkpoint(folder: Path, step: int, *, whole: bool = True) -> Path:
    target = folder / f"global_step_{step}"
    hf = target / "actor" / "huggingface"
    hf.mkdir(parents=True)
    (hf / "config.json").write_text("{}")
    (hf / "model.safetensors").write_bytes(b"w" * 100)
    if whole:
        checkpoints.commit(target, step)
    return target


def test_the_latest_checkpoint_is_the_last_whole_one(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 9)
    make_checkpoint(tmp_path, 10)
    make_checkpoint(tmp_path, 11, whole=False)
    found = checkpoints.latest(tmp_path)
    assert found is not None and found.step == 10


def test_a_checkpoint_with_a_file_cut_short_is_not_whole(tmp_path: Path) -> None:
    target = make_checkpoint(tmp_path, 1)
    (target / "actor" / "huggingface" / "model.safetensors").write_bytes(b"w")
    assert checkpoints.latest(tmp_path) is None


def test_without_checkpoints_there_is_no_latest(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path / "nowhere") is None


def test_an_export_replaces_an_older_model_whole(tmp_path: Path) -> None:
    old = tmp_path / "model"
    old.mkdir()
    (old / "stale.bin").write_bytes(b"x")
    found = checkpoints.read(make_checkpoint(tmp_path, 2))
    assert found is not None
    checkpoints.export_model(found.hf_model, old)
    assert sorted(p.name for p in old.iterdir()) == ["config.json", "model.safetensors"]
    assert not list(tmp_path.glob(".model*"))


def test_pruning_keeps_the_latest(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        make_checkpoint(tmp_path, step)
    checkpoints.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["global_step_10", "global_step_9"]


def test_attempts_are_numbered_on(tmp_path: Path) -> None:
    assert next_attempt(tmp_path).name == "0001"
    (tmp_path / "attempts" / "0009").mkdir(parents=True)
    assert next_attempt(tmp_path).name == "0010"


def line(step: int, **data: float) -> str:
    return json.dumps({"step": step, "data": {"training/global_step": step, **data}}) + "\n"


def test_the_follower_reads_whole_lines_only_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path, 10)
    assert list(follower.read()) == []
    whole, second = line(1, **{"mentor/reward": 0.5}), line(2, **{"mentor/reward": 0.75})
    path.write_text(whole + second[:20])
    assert [(e.step, e.metrics["reward"]) for e in follower.read()] == [(1, 0.5)]
    path.write_text(whole + second)
    assert [(e.step, e.metrics["reward"]) for e in follower.read()] == [(2, 0.75)]


def test_validation_before_the_first_step_is_no_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 0, "data": {"val-core/x/acc/mean@1": 0.1}}) + "\n")
    assert list(MetricsFollower(path, 10).read()) == []


def test_an_event_tells_how_far_the_run_is() -> None:
    event = event_of(5, {"mentor/reward": 0.5, "actor/grad_norm": float("nan"), "timing_s/gen": 2.0}, 20)
    assert event.fraction == 0.25 and event.message == "step 5/20: reward 0.500"
    assert "grad_norm" not in event.metrics and event.phases == {"gen": 2.0}


def test_prometheus_gets_the_step_and_the_components(tmp_path: Path) -> None:
    event = event_of(5, {"mentor/reward": 0.5, "mentor/alignment": 0.25, "timing_s/gen": 2.0}, 20)
    write_prometheus(event, "run-a", tmp_path / "m.prom")
    text = (tmp_path / "m.prom").read_text()
    assert 'mentor_training_step{run="run-a"} 5.0' in text
    assert 'mentor_training_reward_component{component="alignment",run="run-a"} 0.25' in text
    assert 'mentor_training_phase_seconds{phase="gen",run="run-a"} 2.0' in text


def info(total: float, **fields: float) -> dict[str, float]:
    base = {"excluded": 0.0, "total": total, "correctness": total, "alignment": 0.0, "validation": 1.0}
    return {**base, "calls": 2.0, "invalid_calls": 1.0, "used_tool": 1.0, "answered": 1.0, "turns": 2.0, **fields}


def test_samples_lost_to_infrastructure_enter_no_mean() -> None:
    metrics = rollout_metrics([info(1.0), info(0.0), {"excluded": 1.0}])
    assert metrics["mentor/reward"] == 0.5 and metrics["mentor/samples"] == 3
    assert metrics["mentor/infrastructure_failures"] == 1
    assert metrics["mentor/invalid_rate"] == 0.5 and metrics["mentor/calls_per_question"] == 2


def test_a_step_without_survivors_has_no_reward() -> None:
    assert "mentor/reward" not in rollout_metrics([{"excluded": 1.0}])


LOST = "(TaskRunner pid=7) mentor.errors.InfrastructureError: step 3: 64 of 64 rollouts were lost to infrastructure: sandbox"
CHAINED = """Traceback (most recent call last):
ValueError: bad thing
ray.exceptions.RayTaskError(ValueError): ray::TaskRunner.run()
"""


DEAD = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."
GONE = (
    "mentor.errors.InfrastructureError: a process of the run was lost: The actor died unexpectedly. Its node is dead."
)
KILLED_RANK = "E1130 api.py:1002] failed (exitcode: -9) local_rank: 1 (pid: 7) of binary: python\nChildFailedError: "
STILLBORN = """ray.exceptions.ActorDiedError: The actor died because of an error raised in its creation task
ValueError: bad thing
"""


@pytest.mark.parametrize(
    ("log", "code", "kind", "message"),
    [
        (LOST, 1, InfrastructureError, "step 3: 64 of 64 rollouts were lost to infrastructure: sandbox"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, UserError, "out of memory"),
        ("OSError: [Errno 28] No space left on device", 1, UserError, "the disk is full"),
        ("", -signal.SIGKILL, InfrastructureError, "was killed"),
        (KILLED_RANK, 1, InfrastructureError, "a node or process of the run was lost"),
        ("Exception: The current node timed out during startup.", 1, InfrastructureError, "Ray did not start in time"),
        (
            DEAD,
            1,
            InfrastructureError,
            "a node or process of the run was lost: ray.exceptions.ActorDiedError: The actor died",
        ),
        (GONE, 1, InfrastructureError, "a process of the run was lost: The actor died"),
        (STILLBORN, 1, MentorError, "ValueError: bad thing"),
        (CHAINED, 1, MentorError, "ValueError: bad thing"),
        ("nothing to see", 7, MentorError, "exit code 7"),
    ],
)
def test_a_failed_run_is_explained_in_one_line(
    tmp_path: Path, log: str, code: int, kind: type[MentorError], message: str
) -> None:
    (tmp_path / "train.log").write_text(log + "\n")
    error = explain(tmp_path / "train.log", code)
    assert type(error) is kind
    assert message in str(error) and "\n" not in str(error)


def command(tmp_path: Path, code: str) -> Command:
    return Command(arguments=(sys.executable, "-c", code), environment={"A": "b"}, log=tmp_path / "log")


DAEMON = (  # a grandchild in a session of its own that outlives its parent, as Ray's daemons do
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    time.sleep(600) if os.fork() == 0 else os._exit(0)\n"
    "print(os.environ['A'], flush=True)\n"
    "time.sleep(600)\n"
)


def test_stopping_a_local_process_leaves_nothing_alive(tmp_path: Path) -> None:
    launcher = LocalProcess()
    handle = launcher.submit(command(tmp_path, DAEMON))
    run = handle.split(":")[0]
    ray_folder(run).mkdir()
    eventually(lambda: len(processes_of(run)) >= 2, what="the daemon")
    assert launcher.poll(handle) is None and (tmp_path / "log").read_text() == "b\n"
    launcher.stop(handle)
    assert processes_of(run) == [] and launcher.poll(handle) is not None
    assert not ray_folder(run).exists()


def test_folders_of_dead_runs_are_swept_and_those_of_living_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    launcher = LocalProcess()
    handle = launcher.submit(command(tmp_path, "import time; time.sleep(600)"))
    living, dead, young = ray_folder(handle.split(":")[0]), ray_folder("dead"), ray_folder("young")
    for folder in (living, dead, young):
        folder.mkdir()
    for folder in (living, dead):
        os.utime(folder, (0, 0))
    sweep()
    assert living.exists() and young.exists() and not dead.exists()
    launcher.stop(handle)


def test_a_local_process_gives_its_exit_code(tmp_path: Path) -> None:
    launcher = LocalProcess()
    handle = launcher.submit(command(tmp_path, "raise SystemExit(5)"))
    assert eventually(lambda: launcher.poll(handle)) == 5


def test_another_launcher_can_take_up_a_handle(tmp_path: Path) -> None:
    first, second = LocalProcess(), LocalProcess()
    handle = first.submit(command(tmp_path, "import time; time.sleep(600)"))
    assert second.reattach(handle) and second.poll(handle) is None
    second.stop(handle)
    assert not second.reattach(handle) and second.poll(handle) == 1


def test_a_process_of_the_same_number_is_not_taken_for_the_run() -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        assert not LocalProcess().reattach(f"abcdef:{other.pid}")
        LocalProcess().stop(f"abcdef:{other.pid}")
        assert psutil.pid_exists(other.pid) and other.poll() is None
    finally:
        other.kill()
        other.wait()


class FakeRay:
    """The part of ``JobSubmissionClient`` that the launcher uses; the contract test holds it to the real one."""

    def __init__(self) -> None:
        self.status = "PENDING"
        self.submitted: dict[str, object] = {}

    def submit_job(self, **fields: object) -> str:
        self.submitted = fields
        return str(fields["submission_id"])

    def get_job_status(self, job: str) -> object:
        return type("Status", (), {"value": self.status})()

    def stop_job(self, job: str) -> bool:
        self.status = "STOPPED"
        return True

    def get_job_logs(self, job: str) -> str:
        return "what it said"


def test_a_ray_job_is_submitted_watched_and_stopped(tmp_path: Path) -> None:
    ray = FakeRay()
    launcher = RayJob("http://head:8265", client=ray)
    local = {"X": "1", "PYTHONPATH": "/only/here"}
    given = Command(arguments=("/only/here/python", "-c", "a b"), environment=local, log=tmp_path / "a" / "log")
    handle = launcher.submit(given)
    assert ray.submitted["entrypoint"] == "python -c 'a b'" and ray.submitted["submission_id"] == handle
    assert ray.submitted["runtime_env"] == {"env_vars": {"X": "1"}}
    assert launcher.poll(handle) is None and launcher.reattach(handle)
    launcher.stop(handle)
    assert launcher.poll(handle) == 1 and given.log.read_text() == "what it said"
    ray.status = "SUCCEEDED"
    assert launcher.poll(handle) == 0


def test_a_job_server_that_takes_no_job_yet_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that has just started answers so."""
    monkeypatch.setattr("mentor_trainer.launcher.time.sleep", lambda _: None)
    ray, refusals = FakeRay(), [RuntimeError("No available agent to submit job"), ConnectionError("refused")]
    take = ray.submit_job

    def submit(**fields: object) -> str:
        if refusals:
            raise refusals.pop()
        return take(**fields)

    monkeypatch.setattr(ray, "submit_job", submit)
    launcher = RayJob("http://head:8265", client=ray)
    handle = launcher.submit(Command(arguments=("python", "-c", ""), environment={}, log=tmp_path / "log"))
    assert ray.submitted["submission_id"] == handle


def test_a_job_server_that_is_gone_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(job: str) -> object:
        raise ConnectionError("refused")

    ray = FakeRay()
    monkeypatch.setattr(ray, "get_job_status", gone)
    with pytest.raises(InfrastructureError, match=r"http://head:8265 did not get_job_status: refused"):
        RayJob("http://head:8265", client=ray).poll("mentor-1")


def test_the_mark_of_a_run_is_not_on_this_process() -> None:
    assert "MENTOR_TRAIN_RUN" not in os.environ
