"""Which jobs a distillation submits, with what: its services are stood in for, since only the specs matter here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor.jobs.client import JobClient
from mentor.jobs.model import Job, JobState
from mentor.local.distill import Chain, parse_distill


class Recorder(JobClient):
    """Takes every job; uploads are named after the file."""

    def __init__(self, submitted: dict[str, Job]) -> None:
        self.submitted = submitted

    def submit(self, kind: str, spec: dict[str, Any], key: str | None = None, **_: Any) -> Job:
        label = (key or "").split("-", 1)[1]
        job = Job(id=f"{kind}-{len(self.submitted)}", kind=kind, state=JobState.SUCCEEDED, spec=spec, created_at=0)
        self.submitted[label] = job
        return job

    def upload(self, path: Path, *_: Any, **__: Any) -> str:
        return f"file:0/{path.name}"


def jobs_of(tmp_path: Path, **fields: Any) -> dict[str, Job]:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        "".join(json.dumps({"id": f"q{n}", "question": "1 + 1?", "answers": ["2"]}) + "\n" for n in range(5))
    )
    (tmp_path / "student").mkdir()
    values = {
        "questions": "questions.jsonl", "student": "student", "output": str(tmp_path / "out"), "greedy": False,
        "teacher": {"model": {"url": "http://127.0.0.1:1", "name": "big"}, "samples": 4}, "evaluate_teacher": False,
        "train": {"lr": 1e-4}, **fields,
    }  # fmt: skip
    submitted: dict[str, Job] = {}
    chain = Chain(parse_distill(values, tmp_path), lambda client, job, label: job)
    chain._clients = dict.fromkeys(("teacher", "train", "evaluate"), Recorder(submitted))
    chain.run()
    return submitted


def test_an_arm_starts_from_another_arms_student(tmp_path: Path) -> None:
    arms = {"sft": {"algorithm": "sft"}, "sft-then-rl": {"after": "sft", "reward": "paper_strict"}}
    jobs = jobs_of(tmp_path, arms=arms)
    assert jobs["train sft"].spec["model"] == "file:0/student"
    second = jobs["train sft-then-rl"].spec
    assert second["model"] == f"artifact:{jobs['train sft'].id}/model"
    assert (second["reward"], second["lr"]) == ("paper_strict", 1e-4)
    assert second["train_files"] == [f"artifact:{jobs['teacher'].id}/references.parquet"]
    assert jobs["evaluate sft-then-rl"].spec["model"] == {"path": f"artifact:{jobs['train sft-then-rl'].id}/model"}


def test_a_student_learns_from_what_it_solved_itself(tmp_path: Path) -> None:
    arms = {"rejection": {"algorithm": "sft", "own_trajectories": {"samples": 8, "sampling": {"temperature": 1.0}}}}
    jobs = jobs_of(tmp_path, arms=arms)
    drawn = jobs["draw rejection"]
    assert drawn.kind == "teacher"
    assert drawn.spec["model"] == {"path": "file:0/student"}
    assert (drawn.spec["samples"], drawn.spec["questions"]) == (8, jobs["teacher"].spec["questions"])
    assert jobs["train rejection"].spec["trajectory_files"] == [f"artifact:{drawn.id}/trajectories.jsonl"]


def test_dpo_learns_from_the_teachers_preference_pairs(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, arms={"dpo": {"algorithm": "dpo", "after": "trained"}})
    spec = jobs["train dpo"].spec
    assert spec["preference_files"] == [f"artifact:{jobs['teacher'].id}/preferences.jsonl"]
    assert spec["model"] == f"artifact:{jobs['train trained'].id}/model"


def test_the_untrained_student_is_sampled_at_other_temperatures_and_nobody_else(tmp_path: Path) -> None:
    evaluate = {"sampling": {"temperature": 1.0, "max_tokens": 64}, "samples": 4}
    jobs = jobs_of(tmp_path, evaluate=evaluate, greedy=True, vanilla_temperatures=[0.3])
    cooler = jobs.pop("evaluate vanilla at 0.3").spec
    assert cooler == jobs["evaluate vanilla"].spec | {"sampling": {"temperature": 0.3, "max_tokens": 64}}
    assert jobs["evaluate trained"].spec["sampling"] == evaluate["sampling"]
    assert {label for label in jobs if label.startswith("evaluate ")} == {
        "evaluate vanilla", "evaluate vanilla greedy", "evaluate trained", "evaluate trained greedy",
    }  # fmt: skip


def test_a_temperature_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        jobs_of(tmp_path, vanilla_temperatures=[0.3, 0])
    assert (caught.value.field or "").startswith("vanilla_temperatures")


@pytest.mark.parametrize(
    ("arms", "field"),
    [
        ({"rl": {"after": "sft"}, "sft": {}}, "arms.rl.after"),
        ({"rl": {"after": "nothing"}}, "arms.rl.after"),
        ({"rl": {"own_trajectories": 3}}, "arms.rl"),
    ],
)
def test_an_arm_that_cannot_start_is_refused_before_any_job(tmp_path: Path, arms: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        jobs_of(tmp_path, arms=arms)
    assert caught.value.field == field
