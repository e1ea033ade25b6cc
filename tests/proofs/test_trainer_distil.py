"""On-policy distillation inside verl: the student comes nearer to a teacher with its tokenizer. `make trainer-proof`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from mentor_trainer.config import make_spec
from mentor_trainer.run import run_training
from tests.support.service_process import running_process
from tests.support.training import STUDENT, spec_values, write_set

TEACHER = STUDENT.with_name("teacher")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside the reward"])
def test_the_student_comes_nearer_to_the_teacher(tmp_path: Path, alone: bool) -> None:
    write_set(tmp_path)
    fields: dict[str, Any] = {
        "distil_model": str(TEACHER), "distil_alone": alone, "total_steps": 16, "train_batch_size": 8, "mini_batch_size": 8,
        "lr": 3e-4, "rollouts": 8, "threads": 2, "save_freq": -1,
    }  # fmt: skip
    with running_process("mentor_sandbox") as sandbox:
        run_training(
            make_spec(spec_values(tmp_path, sandbox_url=sandbox.grpc, **fields)), tmp_path / "a1", lambda event: None
        )
    lines = [json.loads(line)["data"] for line in (tmp_path / "a1" / "metrics.jsonl").read_text().splitlines()]
    kl = [line["mentor/distil_kl"] for line in lines if "mentor/distil_kl" in line]
    print(f"\nreverse KL to the teacher, per token: {', '.join(f'{value:.3f}' for value in kl)}")
    assert len(kl) == 16
    assert mean(kl[-4:]) < 0.5 * mean(kl[:4])
