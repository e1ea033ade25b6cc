"""The same seed gives the same run, and a run that is killed again and again ends with the weights of one that was not.

Whole runs of verl on the tiny student with a real sandbox: about a minute for every start. ``make trainer-proof``;
``MENTOR_PROOF_KILLS`` (10) and ``MENTOR_PROOF_SEED`` (0) change how often, and at which moments, everything is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from mentor_trainer import checkpoints
from tests.support.service_process import ServiceProcess, environment, running_process
from tests.support.training import spec_values, write_set

KILLS = int(os.environ.get("MENTOR_PROOF_KILLS", "10"))
SEED = int(os.environ.get("MENTOR_PROOF_SEED", "0"))
STEPS, SAME = 16, 5
CLOCKS = re.compile("timing|perf/|mfu|seconds|tool_wait_share")
"""What metrics of time and memory are called: nothing else may differ between two runs."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


class Training:
    """A run in a folder of its own, by the command line."""

    def __init__(self, folder: Path, sandbox: ServiceProcess) -> None:
        self.folder = folder
        self.unsaid: set[int] = set()
        """Steps that were whole on disk when everything was killed: their metrics are written after them, or never."""
        folder.mkdir()
        write_set(folder)
        values = spec_values(folder, sandbox_url=sandbox.grpc, total_steps=STEPS, save_freq=1, lr=3e-4, use_kl=True)
        values |= {"deterministic": True}
        (folder / "spec.yaml").write_text(yaml.safe_dump(values))

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mentor_trainer.train", str(self.folder / "spec.yaml")]
        log = (self.folder / "command.log").open("ab")
        return subprocess.Popen(command, env=environment(), stdout=log, stderr=log, start_new_session=True)

    def to_the_end(self) -> None:
        assert self.start().wait() == 0, (self.folder / "command.log").read_text()[-3000:]

    def kill_at(self, moment: Callable[[Path], bool]) -> int:
        """SIGKILL to everything once the moment has come, or the run is over; the step that was whole on disk by then."""
        known = len(list((self.folder / "out" / "attempts").glob("*")))
        process = self.start()
        while process.poll() is None and not moment(self.folder / "out" / "attempts" / f"{known + 1:04d}"):
            time.sleep(0.02)
        tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # nobody sees another die
            for one in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(number)
        process.wait()
        whole = checkpoints.latest(self.folder / "out" / "checkpoints")
        if whole is None:
            return 0
        self.unsaid.add(whole.step)
        return whole.step

    def metrics(self) -> dict[int, dict[str, float]]:
        """By step, of the attempt that counted: the last that reported it."""
        found: dict[int, dict[str, float]] = {}
        for file in sorted((self.folder / "out" / "attempts").glob("*/metrics.jsonl")):
            for line in file.read_text().splitlines():
                if line.endswith("}"):
                    record = json.loads(line)
                    found[record["step"]] = {k: v for k, v in record["data"].items() if not CLOCKS.search(k)}
        return found

    def weights(self) -> dict[str, torch.Tensor]:
        return dict(
            AutoModelForCausalLM.from_pretrained(self.folder / "out" / "model", dtype=torch.float32).state_dict()
        )

    def optimiser_steps(self) -> set[int]:
        whole = checkpoints.latest(self.folder / "out" / "checkpoints")
        assert whole is not None
        state: Any = torch.load(whole.path / "actor" / "optim_world_size_1_rank_0.pt", weights_only=False)
        return {int(entry["step"]) for entry in state["state"].values()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, sandbox: ServiceProcess) -> Training:
    training = Training(tmp_path_factory.mktemp("a") / "run", sandbox)
    training.to_the_end()
    return training


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory, sandbox: ServiceProcess) -> Training:
    training = Training(tmp_path_factory.mktemp("b") / "run", sandbox)
    training.to_the_end()
    return training


def moment_of(draw: random.Random) -> Callable[[Path], bool]:
    """One kill in four comes during the start, the others within two steps of this machine after the first of an attempt."""
    starting, fraction = draw.random() < 0.25, draw.random()
    begun = time.monotonic()
    after: float | None = None

    def come(attempt: Path) -> bool:
        nonlocal after
        if starting:
            return time.monotonic() - begun > 40 * fraction
        if after is None and (attempt / "metrics.jsonl").is_file() and (attempt / "metrics.jsonl").stat().st_size:
            step = json.loads((attempt / "metrics.jsonl").read_text().splitlines()[0])["data"]["timing_s/update_actor"]
            after = time.monotonic() + 6 * step * fraction
        return after is not None and time.monotonic() > after

    return come


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, sandbox: ServiceProcess, undisturbed: Training) -> Training:
    training = Training(tmp_path_factory.mktemp("c") / "run", sandbox)
    draw = random.Random(SEED)
    for number in range(KILLS):
        step = training.kill_at(moment_of(draw))
        print(f"\nkill {number + 1} of {KILLS}: step {step} was whole")
        if step >= STEPS - 1:
            break
    training.to_the_end()
    return training


def test_two_runs_of_a_seed_report_the_same_to_the_last_digit(undisturbed: Training, again: Training) -> None:
    one, other = undisturbed.metrics(), again.metrics()
    for step in range(1, SAME + 1):
        assert one[step] == other[step], f"step {step}"
    assert all(
        torch.equal(a, other) for a, other in zip(undisturbed.weights().values(), again.weights().values(), strict=True)
    )


def test_kills_change_no_weight(undisturbed: Training, killed: Training) -> None:
    one, other = undisturbed.weights(), killed.weights()
    apart = max(float((one[name] - other[name]).abs().max()) for name in one)
    print(f"\nlargest difference of a weight after {STEPS} steps: {apart:.1e}")
    assert apart < 1e-6


def test_no_step_is_counted_twice_and_none_is_left_out(undisturbed: Training, killed: Training) -> None:
    every = set(range(1, STEPS + 1))
    assert set(killed.metrics()) <= every and every - set(killed.metrics()) <= killed.unsaid
    assert killed.optimiser_steps() == undisturbed.optimiser_steps() == {STEPS}


def test_the_steps_after_a_kill_are_those_of_the_undisturbed_run(undisturbed: Training, killed: Training) -> None:
    """Rollouts, order of the data, learning rate and random numbers included."""
    one, other = undisturbed.metrics(), killed.metrics()
    assert all(one[step] == other[step] for step in other)
