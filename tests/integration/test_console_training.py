"""The console's page of training runs, over HTTP, on a real service: what verl or TRL printed is shown as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor.jobs.model import JobState
from tests.hostile_text.cases import PAYLOADS
from tests.hostile_text.markup import faults
from tests.support.committed import CommittedJobs, browser, committed_jobs
from tests.support.service_process import ServiceProcess

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    with committed_jobs(tmp_path_factory.mktemp("training"), services=("trainer",)) as made:
        yield made


@pytest.fixture(scope="module")
def console(jobs: CommittedJobs) -> ServiceProcess:
    return jobs.console(MENTOR_CONSOLE_TEACHER_URL=NOWHERE, MENTOR_CONSOLE_EVALUATOR_URL=NOWHERE)


def printing(folder: Path, text: str) -> Path:
    file = folder / "train.log"
    file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    return file


def test_a_failed_run_shows_the_last_lines_of_its_process_and_more_as_text(
    jobs: CommittedJobs, console: ServiceProcess, tmp_path: Path
) -> None:
    claim = jobs.claimed("train", {"model": "student"})
    job = claim.job
    with browser(console) as client:
        assert client.get(f"/training?job={job.id}").status_code == 200, "one that has printed nothing yet"
        lines = [f"line {number} of verl" for number in range(1, 1001)]
        file = printing(tmp_path, "\n".join(lines))
        jobs.commit(claim, "train.log", file)
        assert jobs.store.finish(job.id, claim.fence, JobState.FAILED, error="training failed")
        page = client.get(f"/training?job={job.id}").text
        assert "Output of verl/TRL" in page and "line 1000 of verl" in page and "line 800 of verl" not in page
        more = client.get(f"/api/training/{job.id}/output", params={"tail": 20_000})
        assert more.text == "\n".join(lines) and more.headers["content-type"].startswith("text/plain")
        assert client.get(f"/api/training/{job.id}/output", params={"tail": 1}).text == lines[-1]


def test_runs_that_are_not_there_have_no_output(console: ServiceProcess) -> None:
    with browser(console) as client:
        page = client.get("/training", params={"job": ["train-none", "../x", PAYLOADS["attribute_break"]]})
        assert page.status_code == 200 and not faults(page.text)


@pytest.mark.parametrize("name", PAYLOADS)
def test_whatever_a_model_or_a_tool_wrote_into_it_is_text(
    jobs: CommittedJobs, console: ServiceProcess, name: str, tmp_path: Path
) -> None:
    job = jobs.job("train", {"train.log": printing(tmp_path, PAYLOADS[name])}, {"model": "student"})
    with browser(console) as client:
        page = client.get(f"/training?job={job}")
        assert page.status_code == 200 and not faults(page.text), faults(page.text)
        output = client.get(f"/api/training/{job}/output")
        assert output.headers["content-type"].startswith("text/plain")
        assert output.headers["x-content-type-options"] == "nosniff"
        for text in (page.text, output.text):
            assert not any(mark in text for mark in "\u202e\x1b\x00\u200b") and len(text) < 1_000_000


def test_only_the_end_of_an_output_is_read_however_long_it_is(
    jobs: CommittedJobs, console: ServiceProcess, tmp_path: Path
) -> None:
    job = jobs.job("train", {"train.log": printing(tmp_path, "x" * 10_000_000 + "the end")}, {"model": "student"})
    with browser(console) as client:
        output = client.get(f"/api/training/{job}/output").text
        assert output.endswith("the end") and len(output) < 500_000
