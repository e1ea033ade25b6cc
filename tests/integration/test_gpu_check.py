"""The self-test of a machine with a GPU, with the CPU in the GPU's place; its training steps run by `make gpu-check` alone."""

from __future__ import annotations

import pytest

from mentor.local import gpu
from mentor.local.layout import example_path
from tests.support.stack import mentor

MODEL = example_path("checkpoints/student")


def test_a_device_that_equals_the_cpu_passes() -> None:
    outcome, found = gpu._engine(MODEL, "cpu")
    assert outcome == "passed" and "8 of 8 greedy answers are the CPU's, log-probabilities within " in found


def test_what_differs_or_keeps_memory_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"prompts": 8, "same": 8, "largest_gap": 0.001, "bytes_left": 0}
    bad = ({"same": 7}, {"largest_gap": 0.4}, {"bytes_left": 9})
    for change, outcome in (({}, "passed"), *((change, "failed") for change in bad)):
        monkeypatch.setattr(gpu, "_ask", lambda *_, change=change: said | change)
        assert gpu._engine(MODEL, "cuda:0")[0] == outcome


def test_what_is_not_installed_is_said_to_be() -> None:
    assert gpu._faiss()[0] == "not installed"
    outcome, found = gpu._server("vllm", MODEL)
    assert outcome == "not installed" and "vllm is not set up" in found


def test_a_machine_without_a_gpu_is_told_so_and_no_more_is_tried() -> None:
    ended = mentor("doctor", "--gpu")
    assert ended.returncode == 1
    assert "sees no GPU" in ended.stdout and "GRPO" not in ended.stdout
