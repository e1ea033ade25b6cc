"""``mentor doctor --gpu``: whether a machine's GPU does what the CPU does, offline, with the tiny student, in minutes.

Every check runs in processes of its own. It is ``passed``, ``failed``, or ``not installed`` where the machine has no such part;
``found`` says what was seen. The same checks run with a CPU in the GPU's place, which is how their own tests run them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from mentor.data import write_questions, write_trajectories
from mentor.errors import MentorError, UserError
from mentor.inference import OpenAITokenClient, SamplingParams
from mentor.inference.servers.serving import serving
from mentor.inference.servers.spec import ServeSpec
from mentor.local.layout import example_path
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Question, Trajectory, Turn

Outcome = Literal["passed", "failed", "not installed"]
_PATIENCE_S = 300.0
_LOGPROB_GAP = 0.05
"""Float32 on both sides differs by 1e-4; bfloat16 keeps 8 bits of a logit of some tens."""
_LOSS_SHARE = 0.02


class Check(Frozen):
    """One check and what came of it."""

    name: str
    outcome: Outcome
    found: str
    seconds: float = 0.0


def examine_gpu(device: str, report: Callable[[Check], None] = lambda check: None) -> list[Check]:
    """Every check, in an order in which the first to fail explains the others. Without the device only that is said."""
    model = example_path("checkpoints/student")
    checks = []
    for name, run in _checks(model, device):
        started = time.monotonic()
        try:
            outcome, found = run()
        except MentorError as error:
            outcome, found = "failed", error.message
        check = Check(name=name, outcome=outcome, found=found, seconds=round(time.monotonic() - started, 1))
        checks.append(check)
        report(check)
        if name == "device" and check.outcome != "passed":
            break
    return checks


Run = Callable[[], tuple[Outcome, str]]


def _checks(model: Path, device: str) -> Iterator[tuple[str, Run]]:
    yield "device", lambda: _device(device)
    yield "local engine", lambda: _engine(model, device)
    yield "SFT", lambda: _training("sft", model, device)
    yield "GRPO", lambda: _training("grpo", model, device)
    yield "FAISS", _faiss
    for engine in ("vllm", "sglang"):
        yield engine, lambda engine=engine: _server(engine, model)  # type: ignore[misc]


def _device(device: str) -> tuple[Outcome, str]:
    found = _ask("mentor.inference.local.selftest", "facts", "--device", device)
    if "missing" in found:
        return "not installed", str(found["missing"])
    return "passed", ", ".join(f"{name} {value}" for name, value in found.items())


def _engine(model: Path, device: str) -> tuple[Outcome, str]:
    found = _ask("mentor.inference.local.selftest", "engine", "--device", device, "--model", str(model))
    same, asked, gap = found["same"], found["prompts"], found["largest_gap"]
    said = f"{same} of {asked} greedy answers are the CPU's, log-probabilities within {gap:.2g}"
    fine = same == asked and gap < _LOGPROB_GAP
    if found["bytes_left"]:
        return "failed", f"{said}; {found['bytes_left']} bytes of the device were not given back"
    return ("passed" if fine else "failed"), said


def _training(algorithm: str, model: Path, device: str) -> tuple[Outcome, str]:
    """A few steps on the device and on the CPU: their first step's figures, before chance has parted them, are alike."""
    figure = "actor/loss" if algorithm == "sft" else "actor/entropy"
    with tempfile.TemporaryDirectory(prefix="mentor-gpu-check-") as folder:
        here, there = (_train(algorithm, model, place, Path(folder)) for place in ("cpu", device))
    if len(there) < len(here):
        return "failed", f"{len(there)} of {len(here)} steps on {device}"
    first, second = here[0][figure], there[0][figure]
    fine = abs(first - second) <= _LOSS_SHARE * max(abs(first), 1e-3)
    gap = there[0].get("training/rollout_probs_diff_max")
    beside = "" if gap is None else f", engine beside trainer within {gap:.2g}"
    return (
        "passed" if fine else "failed"
    ), f"{len(there)} steps; {figure} {second:.4f}, on the CPU {first:.4f}{beside}"


