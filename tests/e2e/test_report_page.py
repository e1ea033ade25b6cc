"""The report in a real browser: it needs no network, shows figures, and lets one walk through trajectories."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mentor.data import write_text, write_trajectories
from mentor.jobs.model import Job, JobState
from mentor.local.distill import DistillSpec, Outcome, Stage
from mentor.local.report import write_report
from mentor.local.summary import Evaluations, summarize
from mentor.trajectory import Observation, Question, ToolCall, Trajectory, Turn

CHROMIUM = shutil.which("chromium")
HOSTILE = "</script><script>document.title='hacked'</script><b>bold</b>"


HOSTILE_ARM = "<img src=x onerror=alert(1)>"


def trajectory(question: Question, model: str, right: bool) -> Trajectory:
    call = ToolCall(name="add", arguments={"firstNumber": 1, "secondNumber": 2})
    seen = Observation(name="add", content=HOSTILE if right else "Error: no", ok=right)
    turns = (Turn(text="I call add", tool_calls=(call,), observations=(seen,)), Turn(text=f"\\boxed{{3}} by {model}"))
    return Trajectory(
        question_id=question.id, question=question.question, turns=turns, answer="3", model=model,
        metadata={"correct": right},
    )  # fmt: skip


class Fetched(Evaluations):
    """Evaluations whose trajectories are on disk already."""

    def __init__(self, questions: list[Question], sampled: dict[str, list[Trajectory]]) -> None:
        self.questions = {question.id: question for question in questions}
        self.sampled, self.greedy = sampled, {}


def report_in(folder: Path) -> Path:
    places = {"split": "in_domain", "group": "in_domain"}
    questions = [Question(id=f"q{n}", question=f"What is 1 + {n}?", answers=("3",), metadata=places) for n in range(4)]
    quality = {"teacher": True, "vanilla": False, "trained": True, HOSTILE_ARM: True}
    drawn = {model: [trajectory(q, model, right) for q in questions] for model, right in quality.items()}
    for model, trajectories in drawn.items():
        write_trajectories(trajectories, folder / "trajectories" / f"{model}.jsonl")
    steps = [{"step": n, "data": {"mentor/reward": n / 10, "mentor/invalid_rate": 0.1}} for n in range(1, 5)]
    write_text(folder / "training" / "trained.jsonl", "".join(json.dumps(step) + "\n" for step in steps))
    spec = DistillSpec(questions="q", student="s", teacher={}, output=str(folder))
    job = Job(id="train-1", kind="train", state=JobState.SUCCEEDED, spec={}, created_at=0)
    stages = {"train trained": Stage(label="train trained", job=job, seconds=1.0)}
    outcome = Outcome(spec=spec, stages=stages, evaluation=tuple(questions), arms=("trained",))
    summary = summarize(Fetched(questions, drawn)) | {"seeds": {"chain": 0}, "seconds": {"total": 1.0}}
    return write_report(summary, outcome, folder)


def rendered(page: Path, profile: Path) -> str:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={profile}"]
    command = [str(CHROMIUM), *flags, "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")
def test_the_page_shows_table_figures_and_trajectories_and_runs_nothing_that_a_model_wrote(tmp_path: Path) -> None:
    page = rendered(report_in(tmp_path / "out"), tmp_path / "profile")
    assert "<title>MENTOR: distill</title>" in page  # what a tool wrote did not run
    assert page.count('class="main-svg"') >= 2  # both figures are drawn
    assert "What is 1 + 0?" in page and "I call add" in page
    assert "&lt;/script&gt;" in page and "<b>bold</b>" not in page.split('id="models"')[1].split("<h2>")[0]
    assert "+100.0 points" in page


def test_an_arms_name_stays_text(tmp_path: Path) -> None:
    html = report_in(tmp_path / "out").read_text()
    assert "<td>&lt;img src=x onerror=alert(1)&gt;</td>" in html and "<td><img" not in html and "<b><img" not in html


def test_the_file_names_no_other_address_to_load_from(tmp_path: Path) -> None:
    html = report_in(tmp_path / "out").read_text()
    assert "src=" not in html.split("<body>")[0] and 'script src="http' not in html and "link href" not in html
