"""``python -m benchmarks.trainer``: GRPO of the tiny student with a real sandbox; phases of warm steps, and TRL beside it.

Every figure is the median of the warm steps of one run. With ``MENTOR_BENCH_TRL`` (an interpreter that has TRL), TRL's
GRPOTrainer gets the same student, the same batch, and the very rollouts that our last steps drew, with their tokens masked as
ours are: what it then takes for a step is compared with our old log-probabilities and update. Beside that it samples by itself,
from the same prompts, without tools (its trajectories end where ours make their first call).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from transformers import AutoTokenizer

from mentor.chat import load_format
from mentor.rollout import user_messages
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Trajectory
from mentor_trainer.config import TrainSpec, make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.launcher import processes_of
from mentor_trainer.run import run_training
from tests.support.service_process import running_process
from tests.support.training import STUDENT, questions, spec_values, write_set

PHASES = ("gen", "old_log_prob", "adv", "update_actor", "update_weights")


def train(
    folder: Path, steps: int, ranks: int
) -> tuple[TrainSpec, list[tuple[float, TrainEvent]], list[dict[str, Any]]]:
    """Our run: when each step ended since the start, and verl's metrics of each."""
    write_set(folder)
    with running_process("mentor_sandbox") as sandbox:
        shape = {"train_batch_size": 8, "mini_batch_size": 8, "rollouts": 8, "max_response_length": 256, "lr": 3e-4}
        spec = make_spec(
            spec_values(
                folder, sandbox_url=sandbox.grpc, total_steps=steps, save_freq=-1, n_gpus_per_node=ranks, **shape
            )
        )
        started, events = time.monotonic(), []

        def keep(event: TrainEvent) -> None:
            events.append((time.monotonic() - started, event))
            if len(events) == 1:
                cold_start(events[0][0], (folder / "a1" / "handle").read_text().split(":")[0])

        run_training(spec, folder / "a1", keep)
    records = [json.loads(line)["data"] for line in (folder / "a1" / "metrics.jsonl").read_text().splitlines()]
    return spec, events, records


def cold_start(seconds: float, run: str) -> None:
    """Where the time to the first step went: processor seconds of each process that was started for the run."""
    spent: dict[str, float] = {}
    for process in processes_of(run):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            name = " ".join(process.cmdline())[:200]
            label = next((word for word in name.split() if word.startswith("ray::")), Path(name.split()[0]).name)
            spent[f"{label} {process.pid}"] = times.user + times.system
    total, cores = sum(spent.values()), os.cpu_count() or 1
    print(
        f"first step after {seconds:.1f} s; {total:.0f} processor seconds until then: {total / cores:.0f} s on {cores} cores"
    )
    for name, value in sorted(spent.items(), key=lambda item: -item[1])[:10]:
        print(f"  {name:<40}{value:8.1f} s")


def report(events: list[tuple[float, TrainEvent]], records: list[dict[str, Any]], warm: int) -> dict[str, float]:
    """Print phases and shares; the figures by name."""
    last = records[warm:-1]  # the last step saves
    median = {name: statistics.median(r.get(f"timing_s/{name}", 0.0) for r in last) for name in (*PHASES, "step")}
    model = statistics.median(r["mentor/model_seconds"] / r["timing_s/step"] for r in last)
    tokens = statistics.median(r["response_length/mean"] * r["mentor/samples"] / r["timing_s/step"] for r in last)
    print(f"{len(last)} warm steps (medians), {os.cpu_count()} cores")
    for name, value in median.items():
        print(f"  {name:<16}{value:8.2f} s")
    print(f"  {'in models':<16}{model:8.0%}   forward and backward passes of trainer and engine, and drawing tokens")
    print(f"  {'outside':<16}{1 - model:8.0%}")
    print(f"  {'tokens a second':<16}{tokens:8.0f}   of responses, by the whole step")
    return {**median, "outside": 1 - model, "tokens_per_second": tokens, "first_step": events[0][0]}


def rollouts_of(folder: Path, step: int) -> list[dict[str, Any]]:
    """What one step drew, as ids and masks, with its prompts as text."""
    chat = load_format(AutoTokenizer.from_pretrained(STUDENT))
    by_id = {question.id: question for question in questions()}
    found = []
    for line in (folder / "a1" / "rollouts" / f"step_{step}.jsonl").read_text().splitlines():
        record = json.loads(line)
        trajectory = Trajectory.model_validate(record["trajectory"])
        question = by_id[trajectory.question_id]
        tools = [tool.openai() for tool in ToolRegistry().for_question(question)]
        prompt = chat.render_prompt(user_messages(question.question, None), tools)
        ids: list[int] = []
        mask: list[int] = []
        for turn in trajectory.turns:
            ids += [*(turn.token_ids or ()), *turn.observation_ids]
            mask += [1] * len(turn.token_ids or ()) + [0] * len(turn.observation_ids)
        found.append({"prompt_ids": prompt, "ids": ids, "mask": mask, "reward": record["reward"]["total"]})
    return found


def beside(python: str, folder: Path, steps: int, spec: TrainSpec) -> dict[str, Any]:
    """TRL's figures, from its own interpreter."""
    batches = [rollouts_of(folder, step) for step in range(max(1, spec_steps(spec) - steps), spec_steps(spec))]
    settings = {
        "model": str(STUDENT),
        "rollouts": spec.rollouts,
        "lr": spec.lr,
        "batches": batches,
        "limit": spec.max_response_length,
    }
    given, answer = folder / "trl.json", folder / "trl-answer.json"
    given.write_text(json.dumps(settings))
    env = {**os.environ, "OMP_NUM_THREADS": str(spec.cpu_threads), "HF_HUB_OFFLINE": "1"}
    subprocess.run([python, str(Path(__file__).with_name("trl_side.py")), str(given), str(answer)], check=True, env=env)
    return dict(json.loads(answer.read_text()))


def spec_steps(spec: TrainSpec) -> int:
    """Steps of a run that says how many."""
    assert spec.total_steps is not None
    return spec.total_steps


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.trainer", description=__doc__)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm", type=int, default=2, help="steps that do not count")
    parser.add_argument("--ranks", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mentor-bench-") as name:
        spec, events, records = train(Path(name), options.steps, options.ranks)
        ours = report(events, records, options.warm)
        if python := os.environ.get("MENTOR_BENCH_TRL"):
            theirs = beside(python, Path(name), options.steps - options.warm - 1, spec)
            training = ours["old_log_prob"] + ours["adv"] + ours["update_actor"]
            ratio = theirs["replayed_step"] / training
            seconds = f"{theirs['replayed_step']:.2f} s a step, ours {training:.2f} s"
            print(f"TRL {theirs['version']}, the same rollouts: {seconds}: {ratio:.2f} to 1")
            speeds = f"{theirs['tokens_per_second']:.0f} tokens a second, ours {ours['tokens_per_second']:.0f}"
            ratio = ours["tokens_per_second"] / theirs["tokens_per_second"]
            print(f"TRL, sampling by itself: {speeds}: {ratio:.2f} to 1")


if __name__ == "__main__":
    sys.exit(main())
