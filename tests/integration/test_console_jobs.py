"""The console's pages of jobs, over HTTP, on real services: list, one job live, forms from schemas, what can be done."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from mentor.jobs.model import JobState
from tests.support.committed import CommittedJobs, browser, committed_jobs, held, write_lines
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

MODEL = {"url": "http://127.0.0.1:9", "name": "someone"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    with committed_jobs(tmp_path_factory.mktemp("jobs"), services=("teacher", "evaluator")) as made:
        yield made


@pytest.fixture(scope="module")
def console(jobs: CommittedJobs) -> ServiceProcess:
    return jobs.console(
        MENTOR_CONSOLE_TRAINER_URL="http://127.0.0.1:9", MENTOR_CONSOLE_MODELS='{"someone": "http://127.0.0.1:9"}'
    )


def csrf(page: str) -> str:
    return re.search(r'name="csrf" content="([^"]+)"', page)[1]  # type: ignore[index]


def claimed(jobs: CommittedJobs, kind: str = "teacher", **spec: object) -> tuple[str, int]:
    claim = jobs.claimed(kind, {"model": MODEL, "questions": "q.jsonl", **spec})
    return claim.job.id, claim.fence


def followed(
    client: httpx.Client,
    address: str,
    until: str,
    headers: dict[str, str] | None = None,
    found: list[str] | None = None,
) -> list[str]:
    """Lines of a stream up to the one that begins so, added to ``found`` as they come."""
    found = [] if found is None else found
    with client.stream("GET", address, headers=headers or {}, timeout=60) as answer:
        for line in answer.iter_lines():
            found.append(line)
            if line.startswith(until):
                break
    return found


def test_the_list_is_filtered_and_searched_and_says_which_service_is_away(
    jobs: CommittedJobs, console: ServiceProcess
) -> None:
    one = jobs.job("teacher", {}, {"model": {"name": "qwen"}, "questions": "sums.jsonl"})
    other = jobs.job("evaluate", {}, {"suite": "gsm8k"})
    with browser(console) as client:
        page = client.get("/jobs").text
        assert one in page and other in page and "Jobs of the trainer are not here" in page
        page = client.get("/jobs", params={"text": "qwen sums"}).text
        assert one in page and other not in page
        page = client.get("/jobs", params={"kind": "evaluate", "state": "succeeded"}).text
        assert one not in page and other in page
        assert "Nothing fits" in client.get("/jobs", params={"text": "nowhere"}).text


def test_one_job_shows_its_error_its_chain_and_its_artefacts_and_streams_them(
    jobs: CommittedJobs, console: ServiceProcess, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "references.jsonl", [{"id": "1"}])
    parent = jobs.job("teacher", {"references.jsonl": file})
    child, fence = claimed(jobs, "evaluate", reference=f"artifact:{parent}/references.jsonl")
    assert jobs.store.finish(child, fence, JobState.FAILED, error="the sandbox cannot be reached <b>")
    with browser(console) as client:
        page = client.get(f"/jobs/{parent}").text
        assert f'href="/jobs/{child}"' in page and f"artifact:{parent}/references.jsonl" in page
        answer = client.get(f"/jobs/{parent}/artifacts/references.jsonl")
        assert answer.content == file.read_bytes() and "attachment" in answer.headers["content-disposition"]
        assert (
            client.get(f"/jobs/{parent}/artifacts/references.jsonl", headers={"range": "bytes=2-5"}).content
            == file.read_bytes()[2:6]
        )
        page = client.get(f"/jobs/{child}").text
        assert (
            "the sandbox cannot be reached &lt;b&gt;" in page
            and f'href="/jobs/{parent}"' in page
            and ">Resume<" in page
        )
        again = client.get(f"/jobs/new/evaluator/evaluate?clone={child}").text
        assert f"artifact:{parent}/references.jsonl" in again


def test_a_form_comes_from_the_schema_and_a_refusal_stands_at_its_field(console: ServiceProcess) -> None:
    with browser(console) as client:
        form = client.get("/jobs/new/teacher/teacher").text
        assert 'name="model.url"' in form and 'name="until_right"' in form
        values = {"csrf": csrf(form), "model.url": MODEL["url"], "model.name": "x", "samples": "0"}
        wrong = client.post("/jobs/new/teacher/teacher", data=values)
        assert wrong.status_code == 400
        assert re.search(r'id="e-(questions|samples)"', wrong.text)
        values |= {"questions": "q.jsonl", "samples": "one"}
        wrong = client.post("/jobs/new/teacher/teacher", data=values)
        assert 'id="e-samples"' in wrong.text and "Allowed: <bdi>a number" in wrong.text
        assert client.post("/jobs/new/teacher/teacher", data={**values, "csrf": "of another"}).status_code == 403


def test_a_first_step_is_submitted_by_clicking_and_can_be_cancelled_resumed_and_is_not_submitted_twice(
    console: ServiceProcess,
) -> None:
    with browser(console) as client:
        token = csrf(client.get("/").text)
        form = client.post("/jobs/first/teacher", data={"csrf": token}, follow_redirects=True)
        assert form.status_code == 200 and "file:" in form.text
        values = dict(re.findall(r'<input [^>]*name="([^"]+)" value="([^"]*)"', form.text))
        values |= {
            n: v for n, v in re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>([^<]*)<', form.text) if n != "spec_json"
        }
        values = {name: value.replace("&#34;", '"') for name, value in values.items()}
        made = client.post("/jobs/new/teacher/teacher", data=values)
        assert made.status_code == 303, re.findall(r'role="alert"[^/]*', made.text)
        assert client.post("/jobs/new/teacher/teacher", data=values).headers["location"] == made.headers["location"]
        job = made.headers["location"]
        assert "for a worker that is free" in client.get(job).text
        assert client.post(f"{job}/cancel", data={"csrf": token}).status_code == 303
        assert ">Resume<" in client.get(job).text
        assert client.post(f"{job}/resume", data={"csrf": token}).status_code == 303
        assert client.post(f"{job}/resume", data={"csrf": token}).status_code == 409
        assert ">Cancel<" in client.get(job).text


def test_a_stream_goes_on_after_a_break_and_after_the_service_restarted(
    jobs: CommittedJobs, console: ServiceProcess
) -> None:
    job, fence = claimed(jobs)
    jobs.store.record(job, fence, "log", {"message": "one"})
    with held(jobs.store, job, fence), browser(console) as client:
        seen = followed(client, f"/api/jobs/{job}/events", 'data: {"sequence": 3')
        last = next(line for line in reversed(seen) if line.startswith("id:")).partition(":")[2].strip()
        lines: list[str] = []
        ended = threading.Event()

        def follow() -> None:
            followed(client, f"/api/jobs/{job}/events", "event: end", {"last-event-id": last}, lines)
            ended.set()

        threading.Thread(target=follow, daemon=True).start()
        jobs.store.record(job, fence, "log", {"message": "two"})
        eventually(lambda: any("two" in line for line in lines), what="the follower to be there")
        port = str(urlsplit(jobs.processes["teacher"].http).port)
        jobs.processes["teacher"].stop()
        jobs.store.record(job, fence, "log", {"message": "while it was away"})
        jobs.processes["teacher"] = ServiceProcess("mentor_teacher", "--port", port, env=jobs.jobs_env)
        jobs.store.record(job, fence, "log", {"message": "after"})
        assert jobs.store.finish(job, fence, JobState.SUCCEEDED, result={})
        eventually(ended.is_set, what="the stream to end")
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {") and len(line) > 10]
    numbers = [event["sequence"] for event in told]
    assert numbers == sorted(set(numbers)) and numbers[0] == int(last) + 1
    assert [e["message"] for e in told if "message" in e] == ["two", "while it was away", "after"]


def test_what_is_not_there_is_a_page_for_a_browser_and_json_for_others(console: ServiceProcess) -> None:
    with browser(console) as client:
        page = client.get("/nowhere", headers={"accept": "text/html"})
        assert page.status_code == 404 and "<h1>Not found</h1>" in page.text
        assert client.get("/nowhere").headers["content-type"] == "application/json"
        assert client.get("/jobs/none-1").status_code == 503, "a service is away: it may have it"
        assert client.post("/sign-out", data={"csrf": csrf(page.text)}).status_code == 303
