"""Whole runs of the trainer on the tiny student, with a real sandbox process: stop, go on, finish; SFT; the command line.

The two GRPO runs start verl for real (about half a minute each on an idle machine).
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer

from mentor.chat import load_format
from mentor.data import write_questions
from mentor.errors import InfrastructureError, UserError
from mentor.inference import SamplingParams
from mentor.rollout.connect import ModelSource, ToolBackends
from mentor.rollout.solve import CORRECT, solve
from mentor.rollout.spec import SolveSpec
from mentor.trajectory import Trajectory
from mentor_trainer import checkpoints
from mentor_trainer.config import make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.hf import __main__ as hf
from mentor_trainer.hf import dpo, sft
from mentor_trainer.launcher import processes_of
from mentor_trainer.run import TrainResult, run_training
from mentor_trainer.sft_data import tokenise
from tests.support.quiet import Quiet
from tests.support.service_process import ServiceProcess, environment, run_to_exit, running_process
from tests.support.training import STUDENT, addition, dpo_values, questions, sft_values, solved, spec_values, write_set
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


STEPS = 8
LEARNING = {"train_batch_size": 8, "mini_batch_size": 8, "rollouts": 8, "lr": 3e-4}


class Run:
    """A run that was stopped after its first steps, and the attempt that finished it."""

    def __init__(self, folder: Path, sandbox: ServiceProcess) -> None:
        self.folder = folder
        write_set(folder)
        self.stopped_events: list[TrainEvent] = []
        self.events: list[TrainEvent] = []
        values = LEARNING | {"sandbox_url": sandbox.grpc, "save_freq": -1, "loggers": ["tensorboard"]}
        endless = make_spec(spec_values(folder, total_steps=1000, **values))
        self.listening: set[str] = set()
        self.stopped = run_training(
            endless, folder / "a1", self._first_steps, should_stop=lambda: bool(self.stopped_events)
        )
        finish = make_spec(spec_values(folder, total_steps=STEPS, **values))
        self.finished = run_training(finish, folder / "a2", self.events.append)

    def _first_steps(self, event: TrainEvent) -> None:
        run = (self.folder / "a1" / "handle").read_text().split(":")[0]
        for process in processes_of(run):
            with contextlib.suppress(psutil.NoSuchProcess):
                sockets = process.net_connections(kind="tcp")
                self.listening |= {str(s.laddr.ip) for s in sockets if s.status == psutil.CONN_LISTEN}
        self.stopped_events.append(event)

    def metrics(self, attempt: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / attempt / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, sandbox: ServiceProcess) -> Run:
    return Run(tmp_path_factory.mktemp("run"), sandbox)


def test_a_run_stops_on_request_with_a_checkpoint(run: Run) -> None:
    assert run.stopped.stopped and run.stopped.model is None
    assert run.stopped.step >= 1 and run.stopped.total_steps == 1000


def test_the_next_attempt_goes_on_from_there(run: Run) -> None:
    assert [event.step for event in run.events] == list(range(run.stopped.step + 1, STEPS + 1))
    assert not run.finished.stopped and run.finished.step == STEPS


def test_rollout_and_trainer_agree_on_the_log_probabilities_of_the_same_tokens(run: Run) -> None:
    for attempt in ("a1", "a2"):
        for record in run.metrics(attempt):
            assert record["data"]["training/rollout_probs_diff_valid"] == 1
            assert record["data"]["training/rollout_probs_diff_max"] < 1e-4


def test_the_steps_report_reward_components_and_tool_use(run: Run) -> None:
    event = run.events[-1]
    wanted = {"reward", "correctness", "alignment", "validation", "invalid_rate", "usage_rate", "grad_norm"}
    assert wanted <= set(event.metrics)
    assert event.metrics["infrastructure_failures"] == 0 and {"gen", "update_actor"} <= set(event.phases)
    assert "mentor_training_reward{" in (run.folder / "a2" / "metrics.prom").read_text()
    assert list((run.folder / "out" / "tensorboard").rglob("events.out.tfevents.*"))


def test_every_tool_call_of_the_rollouts_went_to_the_sandbox(run: Run, sandbox: ServiceProcess) -> None:
    records = [
        json.loads(line)
        for attempt in ("a1", "a2")
        for path in sorted((run.folder / attempt / "rollouts").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert len(records) == 64 * run.finished.step
    executed = sum(o.executed for r in records for o in Trajectory.model_validate(r["trajectory"]).observations)
    assert executed > 0
    lines = sandbox.get("/metrics").text.splitlines()
    counted = sum(float(line.split()[-1]) for line in lines if line.startswith("mentor_sandbox_calls_total{"))
    assert counted >= executed


def test_the_model_is_exported_in_hugging_face_format_and_was_trained(run: Run) -> None:
    assert run.finished.model == run.folder / "out" / "model"
    AutoTokenizer.from_pretrained(run.finished.model)
    before, after = (AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (STUDENT, run.finished.model))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())


def test_training_teaches_what_it_rewards(run: Run, sandbox: ServiceProcess, tmp_path: Path) -> None:
    """Additions that were not trained on, sampled as in training, the same seed before and after."""
    held_out = [addition(41 + 2 * n, 57 + 5 * n) for n in range(24)]
    write_questions(held_out, tmp_path / "held-out.jsonl")
    assert not {q.question for q in held_out} & {q.question for q in questions()}

    def accuracy(model: Path, name: str) -> float:
        spec = SolveSpec(
            model=ModelSource(path=str(model)), questions=str(tmp_path / "held-out.jsonl"), samples=4, concurrency=96,
            sampling=SamplingParams(temperature=1.0, max_tokens=128, seed=0), backends=ToolBackends(sandbox=sandbox.grpc),
        )  # fmt: skip
        found = solve(spec, held_out, Quiet(tmp_path / name))
        assert found is not None
        return sum(bool(t.metadata[CORRECT]) for t in found) / len(found)

    assert run.finished.model is not None
    before, after = accuracy(STUDENT, "before"), accuracy(run.finished.model, "after")
    assert after > before + 0.2, (before, after)


def test_a_run_listens_on_loopback_only(run: Run) -> None:
    assert run.listening
    assert {ip.removeprefix("::ffff:") for ip in run.listening} <= {"127.0.0.1", "::1"}


def test_nothing_of_a_run_is_left_alive(run: Run) -> None:
    for attempt in ("a1", "a2"):
        handle = (run.folder / attempt / "handle").read_text()
        assert processes_of(handle.split(":")[0]) == []


def test_a_sandbox_that_dies_in_the_middle_ends_the_run_with_a_clear_line(tmp_path: Path) -> None:
    write_set(tmp_path)
    with running_process("mentor_sandbox") as sandbox:
        spec = make_spec(spec_values(tmp_path, total_steps=1000, sandbox_url=sandbox.grpc, infrastructure_wait_s=1.0))

        def kill(_: TrainEvent) -> None:
            sandbox.process.send_signal(signal.SIGKILL)

        with pytest.raises(
            InfrastructureError, match=r"step \d+: \d+ of 16 rollouts were lost to infrastructure: .*sandbox"
        ):
            run_training(spec, tmp_path / "a1", kill)


def train(values: dict[str, Any], attempt: Path) -> tuple[TrainResult, list[TrainEvent]]:
    events: list[TrainEvent] = []
    return run_training(make_spec(values), attempt, events.append), events


def test_sft_learns_the_teachers_turns(tmp_path: Path) -> None:
    result, events = train(sft_values(tmp_path, total_steps=12, lr=1e-3), tmp_path / "a1")
    assert result.step == 12 and result.model is not None
    assert events[-1].metrics["loss"] < events[0].metrics["loss"]
    AutoModelForCausalLM.from_pretrained(result.model)


def train_here(values: dict[str, Any], attempt: Path) -> list[dict[str, float]]:
    """As ``train`` for a method on TRL, without a process of its own; the metrics of every step."""
    spec = make_spec(values)
    folder = Path(spec.output_dir) / "checkpoints"
    found = checkpoints.latest(folder)
    attempt.mkdir()
    hf.train(spec, attempt, folder, found.path if found else None)
    return [json.loads(line)["data"] for line in (attempt / "metrics.jsonl").read_text().splitlines()]


def test_sft_stopped_and_resumed_equals_sft_in_one_go(tmp_path: Path) -> None:
    values = sft_values(tmp_path, total_steps=6)
    train_here({**values, "output_dir": str(tmp_path / "whole")}, tmp_path / "w")
    train_here({**values, "total_steps": 3}, tmp_path / "a1")
    assert [line["training/global_step"] for line in train_here(values, tmp_path / "a2")] == [4, 5, 6]
    one, other = (checkpoints.latest(tmp_path / name / "checkpoints") for name in ("whole", "out"))
    assert one is not None and other is not None
    first, second = (AutoModelForCausalLM.from_pretrained(found.hf_model).state_dict() for found in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_sft_with_adapters_exports_a_merged_model(tmp_path: Path) -> None:
    result, _ = train(sft_values(tmp_path, total_steps=2, lora_rank=4, lr=1e-2), tmp_path / "a1")
    assert result.model is not None
    before, after = (AutoModelForCausalLM.from_pretrained(m).state_dict() for m in (STUDENT, result.model))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_gradient_of_sft_on_prompt_and_observation_tokens_is_exactly_zero(tmp_path: Path) -> None:
    trainer = sft.build(make_spec(sft_values(tmp_path)), tmp_path / "checkpoints")
    batch = next(iter(trainer.get_train_dataloader()))
    gradient, labels = gradient_of_outputs(trainer, batch), batch["labels"]
    predicts = torch.zeros_like(labels, dtype=torch.bool)
    predicts[:, :-1] = labels[:, 1:] != -100  # the output at a token predicts the next one
    assert gradient[~predicts].abs().sum() == 0 and gradient[predicts].abs().sum(-1).min() > 0


def gradient_of_outputs(trainer: Trainer, batch: dict[str, Any]) -> torch.Tensor:
    """What the trainer's loss on a batch sends back to the last hidden states, (sequences, length, width)."""
    seen: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        if output.last_hidden_state.requires_grad:
            output.last_hidden_state.retain_grad()
            seen.append(output.last_hidden_state)

    model: Any = trainer.model
    model.get_decoder().register_forward_hook(keep)
    trainer.compute_loss(model, batch).backward()
    gradient = seen[0].grad
    assert gradient is not None
    return gradient


