"""Data sets through jobs: a worker draws from a model server with a real sandbox, filters, and commits the folder."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mentor.data import read_questions
from mentor.errors import UserError
from mentor.jobs.model import JobState
from mentor_teacher.inspecting import inspect_dataset
from tests.support.adding_server import MODEL
from tests.support.served import ServedJobs, served_jobs
from tests.support.service_process import ROOT, ServiceProcess, environment, running_process
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model server that adds by tool, wrongly where the first number is a multiple of seven."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("adder") / "log"
    command = [sys.executable, "-m", "tests.support.adding_server", str(port), "0", str(log)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment())
    url = f"http://127.0.0.1:{port}/v1"

    def up() -> bool:
        try:
            return httpx.get(f"{url}/models", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    try:
        eventually(up, 30, what="the model server")
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with served_jobs(tmp_path_factory.mktemp("jobs")) as served:
        yield served


def asked(folder: Path, url: str, sandbox: ServiceProcess, **fields: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "id": f"{n}",
            "question": f"What is {n} + {10 * n}?",
            "answers": [str(11 * n)] if n < 20 else [],
            "tools": ["add"],
        }
        for n in range(1, 24)
    ]
    rows.append({"id": "again", "question": "What is  3 + 30 ?", "answers": ["33"], "tools": ["add"]})
    (folder / "eval.jsonl").write_text(json.dumps({"question": "What is 5 + 50?", "answer": "55"}) + "\n")
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec: dict[str, Any] = {
        "model": {"url": url, "name": MODEL}, "questions": str(folder / "sums.jsonl"), "samples": 3, "max_references": 2,
        "backends": {"sandbox": sandbox.grpc}, "sampling": {"max_tokens": 64},
        "filters": [
            "near_duplicates", {"name": "contamination", "sets": [str(folder / "eval.jsonl")]}, "agreement",
            "failing_calls", "without_tools",
        ],
        "split": {"train": 0.8, "validation": 0.2},
    }  # fmt: skip
    return {**spec, **fields}


def test_a_job_commits_a_data_set_and_counts_what_it_dropped(
    tmp_path: Path, jobs: ServedJobs, adder: str, sandbox: ServiceProcess
) -> None:
    job = jobs.succeeded(jobs.submit("teacher", **asked(tmp_path, adder, sandbox)))
    result = job.result or {}
    assert result["questions_screened"] == {"near_duplicates": 1, "contamination": 1}
    assert result["questions"] == 22 and result["wrong"] == 2 * 3, "7 and 14 are added wrongly"
    folder = jobs.manager.files.open_path(jobs.manager.artifact(job.id, "dataset"))
    parts = [read_questions(Path(folder) / name) for name in ("references.jsonl", "references-validation.jsonl")]
    kept = {question.id: question for part in parts for question in part}
    assert set(kept) == {str(n) for n in range(1, 24)} - {"5", "7", "14"}
    # 21 is a multiple of seven too, and nobody knew better: the samples agreed on the wrong answer.
    assert (
        kept["20"].answers == ("220",)
        and kept["21"].answers == ("-1",)
        and kept["20"].metadata["answer_by_agreement"] == 1
    )
    assert kept["1"].metadata["pass_rate"] == 1 and len(kept["1"].references) == 2
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    assert (
        manifest["origin"]["server"]["model"]["max_model_len"] == "32768" and manifest["origin"]["spec"]["samples"] == 3
    )
    counted = jobs.counted("mentor_teacher_fates")
    assert counted[("kept",)] == 40 and counted[("surplus",)] == 20 and counted[("wrong",)] == 6
    found, _ = inspect_dataset(Path(folder), 1)
    assert found.kept == 40 and list(found.steps) == [
        "unanswered",
        "wrong",
        "agreement",
        "failing_calls",
        "without_tools",
    ]


def test_what_can_never_work_is_refused_before_anything_is_drawn(
    tmp_path: Path, jobs: ServedJobs, adder: str, sandbox: ServiceProcess
) -> None:
    contaminated = {"name": "contamination", "sets": ["none.jsonl"]}
    for filters, field in (
        (["near_duplicates"], "questions"),
        (["agreement", contaminated], "filters.1.sets.0"),
        ([{"name": "length", "max_turns": "many"}], "filters.0.max_turns"),
    ):
        with pytest.raises(UserError) as refused:
            jobs.submit("teacher", **asked(tmp_path, adder, sandbox, filters=filters))
        assert refused.value.field == field, refused.value


def test_a_job_that_keeps_nothing_says_which_filter_took_it(
    tmp_path: Path, jobs: ServedJobs, adder: str, sandbox: ServiceProcess
) -> None:
    filters = ["agreement", {"name": "length", "max_turns": 1}]
    job = jobs.ended(jobs.submit("teacher", **asked(tmp_path, adder, sandbox, filters=filters)))
    assert job.state is JobState.FAILED and "length 63" in str(job.error)
    artifacts = {artifact.name for artifact in jobs.manager.store.artifacts(job.id)}
    assert artifacts == {"trajectories.jsonl", "summary.json", "statistics.html"}
    drawn = jobs.trajectories(job)
    fates = Counter(trajectory.metadata["fate"] for trajectory in drawn)
    assert len(drawn) == 24 * 3 and fates["length"] == 63
    open_path = jobs.manager.files.open_path
    summary = json.loads(open_path(jobs.manager.artifact(job.id, "summary.json")).read_text())
    assert (summary["kept"], summary["length"], summary["questions_with_references"]) == (0, 63, 0)
    assert "length" in open_path(jobs.manager.artifact(job.id, "statistics.html")).read_text()
