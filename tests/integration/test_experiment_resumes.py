"""A grid on real services: its runner is killed while a student is being trained, and the next one goes on with that job."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mentor.experiment.records import RunRecord, read_records
from mentor.jobs.model import JobState
from mentor.local.layout import StackSpec
from mentor.local.stack import down, up
from tests.support.stack import TINY, client, free_stack, mentor
from tests.support.waiting import eventually

LIMITS = {"max_turns": 6, "max_response_tokens": 512}
GRID: dict[str, Any] = {
    "name": "resumes",
    "greedy": False,
    "lanes": 2,
    "worlds": {
        "tiny": {
            "folder": str(TINY),
            "evaluation": {"in_domain": {"file": "questions/in_domain.jsonl"}},
            "teacher": {"model": {"path": "checkpoints/teacher"}},
        }
    },
    "students": {"small": {"path": "checkpoints/student"}},
    "methods": {
        "sft": {"train": {"algorithm": "sft", "total_steps": 2}, "teacher_questions": 16},
        "cold": {"evaluate": {"sampling": {"temperature": 0.3}}},
    },
    "grid": [{"methods": ["sft", "cold"], "seeds": [5]}],
    "defaults": {
        "teacher": {"sampling": {"temperature": 1.0, "max_tokens": 256, "seed": 0}, "limits": LIMITS},
        "train": {
            "device": "cpu", "threads": 1, "gradient_checkpointing": False, "lr": 1e-4, "train_batch_size": 4,
            "mini_batch_size": 4, "max_prompt_length": 256, "max_response_length": 512,
        },
        "evaluate": {
            "max_questions": 6, "concurrency": 1, "sampling": {"temperature": 1.0, "max_tokens": 256}, "limits": LIMITS,
        },
    },
}  # fmt: skip


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackSpec]:
    spec = free_stack(tmp_path / "stack", teacher=False).model_copy(update={"jobs": 2})
    up(spec)
    yield spec
    down(spec)


def records(folder: Path) -> dict[str, RunRecord]:
    """Without what a clock says."""
    found = (record.model_copy(update={"finished": "", "seconds": {}}) for record in read_records(folder / "results"))
    return {record.run.method: record for record in found}


def test_a_killed_runners_jobs_are_found_again_and_its_records_are_the_same(stack: StackSpec, tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump(GRID, sort_keys=False))
    shared = (str(path), "--port-offset", str(stack.port_offset), "--work", str(tmp_path / "work"))
    command = ("experiment", "run", *shared)
    trainer = client(stack, "train")
    runner = subprocess.Popen([sys.executable, "-m", "mentor.cli", *command], stdout=subprocess.DEVNULL)
    (job,) = eventually(trainer.newest, within=300, what="a training")
    runner.kill()
    runner.wait()

    done = mentor(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    (ended,) = trainer.newest()
    assert (ended.id, ended.state, ended.attempt) == (job.id, JobState.SUCCEEDED, 1)
    first = records(tmp_path)
    assert set(first) == {"sft", "cold"} and all(len(r.evaluations["sampled"]) == 6 for r in first.values())
    assert [step["step"] for step in first["sft"].steps] == [1.0, 2.0]
    assert first["sft"].tokens["teacher"] > 0
    told = mentor("experiment", "status", str(path), "--work", str(tmp_path / "work"))
    assert "2 done" in told.stdout, told.stdout + told.stderr

    anew = mentor(*command, "--only", "cold", "--no-resume")
    assert anew.returncode == 0, anew.stdout + anew.stderr
    assert records(tmp_path) == first
