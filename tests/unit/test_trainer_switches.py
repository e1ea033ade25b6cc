"""Switches of the trainer that are no part of the loss: order of samples, dynamic sampling, curricula, reward weights."""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import math
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from verl.trainer.ppo.v1 import replay_buffer as verls

from mentor.data import write_trajectories
from mentor.errors import UserError
from mentor.rewards import Weights, WeightSchedule, load_preset
from mentor.trajectory import Question, Termination, Trajectory
from mentor_trainer.config import make_spec
from mentor_trainer.curriculum import Curriculum, pass_rates
from mentor_trainer.verl_ext import replay
from mentor_trainer.verl_ext.batch import arrange, order_of
from mentor_trainer.verl_ext.distil import distilled
from mentor_trainer.verl_ext.replay import MentorReplayBuffer
from mentor_trainer.verl_ext.rollout_local.replica import device_of
from tests.support.training import spec_values, write_set


def test_samples_come_in_the_order_of_drawing_whatever_ended_first() -> None:
    keys = [f"{group}_{sample}_0" for group in ("q", "a", "m") for sample in range(12)]
    drawn = {"q": 0, "a": 1, "m": 2}
    for seed in range(5):
        shuffled = random.Random(seed).sample(keys, len(keys))
        assert [shuffled[row] for row in order_of(shuffled, drawn)] == keys


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_mini_batches_are_the_same_on_any_number_of_ranks(ranks: int) -> None:
    lengths = [random.Random(n).randint(5, 90) for n in range(48)]
    order = arrange(lengths, 16, ranks)
    share = len(order) // ranks
    for mini in range(3):
        rows = [row for r in range(ranks) for row in order[r * share + mini * 16 // ranks :][: 16 // ranks]]
        assert sorted(rows) == list(range(16 * mini, 16 * mini + 16))


def test_ranks_get_tokens_in_like_numbers() -> None:
    lengths = [100] * 4 + [10] * 12
    order = arrange(lengths, 16, 4)
    assert {sum(lengths[row] for row in order[4 * r : 4 * r + 4]) for r in range(4)} == {130}


def test_rows_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        arrange([1] * 6, 3, 2)


class Queue:
    """TransferQueue as far as the replay buffer asks it, with groups that have ended."""

    def __init__(self, groups: dict[str, list[float | None]]) -> None:
        self.groups = dict(groups)

    def kv_list(self) -> dict[str, Any]:
        done = {g: {"is_prompt": True, "status": "finished", "global_steps": 1} for g in self.groups}
        rows = {f"{g}_{n}_0": {"seq_len": 4} for g, rewards in self.groups.items() for n in range(len(rewards))}
        return {"train": done | rows}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, Any]:
        assert select_fields == ["rm_scores", "extra_fields"]
        values = [self.groups[key.split("_")[0]][int(key.split("_")[1])] for key in keys]
        infos = [{"reward_extra_info": {"excluded": float(value is None)}} for value in values]
        return {"rm_scores": [torch.tensor([0.0, value or 0.0]) for value in values], "extra_fields": infos}

    def kv_clear(self, partition_id: str, keys: list[str]) -> None:
        for key in keys:
            self.groups.pop(key, None)


def sample(
    groups: dict[str, list[float | None]],
    further: list[list[float | None]],
    monkeypatch: pytest.MonkeyPatch,
    **kwargs: Any,
) -> tuple[set[str], int, dict[str, Any]]:
    """Groups of a step of two, how many further questions were drawn, and metrics; ``further`` are theirs, in turn."""
    queue = Queue(groups)
    for module in (verls, replay):
        monkeypatch.setattr(module, "tq", queue)
    drawn = 0

    def refill(count: int) -> None:
        nonlocal drawn
        for _ in range(count):
            queue.groups[f"further{drawn}"] = further[drawn % len(further)]
            drawn += 1

    settings = {"dynamic": True, "train_batch_size": 2, "max_batches": 3, **kwargs}
    buffer = MentorReplayBuffer("mentor", {}, 8, "drop", settings, refill)
    batch, metrics = buffer.sample(global_steps=1, partition_id="train", batch_size=2)
    return {key.split("_")[0] for key in batch.keys}, drawn, metrics


def test_groups_without_signal_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, drawn, metrics = sample({"a": [1.0, 0.0], "b": [1.0, 1.0]}, [[0.3, 0.4]], monkeypatch)
    assert taken == {"a", "further0"} and drawn == 2
    assert metrics["training/filter_groups/evicted_samples"] == 1


def test_without_dynamic_sampling_groups_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, drawn, _ = sample({"a": [1.0, 0.0], "b": [1.0, 1.0]}, [[0.3, 0.4]], monkeypatch, dynamic=False)
    assert taken == {"a", "b"} and drawn == 0


def test_a_student_that_solves_everything_does_not_draw_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, drawn, metrics = sample({"a": [1.0, 1.0], "b": [1.0, 1.0]}, [[1.0, 1.0]], monkeypatch)
    assert len(taken) == 2 and drawn < 12
    assert metrics["training/filter_groups/evicted_samples"] == 4, "two batches beyond the first"


def test_a_lost_sample_is_no_difference_and_an_outage_no_want_of_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, drawn, _ = sample({"a": [None, None], "b": [0.7, 0.7, None]}, [[0.3, 0.4]], monkeypatch)
    assert taken == {"a", "further0"} and drawn == 2


def questions(rates: list[Any]) -> list[Question]:
    return [Question(id=f"q{n}", question="?", metadata={"pass_rate": rate}) for n, rate in enumerate(rates)]


def test_a_curriculum_goes_from_easy_to_hard_and_keeps_the_order_among_equals() -> None:
    done = Curriculum(order="pass_rate").apply(questions([0.2, 0.9, 0.5, 0.9]))
    assert [q.id for q in done] == ["q1", "q3", "q2", "q0"]


def test_questions_outside_the_range_are_left_out() -> None:
    done = Curriculum(range=(0.1, 0.9)).apply(questions([0.0, 0.9, 0.5, 1.0]))
    assert [q.id for q in done] == ["q1", "q2"]
    with pytest.raises(UserError, match="no question's pass rate") as refused:
        Curriculum(range=(0.1, 0.2)).apply(questions([0.0, 1.0]))
    assert refused.value.field == "pass_rate_range" and "0 to 1" in (refused.value.allowed or "")


@pytest.mark.parametrize("rate", [None, "0.5", 1.5, True])
def test_a_question_without_a_rate_is_named(rate: Any) -> None:
    with pytest.raises(UserError, match="q1 has no pass rate"):
        Curriculum(order="pass_rate").apply(questions([0.5, rate]))


def test_rates_are_measured_over_what_infrastructure_left(tmp_path: Path) -> None:
    def tried(correct: bool, termination: Termination = Termination.ANSWERED) -> Trajectory:
        return Trajectory(question_id="q0", question="?", termination=termination, metadata={"correct": correct})

    drawn = [tried(True), tried(False), tried(True), tried(False, Termination.INFRASTRUCTURE)]
    write_trajectories(drawn, tmp_path / "t.jsonl")
    assert pass_rates([str(tmp_path / "t.jsonl")]) == {"q0": pytest.approx(2 / 3)}
    chosen = Curriculum(range=(0.6, 0.7), files=(str(tmp_path / "t.jsonl"),)).apply(questions([0.0]))
    assert [q.id for q in chosen] == ["q0"], "what was measured counts, not what the question says"


def test_weights_go_in_a_straight_line_and_stay() -> None:
    spec = load_preset("flexible").model_copy(
        update={"weights": Weights(correctness=0.2, alignment=0.8, validation=0.1)}
    )
    schedule = WeightSchedule(spec=spec, last=Weights(correctness=1.0, alignment=0.0, validation=0.1), steps=5)
    weights = [schedule.at(step).weights for step in range(1, 8)]
    assert [w.correctness for w in weights] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])
    assert [w.alignment for w in weights] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0, 0.0, 0.0])
    assert {w.validation for w in weights} == {0.1}
    assert schedule.at(3).alignment == "flexible"


