"""The index while it is gathered, and when it has no room: what the list says, what leaves, what comes again."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.committed import CommittedJobs, browser, committed_jobs, gathered, write_lines
from tests.support.waiting import eventually

ROW = re.compile(r'<td class="title"><a href="/trajectories/([0-9a-f]{20})">')
AWAY = {f"MENTOR_CONSOLE_{name}_URL": "http://127.0.0.1:9" for name in ("TRAINER", "EVALUATOR")}


def keys(client: httpx.Client, **filters: str) -> list[str]:
    """Of the first page."""
    return ROW.findall(client.get("/trajectories", params=filters).text)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    with committed_jobs(tmp_path_factory.mktemp("gathering"), services=("teacher",)) as made:
        yield made


def test_before_the_first_gathering_has_ended_the_list_says_so(jobs: CommittedJobs, tmp_path: Path) -> None:
    lines = [{"question_id": str(n), "question": "early", "turns": []} for n in range(2)]
    jobs.job("teacher", {"trajectories.jsonl": write_lines(tmp_path / "early.jsonl", lines)})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        console = jobs.console(cache="slow", **AWAY | {"MENTOR_CONSOLE_TRAINER_URL": url})
        with browser(console) as client:
            eventually(lambda: len(keys(client)) == 2, what="the teacher's, which come first")
            assert "gathered for the first time" in client.get("/trajectories").text
            none = client.get("/trajectories", params={"kind": "train"}).text
            assert "none yet that fits" in none and "Nothing fits" not in none
    with browser(console) as client:
        eventually(lambda: "for the first time" not in client.get("/trajectories").text, what="the end of the round")
        assert "Nothing fits" in client.get("/trajectories", params={"kind": "train"}).text
    console.stop()


def test_a_full_cache_keeps_the_job_that_ended_last_and_says_what_left(tmp_path: Path) -> None:
    with committed_jobs(tmp_path, services=("teacher",)) as jobs:
        for name in ("first", "second"):
            lines = [{"question_id": f"{name}-{n}", "question": name * 20, "turns": []} for n in range(200)]
            jobs.job("teacher", {"trajectories.jsonl": write_lines(tmp_path / f"{name}.jsonl", lines)})
        console = jobs.console(MENTOR_CONSOLE_CACHE_GB="0.0001", **AWAY)
        with browser(console) as client:
            eventually(
                lambda: "1 job(s) are no longer here" in client.get("/trajectories").text, what="the first to leave"
            )
            assert (
                "question=first" not in client.get("/trajectories").text and len(keys(client, question="second-0")) == 1
            )
            assert keys(client, question="first-0") == []
        lines_read = console.metric("mentor_console_indexed_lines_total")
        time.sleep(2.0)
        assert console.metric("mentor_console_indexed_lines_total") == lines_read == 400, (
            "what left is not fetched again"
        )
        console.stop()
        console = jobs.console(MENTOR_CONSOLE_CACHE_GB="1", **AWAY)
        gathered(console, 400)
        with browser(console) as client:
            assert "no longer here" not in client.get("/trajectories").text
