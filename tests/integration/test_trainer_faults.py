"""SFT and DPO on one rank and on two, and what fails in the middle: a rank, the disk, Redis. verl: ``make trainer-faults``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from transformers import AutoModelForCausalLM

from mentor.errors import InfrastructureError, UserError
from mentor_trainer import checkpoints
from mentor_trainer.config import make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.launcher import processes_of
from mentor_trainer.run import TrainResult, run_training
from tests.support.full_disk import fill, small_disk
from tests.support.job_stack import job_stack
from tests.support.redis_outage import assert_redis_may_leave
from tests.support.training import STUDENT, dpo_values, sft_values


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


def test_dpo_on_two_ranks_learns_what_one_does(tmp_path: Path) -> None:
    values = dpo_values(tmp_path, lr=1e-3, total_steps=3)
    one = Run().train(values, tmp_path / "one")
    two = Run().train({**values, "n_gpus_per_node": 2, "output_dir": str(tmp_path / "two")}, tmp_path / "two")
    begun = AutoModelForCausalLM.from_pretrained(STUDENT).state_dict()
    moved = 0.0
    shared = weights(two)
    for name, ours in weights(one).items():
        assert float((ours - shared[name]).abs().max()) < 1e-4
        moved = max(moved, float((ours - begun[name]).abs().max()))
    assert moved > 1e-3, "or equal weights would say nothing"


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
    values = sft_values(tmp_path, total_steps=40, total_epochs=10)
    with job_stack(tmp_path_factory.mktemp("jobs"), lease_s=3) as stack:
        away_s = 2 * stack.settings.lease_s  # an outage that is shorter than a lease proves nothing
        assert_redis_may_leave(stack, values, away_s, leaves="train.log", within=300)
