"""The command line on data: one JSON object per line in and out, aligned, with errors that name line and field."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mentor.cli.app import app
from mentor.trajectory import Trajectory, Turn

TRAJECTORY = {
    "turns": [
        {
            "text": "",
            "tool_calls": [{"name": "add", "arguments": {"firstNumber": 2, "secondNumber": 3}}],
            "observations": [{"name": "add", "content": "5"}],
        },
        {"text": "\\boxed{5}"},
    ],
    "answer": "5",
}
REFERENCES = [{"answer": "5", "tool_calls": [{"name": "add"}]}]


def run(*arguments: str, lines: list[Any] | None = None, code: int = 0) -> list[Any]:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines or [])
    result = CliRunner().invoke(app, list(arguments), input=text)
    assert result.exit_code == code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_grade_math() -> None:
    [right, wrong] = run(
        "grade", "math", lines=[{"prediction": "0.5", "gold": "\\frac{1}{2}"}, {"prediction": "3 or 5", "gold": "5"}]
    )
    assert (right["correct"], wrong["correct"]) == (True, False)
    assert set(right) == {"correct", "reason", "seconds"}


def test_grade_qa_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prediction": "in Paris", "golds": ["Paris"]}\n')
    [grade] = run("grade", "qa", str(path))
    assert grade == {"em": 0, "sub_em": 1, "f1": pytest.approx(2 / 3), "precision": 0.5, "recall": 1}


def test_analyse() -> None:
    [scored] = run("analyse", "alignment", lines=[{"teacher_counts": {"add": 3}, "student_counts": {"add": 5}}])
    assert (scored["alignment_score"], scored["noise_floor"], scored["interval"]) == (1, 1, [1, 1])
    assert run("analyse", "pass-at-k", lines=[{"n": 2, "c": 1, "k": 1}]) == [{"pass_at_k": 0.5}]


def test_reward_score() -> None:
    [scored] = run(
        "reward", "score", "--preset", "published_code", lines=[{"trajectory": TRAJECTORY, "references": REFERENCES}]
    )
    assert (scored["total"], scored["reference_index"]) == (pytest.approx(1.1), 0)
    assert scored["components"] == {"correctness": 1, "alignment": 1, "validation": 1}


@pytest.mark.parametrize(
    ("command", "line", "field"),
    [
        (("grade", "math"), {"prediction": "5"}, "gold"),
        (("grade", "math"), {"prediction": ["5"], "gold": "5"}, "prediction"),
        (("grade", "qa"), {"prediction": "5", "golds": []}, "golds"),
        (("grade", "qa"), "not json", "line"),
        (("grade", "qa"), "[1]", "line"),
        (("analyse", "alignment"), {"teacher_counts": {"a": -1}, "student_counts": {}}, "teacher_counts"),
        (("analyse", "pass-at-k"), {"n": 2, "c": 3, "k": 1}, "c"),
        (("analyse", "pass-at-k"), {"n": True, "c": 1, "k": 1}, "n"),
        (("reward", "score"), {"trajectory": {"turn": []}, "references": []}, "trajectory.turn"),
        (("reward", "score"), {"trajectory": {}, "references": [{"calls": []}]}, "references.0.calls"),
    ],
)
def test_a_bad_line_gives_an_error_in_its_place_and_the_rest_is_done(
    command: tuple[str, ...], line: Any, field: str
) -> None:
    good = {
        "grade": {"prediction": "5", "gold": "5", "golds": ["5"]},
        "analyse": {"teacher_counts": {}, "student_counts": {}, "n": 1, "c": 1, "k": 1},
        "reward": {"trajectory": TRAJECTORY, "references": REFERENCES},
    }[command[0]]
    first, second = run(*command, lines=[line, good], code=1)
    assert first["error"]["field"] == field and first["error"]["line"] == 1
    assert "error" not in second


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("grade", "math", "nowhere.jsonl"), "nowhere.jsonl"),
        (("reward", "score", "--preset", "nice"), "published_code"),
        (("reward", "score", "--judge", "oracle"), "qa_em"),
        (("trajectory", "show", "nowhere.jsonl"), "nowhere.jsonl"),
        (("serve", "sandbag"), "sandbox, retriever"),
        (("jobs", "submit", "teach", "x.yaml"), "evaluate"),
        (("distill", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_bad_arguments_are_one_line_with_exit_code_2(arguments: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("error: ") and complaint in line


def test_trajectory_show(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = Trajectory.model_validate(TRAJECTORY | {"question_id": "q1", "question": "2+3?"})
    path.write_text(whole.model_dump_json() + "\n" + Trajectory(turns=(Turn(text="[bold]"),)).model_dump_json() + "\n")
    result = CliRunner().invoke(app, ["trajectory", "show", str(path)])
    assert result.exit_code == 0
    assert "2+3?" in result.output and "add → 5" in result.output and "[bold]" in result.output


def test_trajectory_show_reads_standard_input() -> None:
    line = Trajectory.model_validate(TRAJECTORY | {"question": "2+3?"}).model_dump_json() + "\n"
    command = [sys.executable, "-m", "mentor.cli", "trajectory", "show"]
    done = subprocess.run(command, input=line, capture_output=True, text=True, check=True)
    assert "2+3?" in done.stdout


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    assert not modules_after("import mentor.cli.app") & {"torch", "transformers", "verl", "fastapi", "celery"}


def test_rewards_and_trajectories_load_neither_torch_nor_a_web_framework() -> None:
    loaded = modules_after("import mentor.rewards, mentor.trajectory, mentor.grading, mentor.analysis")
    assert not loaded & {"torch", "fastapi", "starlette", "uvicorn", "celery", "transformers"}