def test_the_reward_manager_reads_the_step_that_the_agent_loop_leaves() -> None:
    """The end of the way; the beginning is in the contract test of the agent loop."""
    from omegaconf import OmegaConf

    from mentor_trainer.verl_ext.reward import MentorRewardManager

    section = {
        "reward_weights_end": {"correctness": 1.0, "alignment": 0.0, "validation": 0.0},
        "reward_anneal_steps": 3,
    }
    manager = MentorRewardManager(OmegaConf.create({"mentor": section}), SimpleNamespace())
    assert [manager.schedule.at(n).weights.alignment for n in (1, 2, 3)] == pytest.approx([0.3, 0.15, 0.0])


def test_the_dataset_follows_the_curriculum_for_training_alone(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from mentor.data import write_questions
    from mentor_trainer.verl_ext.dataset import MentorDataset

    for name in ("train", "val"):
        write_questions(questions([0.2, 0.9, 0.0]), tmp_path / f"{name}.jsonl")
    train, val = ([str(tmp_path / f"{name}.jsonl")] for name in ("train", "val"))
    chosen = Curriculum(order="pass_rate", range=(0.1, 1.0)).model_dump()
    config = OmegaConf.create({"train_files": train, "val_files": val, "curriculum": chosen})
    assert [q.id for q in MentorDataset(OmegaConf.create(train), config=config).questions] == ["q1", "q0"]
    assert [q.id for q in MentorDataset(OmegaConf.create(val), config=config).questions] == ["q0", "q1", "q2"]
    assert Counter(q.id for q in MentorDataset(train, config=None).questions) == Counter(["q0", "q1", "q2"])


def test_distillation_adds_the_teachers_opinion_of_every_token_that_the_student_said() -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    advantages = torch.tensor([[0.5, 0.5, 9.0], [-1.0, 0.0, 0.0]])
    student, teacher = torch.log(torch.tensor([[0.5, 0.25, 0.1]])), torch.log(torch.tensor([[0.25, 0.5, 0.9]]))
    both = distilled(advantages, student.expand(2, 3), teacher.expand(2, 3), mask, coef=2.0, alone=False)
    log2 = math.log(2)
    assert torch.allclose(both, torch.tensor([[0.5 - 2 * log2, 0.5 + 2 * log2, 0.0], [-1.0 - 2 * log2, 0.0, 0.0]]))
    alone = distilled(advantages, student.expand(2, 3), teacher.expand(2, 3), mask, coef=1.0, alone=True)
    assert torch.allclose(alone, torch.tensor([[-log2, log2, 0.0], [-log2, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"distil_model": "teacher", "use_kl": True}, "use_kl"),
        ({"distil_alone": True}, "distil_alone"),
        ({"backend": "vllm"}, "backend"),
        ({"device": "cuda", "backend": "local", "tensor_parallel": 2, "n_gpus_per_node": 2}, "tensor_parallel"),
    ],
)
def test_what_distillation_and_backends_ask_for(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    write_set(tmp_path)
    with pytest.raises(UserError) as caught:
        make_spec({**spec_values(tmp_path), **changes})
    assert caught.value.field == field


def test_a_local_replica_on_a_gpu_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    assert device_of(1) == ("cpu", {})
    monkeypatch.delenv("VERL_PLATFORM")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [device_of(rank)[1]["CUDA_VISIBLE_DEVICES"] for rank in (0, 1, 2)] == ["4", "6", "4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert device_of(3)[1]["CUDA_VISIBLE_DEVICES"] == "3"
