"""Seams: a package from outside the repository adds one plug-in of every kind, and every built-in one keeps its interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mentor.errors import UserError
from mentor.plugins import Registry, seams
from mentor.plugins.seams import seam

PACKAGE = Path(__file__).parents[1] / "plugin_package"
ROOT = Path(__file__).parents[2]
KINDS = {
    "judge": "same_length", "scorer": "brevity", "suite": "sums", "importer": "csv_pairs", "filter": "long_answers",
    "selection": "most_calls", "method": "nothing", "strategy": "mute", "exporter": "one_number",
    "engine": "llama_cpp",
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example package is installed in, as pip does it."""
    target = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source")
    subprocess.run(["cp", "-r", f"{PACKAGE}/.", source], check=True)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, capture_output=True)
    return target


def python(installed: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{ROOT}"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def listed(installed: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in python(installed, "-m", "mentor.cli", "list", "--json").splitlines()]


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_a_plug_in_of_every_kind_from_another_package_is_listed(
    kind: str, name: str, listed: list[dict[str, Any]]
) -> None:
    rows = [row for row in listed if row["seam"] == kind and row["name"] == name]
    assert [(row["origin"], row["problem"]) for row in rows] == [("mentor-plugin-example", None)]


def test_every_kind_that_is_announced_has_an_example() -> None:
    assert set(seams()) == set(KINDS)


def test_what_cannot_be_used_is_listed_with_its_problem(listed: list[dict[str, Any]]) -> None:
    problems = {row["name"]: row["problem"] for row in listed if row["problem"]}
    assert set(problems) == {"broken", "incomplete", "sft"}
    assert "No module named 'mentor_plugin_example.missing'" in problems["broken"]
    assert "has no command, conditions, on_verl, samples, steps_per_epoch" in problems["incomplete"]
    assert problems["sft"] == "the name is taken by mentor_trainer"


JUDGING = """
from mentor.grading import make_judge
assert make_judge("same_length")("ab", ["cd"]) and not make_judge("same_length")("a", ["cd"])
"""
EVALUATING = """
from mentor.trajectory import Termination, Trajectory, Turn
from mentor_evaluator.jobs import questions_of
from mentor_evaluator.scorers import SCORERS
from mentor_evaluator.spec import EvaluateSpec
from mentor_evaluator.suites import SUITES
spec = EvaluateSpec(suite="sums", model={"path": "/m"}, max_questions=2)
questions = questions_of(spec)
suite = SUITES.get(spec.suite)
assert [q.id for q in questions] == ["0", "1"]
said = [Trajectory(question_id=q.id, question=q.question, answer=q.answers[0], termination=Termination.ANSWERED,
                   turns=(Turn(text="x"),)) for q in questions]
scores = {q.id: [SCORERS.get(suite.scorer).score(q, t)] for q, t in zip(questions, said)}
assert all(s[0].correct for s in scores.values()) and suite.aggregate(scores) == {"most_turns": 1}
"""
EXPORTING = """
import pathlib, sys
from mentor_evaluator.exports import EXPORTERS
from tests.support.written_run import write_run
folder = pathlib.Path(sys.argv[1]).parent
run = write_run(folder / "run", {"m/gsm8k/tools": [[True], [False]]})
(path,) = EXPORTERS.get("one_number").export(run, folder / "out")
assert path.read_text() == "m/gsm8k/tools 0.5\\n"
"""
TEACHING = """
import pathlib, sys
from mentor.trajectory import Termination, Trajectory
from mentor_teacher.jobs import verifiable_questions
from mentor_teacher.select import select
from mentor_teacher.spec import TeacherSpec
file = pathlib.Path(sys.argv[1]); file.write_text("1+1?,2\\n5*900?,4500\\n")
spec = TeacherSpec(questions=str(file), importer="csv_pairs", filters=["long_answers"], selection="most_calls",
                   model={"path": "/m"})
questions = verifiable_questions(spec)
drawn = [Trajectory(question_id=q.id, question=q.question, answer=q.answers[0], termination=Termination.ANSWERED,
                    metadata={"correct": True}) for q in questions]
chosen = select(questions, drawn, max_references=1, filters=spec.all_filters, selection=spec.selection)
assert [q.question for q in chosen.questions] == ["1+1?"] and chosen.dropped["long_answers"] == 1
again = TeacherSpec(questions=str(file), filters=[{"name": "short_answers", "most": 1}], model={"path": "/m"})
chosen = select(questions, drawn, max_references=1, filters=again.all_filters)
assert [t.metadata.get("why") for t in chosen.trajectories] == [None, "4 characters"]
try:
    TeacherSpec(questions=str(file), filters=[{"name": "short_answers", "least": 1}], model={"path": "/m"})
except ValueError as error:
    assert error.errors()[0]["loc"] == ("filters", 0, "least")
else:
    raise AssertionError("an option that there is not was taken")
"""


PROGRAMS = {"judge": JUDGING, "evaluator": EVALUATING, "exporter": EXPORTING, "teacher": TEACHING}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_they_work_where_specs_name_them(program: str, installed: Path, tmp_path: Path) -> None:
    python(installed, "-c", program, str(tmp_path / "pairs.csv"))


def test_a_method_of_another_package_trains(installed: Path, tmp_path: Path) -> None:
    tiny = ROOT / "examples" / "tiny"
    out = tmp_path / "out"
    spec = {
        "algorithm": "nothing", "model": str(tiny / "checkpoints/student"), "weight_decay": 0, "total_epochs": 1,
        "train_files": str(tiny / "questions/train.jsonl"), "output_dir": str(out), "device": "cpu",
        "n_gpus_per_node": 1, "tensor_parallel": 1, "max_prompt_length": 512, "max_response_length": 512,
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    python(installed, "-m", "mentor_trainer.train", str(tmp_path / "spec.yaml"))
    assert (out / "model" / "config.json").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_every_built_in_plug_in_is_whole(kind: str) -> None:
    registry: Registry[Any] = seam(kind)
    assert registry.names()
    for item, plugin in zip(registry.listing(), registry, strict=True):
        assert item.problem is None and registry.get(plugin.name) is plugin
        assert plugin.summary and "\n" not in plugin.summary and len(plugin.summary) <= 110


def test_a_name_that_is_unknown_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UserError, match=r"unknown judge 'oracle'") as refused:
        seam("judge").get("oracle", "judge")
    assert refused.value.field == "judge" and "math" in str(refused.value.allowed)
    with pytest.raises(UserError, match="nothing installed here takes plug-ins of kind 'cook'"):
        seam("cook")
