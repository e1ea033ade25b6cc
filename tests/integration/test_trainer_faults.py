"""SFT on one rank and on two, and what fails in the middle: a rank, the disk, Redis. In verl: ``make trainer-faults``."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers import AutoModelForCausalLM

from mentor.errors import InfrastructureError, UserError
from mentor.jobs.model import JobState
from mentor.jobs.service import build_manager
from mentor_trainer import checkpoints
from mentor_trainer.config import make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.jobs import TrainJob
from mentor_trainer.launcher import processes_of
from mentor_trainer.run import TrainResult, run_training
from tests.support.full_disk import fill, small_disk
from tests.support.job_stack import job_stack
from tests.support.training import sft_values
from tests.support.waiting import eventually


class Run:
    """What a run reported, and what is done at its steps."""

    def __init__(self, at_step: Callable[[TrainEvent], None] = lambda _: None) -> None:
        self.events: list[TrainEvent] = []
        self._at_step = at_step

    def __call__(self, event: TrainEvent) -> None:
        self.events.append(event)
        self._at_step(event)

    def train(self, values: dict[str, Any], attempt: Path, stop_after: int | None = None) -> TrainResult:
        def should_stop() -> bool:
            return stop_after is not None and len(self.events) >= stop_after

        return run_training(make_spec(values), attempt, self, should_stop=should_stop)


def weights(result: TrainResult) -> dict[str, Any]:
    assert result.model is not None
    return dict(AutoModelForCausalLM.from_pretrained(result.model).state_dict())


def ranks_of(attempt: Path) -> list[psutil.Process]:
    """The processes that train, of a run on several ranks."""
    run = (attempt / "handle").read_text().split(":")[0]
    return [process for process in processes_of(run) if "LOCAL_RANK" in process.environ()]


def test_sft_on_two_ranks_learns_what_one_does_and_stops_and_goes_on_as_one(tmp_path: Path) -> None:
    values = sft_values(tmp_path, lr=1e-3, total_steps=1000)
    both = {**values, "n_gpus_per_node": 2, "output_dir": str(tmp_path / "two")}
    first, second = Run(), Run()
    stopped = first.train(both, tmp_path / "a1", stop_after=1)
    saved = checkpoints.latest(tmp_path / "two" / "checkpoints")
    assert stopped.stopped and saved is not None and saved.step == stopped.step >= 1
    assert len(list((saved.path / "trainer").glob("rng_state_*.pth"))) == 2, "each rank's random numbers"
    last = stopped.step + 2
    two = second.train({**both, "total_steps": last}, tmp_path / "a2")
    steps = [event.step for run in (first, second) for event in run.events]
    assert steps == list(range(1, last + 1)) and two.step == last
    one = Run().train({**values, "total_steps": last}, tmp_path / "one")
    for ours, theirs in zip(weights(one).values(), weights(two).values(), strict=True):
        assert float((ours - theirs).abs().max()) < 1e-4


def test_a_batch_that_two_ranks_cannot_share_is_refused_at_its_field(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        make_spec(sft_values(tmp_path, train_batch_size=5, mini_batch_size=5, n_gpus_per_node=2))
    assert refused.value.field == "train_batch_size" and "n_gpus_per_node" in str(refused.value)


def test_a_rank_that_is_killed_ends_the_run_with_a_line_and_leaves_nothing_alive(tmp_path: Path) -> None:
    def kill(event: TrainEvent) -> None:
        if event.step == 2:
            ranks_of(tmp_path / "a1")[-1].kill()

    run = Run(kill)
    with pytest.raises(InfrastructureError, match="a node or process of the run was lost: ") as lost:
        run.train(sft_values(tmp_path, total_steps=100_000, save_freq=1, n_gpus_per_node=2), tmp_path / "a1")
    assert "\n" not in str(lost.value)
    assert processes_of((tmp_path / "a1" / "handle").read_text().split(":")[0]) == []
    whole = checkpoints.latest(tmp_path / "out" / "checkpoints")
    assert whole is not None and whole.step >= run.events[-1].step - 1, "a step at most was lost"


def test_a_disk_that_is_full_at_a_checkpoint_is_named_and_the_checkpoint_before_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:

        def fill_up(event: TrainEvent) -> None:
            if event.step == 3:
                fill(disk)

        values = sft_values(tmp_path, total_steps=100_000, save_freq=2, output_dir=str(disk / "out"))
        with pytest.raises(UserError, match=r"disk is full|No space left") as full:
            Run(fill_up).train(values, disk / "out" / "attempts" / "0001")
        assert "\n" not in str(full.value)
        whole = checkpoints.latest(disk / "out" / "checkpoints")
        assert whole is not None and whole.step >= 2


def test_redis_that_is_away_while_a_job_trains_costs_it_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    steps = 40
    with job_stack(tmp_path_factory.mktemp("jobs"), lease_s=3) as stack:
        manager = build_manager([TrainJob()], stack.settings)
        stack.worker("trainer", "--handler", "mentor_trainer.jobs:TrainJob")
        job, _ = manager.submit("train", sft_values(tmp_path, total_steps=steps, total_epochs=10))
        eventually(lambda: manager.get(job.id).progress > 0, within=240, what="the first step")
        stack.stop_redis(signal.SIGKILL)
        time.sleep(2 * stack.settings.lease_s)  # an outage that is shorter than a lease proves nothing
        stack.start_redis()
        eventually(lambda: manager.get(job.id).state.final, within=300, what="the job to end")
        ended = manager.get(job.id)
        assert (ended.state, ended.attempt, ended.lapses) == (JobState.SUCCEEDED, 1, 0), ended.error
        told = [e.data["metrics"]["step"] for e in manager.events(job.id, 0, 0) if "step" in e.data.get("metrics", {})]
        assert told == list(range(1, steps + 1)), "every step was reported once, in order"
        assert manager.artifact(job.id, "train.log").bytes > 0