def test_dpo_prefers_what_was_chosen_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    values = dpo_values(tmp_path, total_steps=6, lr=1e-4)
    train_here({**values, "total_steps": 2}, tmp_path / "a1")
    result, events = train(values, tmp_path / "a2")
    lines = [json.loads(line)["data"] for line in (tmp_path / "a2" / "metrics.jsonl").read_text().splitlines()]
    assert [event.step for event in events] == [3, 4, 5, 6] and result.model is not None
    assert lines[-1]["dpo/rewards/accuracies"] == 1.0
    assert lines[-1]["dpo/rewards/margins"] > lines[0]["dpo/rewards/margins"] > 0
    AutoModelForCausalLM.from_pretrained(result.model)


def test_dpo_credits_no_token_that_a_tool_said(tmp_path: Path) -> None:
    trainer = dpo.build(make_spec(dpo_values(tmp_path)), tmp_path / "checkpoints")
    batch = next(iter(trainer.get_train_dataloader()))
    gradient, mask = gradient_of_outputs(trainer, batch), batch["completion_mask"].bool()
    predicts = torch.zeros_like(mask)
    predicts[:, :-1] = mask[:, 1:]
    assert gradient[~predicts].abs().sum() == 0 and gradient[predicts].abs().sum(-1).min() > 0
    tokenizer: Any = trainer.processing_class
    said = tokenizer.decode(batch["input_ids"][0][mask[0]])
    assert "<tool_call>" in said and "<tool_response>" not in said
    assert "<tool_response>" in tokenizer.decode(batch["input_ids"][0])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{}", "pairs.jsonl:1: prompt is no list of messages"),
        ("[1]", "pairs.jsonl:1 is no object"),
        ("", "no preference pair is left"),
        (json.dumps({n: [{"role": "user", "content": "x"}] for n in ("prompt", "chosen", "rejected")}), "a message of 'user'"),
    ],
)  # fmt: skip
def test_pairs_that_are_none_are_refused_by_their_line(tmp_path: Path, line: str, complaint: str) -> None:
    values = dpo_values(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        train(values, tmp_path / "a1")
    assert caught.value.field == "preference_files"


def test_a_tokenised_trajectory_equals_the_templates_rendering() -> None:
    tokenizer = AutoTokenizer.from_pretrained(STUDENT)
    chat_format = load_format(tokenizer)
    trajectory = solved(addition(12, 30))
    example = tokenise(trajectory, [], chat_format)
    text = tokenizer.decode(example.ids)
    learnt = tokenizer.decode([i for i, m in zip(example.ids, example.mask, strict=True) if m])
    end = chat_format.end_of_turn
    assert learnt == "".join(turn.text + end for turn in trajectory.turns)
    assert "<tool_response>\n42\n</tool_response>" in text and text.endswith(end)


def test_the_command_line_trains_and_names_what_is_wrong(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(sft_values(tmp_path, total_steps=2)))
    out = tmp_path / "elsewhere"
    code, output = run_to_exit("mentor_trainer.train", str(spec), "--output", str(out))
    assert code == 0, output
    assert checkpoints.latest(out / "checkpoints") is not None and (out / "model" / "config.json").is_file()
    code, output = run_to_exit("mentor_trainer.train", str(spec), "--set", "model=/no/such/model")
    assert code == 2 and output.splitlines()[-1].startswith("error: ") and "/no/such/model" in output
    assert "Traceback" not in output


def test_sigterm_saves_and_exits_and_the_next_run_goes_on(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(sft_values(tmp_path, total_steps=100_000)))
    command = [sys.executable, "-m", "mentor_trainer.train", str(spec)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    metrics = tmp_path / "out" / "attempts" / "0001" / "metrics.jsonl"
    try:
        eventually(lambda: metrics.is_file() and metrics.stat().st_size > 0, within=240, what="the first step")
        process.terminate()
        assert process.wait(60) == 3
    finally:
        process.kill()
    found = checkpoints.latest(tmp_path / "out" / "checkpoints")
    assert found is not None and found.step >= 1