def _train(algorithm: str, model: Path, device: str, folder: Path) -> list[dict[str, float]]:
    """The metrics of three steps without tools, which need no service."""
    name = f"{algorithm}-{device.replace(':', '-')}"
    questions = [Question(id=f"q{n}", question=f"What is {n} + 1?", answers=(str(n + 1),), tools=()) for n in range(8)]
    write_questions(questions, folder / "questions.jsonl")
    solved = [
        Trajectory(
            question_id=q.id,
            question=q.question,
            turns=(Turn(text=f"\\boxed{{{q.answers[0]}}}"),),
            metadata={CORRECT: True},
        )
        for q in questions
    ]
    write_trajectories(solved, folder / "solved.jsonl")
    spec: dict[str, Any] = {
        "name": name, "model": str(model), "train_files": str(folder / "questions.jsonl"),
        "trajectory_files": str(folder / "solved.jsonl"), "output_dir": str(folder / name), "algorithm": algorithm,
        "device": "cpu" if device == "cpu" else "cuda", "backend": "local", "n_gpus_per_node": 1, "tensor_parallel": 1,
        "gradient_checkpointing": False, "lr": 1e-5, "train_batch_size": 4, "mini_batch_size": 4, "rollouts": 4,
        "temperature": 1.0, "use_kl": False, "total_steps": 3, "save_freq": -1, "max_prompt_length": 256,
        "max_response_length": 64, "max_turns": 1, "reward": "sparse", "loggers": [],
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    _run("mentor_trainer.train", str(folder / f"{name}.yaml"))
    lines = (folder / name / "attempts" / "0001" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["data"] for line in lines]
    return [step for step in steps if "training/global_step" in step]


def _faiss() -> tuple[Outcome, str]:
    found = _ask("mentor_retriever.gpu_check")
    if "missing" in found:
        return "not installed", str(found["missing"])
    fine = found["shared"] >= 0.999 * found["neighbours"]
    return ("passed" if fine else "failed"), f"{found['shared']} of {found['neighbours']} neighbours are the CPU's"


def _server(engine: str, model: Path) -> tuple[Outcome, str]:
    """A managed server of the engine: the tokens that it says greedily, beside the local engine's on the CPU."""
    wanted = _ask("mentor.inference.local.selftest", "tokens", "--model", str(model))
    try:
        said = asyncio.run(_asked(engine, model, wanted["prompts"]))
    except UserError as error:
        if (error.field or "").endswith("engine"):
            return "not installed", error.message
        raise
    same = sum(ours == theirs for ours, theirs in zip(wanted["tokens"], said, strict=True))
    return ("passed" if same == len(said) else "failed"), f"{same} of {len(said)} greedy answers are the local engine's"


async def _asked(engine: str, model: Path, prompts: list[list[int]]) -> list[list[int]]:
    params = SamplingParams(temperature=0, max_tokens=32)
    serve = ServeSpec(engine=engine, max_model_len=1024)
    async with serving(serve, model, "student") as (client,):
        tokens = OpenAITokenClient(client)
        asked = (tokens.generate(ids, params, request_id=f"check-{n}", timeout_s=120) for n, ids in enumerate(prompts))
        return [list(generation.token_ids) for generation in await asyncio.gather(*asked)]


def _ask(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a check prints last."""
    found: dict[str, Any] = json.loads(_run(module, *arguments).splitlines()[-1])
    return found


def _run(module: str, *arguments: str) -> str:
    """A module's output.

    Raises:
        MentorError: it failed or took too long; the message is its last line.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MentorError(f"{module} took longer than {_PATIENCE_S:.0f} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise MentorError(lines[-1] if lines else f"{module} ended with {done.returncode}")
    return done.stdout
