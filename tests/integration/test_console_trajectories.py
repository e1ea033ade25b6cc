"""Trajectories in the console, over real services: found, shown, compared, noted, run again, and hidden from others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from mentor.rpc.principal import Principal, Role
from tests.support.committed import CommittedJobs, browser, committed_jobs, gathered, write_lines
from tests.support.service_process import ServiceProcess, running_process
from tests.support.told import commit_told
from tests.support.waiting import eventually

ROW = re.compile(r'<td class="title"><a href="/trajectories/([0-9a-f]{20})">')


def keys(client: httpx.Client, **filters: str) -> list[str]:
    """Of the first page."""
    answer = client.get("/trajectories", params=filters)
    assert answer.status_code == 200, answer.text
    return ROW.findall(answer.text)


def token(client: httpx.Client) -> str:
    found = re.search(r'<meta name="csrf" content="([^"]+)"', client.get("/").text)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    folder = tmp_path_factory.mktemp("told")
    with committed_jobs(folder) as made:
        made.ids = commit_told(made, folder / "made")
        yield made


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as started:
        yield started


@pytest.fixture(scope="module")
def console(jobs: CommittedJobs, sandbox: ServiceProcess) -> Iterator[ServiceProcess]:
    started = jobs.console(MENTOR_CONSOLE_SANDBOX_URL=sandbox.http)
    gathered(started, 6)
    yield started


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, 6), ({"kind": "teacher"}, 2), ({"kind": "train"}, 2), ({"kind": "evaluation"}, 2), ({"model": "student"}, 2),
        ({"suite": "tiny"}, 2), ({"arm": "tools"}, 2), ({"question": "q1"}, 6), ({"step": "2"}, 1), ({"step_from": "1"}, 2),
        ({"step_from": "2"}, 1), ({"correct": "right"}, 3), ({"correct": "wrong"}, 3), ({"termination": "answered"}, 6),
        ({"tool": "multiply"}, 6), ({"tool": "divide"}, 0), ({"error": "timeout"}, 0), ({"reward_from": "1"}, 1),
        ({"reward_to": "0.5"}, 1), ({"text": "thinking aloud"}, 6), ({"text": "Boxed"}, 6), ({"text": "mult*"}, 6),
        ({"text": "mult"}, 0), ({"text": "aloud multiply", "kind": "train", "correct": "wrong"}, 1), ({"text": "absent"}, 0),
    ],
)  # fmt: skip
def test_filters_find_what_they_say(console: ServiceProcess, filters: dict[str, str], found: int) -> None:
    with browser(console) as client:
        assert len(keys(client, **filters)) == found


def test_a_wrong_filter_is_named_on_a_page(console: ServiceProcess) -> None:
    with browser(console) as client:
        answer = client.get("/trajectories", params={"reward_from": "much"})
        assert answer.status_code == 422 and "reward_from" in answer.text and "<main" in answer.text


def test_a_trajectory_shows_its_conversation_time_tokens_and_why_it_has_its_reward(console: ServiceProcess) -> None:
    with browser(console) as client:
        (key,) = keys(client, step="2")
        page = client.get(f"/trajectories/{key}").text
        assert 'id="turn-2"' in page and "<details><summary>Reasoning" in page and "firstNumber" in page
        assert 'class="timeline"' in page and "20.0 ms" in page and "0.50 s" in page
        assert "2 (counts)" in page and "(0.7 × correctness" in page  # the reference with both calls
        assert page.count('class="chosen"') == 1
        strict = client.get(f"/trajectories/{key}", params={"preset": "paper_strict"}).text
        assert "Under <bdi>paper_strict</bdi>" in strict
        assert client.get(f"/trajectories/{key}", params={"preset": "none_such"}).status_code == 400
        tokens = client.get(f"/trajectories/{key}/tokens").text
        assert "12 tokens" in tokens and tokens.count("token masked") == 4 + 1 and "log-probability -6.0000" in tokens


def test_two_trajectories_stand_beside_each_other_with_their_differences_marked(console: ServiceProcess) -> None:
    with browser(console) as client:
        (key,) = keys(client, step="1")
        alone = client.get(f"/trajectories/{key}").text
        others = re.findall(rf"/trajectories/{key}\?beside=([0-9a-f]+)", alone)
        assert len(others) == 5
        teacher = keys(client, kind="teacher", correct="right")[0]
        assert others[0] in keys(client, kind="teacher")  # the teacher's come first
        page = client.get(f"/trajectories/{key}", params={"beside": teacher}).text
        assert page.count('class="call same"') == 2 and page.count('class="call changed"') == 2
        assert 'id="other-turn-2"' in page


def test_a_test_case_holds_the_question_what_was_done_and_what_came_of_it(console: ServiceProcess) -> None:
    with browser(console) as client:
        (key,) = keys(client, step="2")
        case = client.get(f"/trajectories/{key}/case.json").json()
        assert case["question"]["answers"] == ["10"] and case["correct"] is True and case["answer"] == "10"
        assert [call["name"] for call in case["calls"]] == ["multiply", "add"]
        line = client.get(f"/trajectories/{key}/line.json").json()
        assert line["reward"]["total"] == pytest.approx(1.1)


def test_a_call_runs_again_in_the_sandbox(console: ServiceProcess) -> None:
    with browser(console) as client:
        key = keys(client, step="2")[0]
        data = {"csrf": token(client), "turn": "2", "call": "1"}
        page = client.post(f"/trajectories/{key}/rerun", data=data)
        assert page.status_code == 200 and "ok, " in page.text and "the same" in page.text
        wrong = client.post(f"/trajectories/{key}/rerun", data=data | {"call": "9"})
        assert wrong.status_code == 404


def test_tags_and_notes_are_kept_found_exported_and_survive_a_new_index(
    jobs: CommittedJobs, console: ServiceProcess
) -> None:
    with browser(console) as client:
        key = keys(client, step="1")[0]
        csrf = token(client)
        assert client.post(f"/trajectories/{key}/tags", data={"csrf": csrf, "tag": "look at"}).status_code == 303
        assert (
            client.post(f"/trajectories/{key}/notes", data={"csrf": csrf, "text": "why <b>3</b>?"}).status_code == 303
        )
        assert client.post(f"/trajectories/{key}/tags", data={"csrf": csrf, "tag": "\x00"}).status_code == 400
        assert keys(client, tag="look at") == [key]
        assert "why &lt;b&gt;3&lt;/b&gt;?" in client.get(f"/trajectories/{key}").text
        (record,) = [json.loads(line) for line in client.get("/trajectories/notes.jsonl").text.splitlines()]
        assert record["trajectory"] == key and record["step"] == 1 and record["tags"][0]["tag"] == "look at"
        assert record["notes"][0]["text"] == "why <b>3</b>?"
    again = jobs.console(cache="another")  # an index from nothing, beside the notes of the first
    again.stop()
    folder = jobs.folder / "another"
    for file in folder.glob("notes.sqlite*"):
        file.unlink()
    (folder / "notes.sqlite").write_bytes((jobs.folder / "console" / "notes.sqlite").read_bytes())
    for suffix in ("-wal", "-shm"):
        source = jobs.folder / "console" / f"notes.sqlite{suffix}"
        if source.exists():
            (folder / source.name).write_bytes(source.read_bytes())
    again = jobs.console(cache="another")
    gathered(again, 6)
    with browser(again) as client:
        assert keys(client, tag="look at") == [key]
        csrf = token(client)
        client.post(f"/trajectories/{key}/tags", data={"csrf": csrf, "tag": "look at", "remove": "true"})
        assert keys(client, tag="look at") == []


def test_an_index_of_another_version_is_made_anew(jobs: CommittedJobs) -> None:
    first = jobs.console(cache="old")
    gathered(first, 6)
    first.stop()
    (jobs.folder / "old" / "index.sqlite").write_bytes(b"no database" * 1000)
    for left in ("index.sqlite-wal", "index.sqlite-shm"):
        (jobs.folder / "old" / left).unlink(missing_ok=True)
    second = jobs.console(cache="old")
    gathered(second, 6)
    with browser(second) as client:
        assert len(keys(client)) == 6
    second.stop()


def test_pages_follow_one_another_by_key_and_lose_nothing(tmp_path: Path, jobs: CommittedJobs) -> None:
    lines = [{"question_id": f"page-{n}", "question": "pages", "turns": []} for n in range(120)]
    job = jobs.job("evaluate", {"trajectories.jsonl": write_lines(tmp_path / "many.jsonl", lines)})
    console = jobs.console(cache="pages")
    gathered(console, 126)
    with browser(console) as client:
        seen: list[list[str]] = []
        address = f"/trajectories?job={job}"
        while address:
            text = client.get(address).text
            seen.append(ROW.findall(text))
            following = re.search(r'href="([^"]+)" rel="next"', text)
            address = following[1].replace("&amp;", "&") if following else ""
        assert [len(page) for page in seen] == [50, 50, 20] and len({k for page in seen for k in page}) == 120
        before = re.search(r'href="([^"]+)" rel="prev"', text)
        assert before is not None and ROW.findall(client.get(before[1].replace("&amp;", "&")).text) == seen[1]
    console.stop()


def test_phrases_are_found_in_quotes(console: ServiceProcess) -> None:
    with browser(console) as client:
        assert len(keys(client, text='"thinking aloud"')) == 6 and keys(client, text='"aloud thinking"') == []
        page = client.get("/trajectories", params={"text": '"What is 2" multiply', "kind": "train"}).text
        assert len(ROW.findall(page)) == 2 and "2 found" in page


def test_an_outage_is_told_and_what_is_there_can_be_read(jobs: CommittedJobs) -> None:
    console = jobs.console(cache="outage")
    gathered(console, 6)
    jobs.processes["trainer"].stop()
    with browser(console) as client:
        eventually(lambda: "New trajectories of the trainer are not here" in client.get("/trajectories").text)
        assert len(keys(client, kind="train")) == 2
    jobs.start("trainer")
    console.stop()


def test_a_reader_sees_the_trajectories_of_jobs_that_the_services_show_to_their_key_and_no_others(
    tmp_path: Path,
) -> None:
    known = {"alice": "submit, run, search", "bob": "submit"}
    secret = {name: f"{name}s-key-0123456789" for name in known}
    clients = {
        n: {"key_sha256": hashlib.sha256(k.encode()).hexdigest(), "roles": known[n].split(", ")}
        for n, k in secret.items()
    }
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(clients))
    env = {"MENTOR_API_KEYS_FILE": str(tmp_path / "keys.yaml")}
    alice = Principal("key:alice", frozenset({Role.SUBMIT}))
    with committed_jobs(tmp_path, env=env, services=("teacher",)) as jobs:
        names = {f"MENTOR_CONSOLE_{name}_URL": "http://127.0.0.1:9" for name in ("TRAINER", "EVALUATOR")}
        path = write_lines(tmp_path / "x.jsonl", [{"question_id": "hers", "question": "of alice", "turns": []}])
        jobs.job("teacher", {"trajectories.jsonl": path}, submitter=alice)
        console = jobs.console(**names)
        with browser(console) as hers, browser(console) as his:
            assert hers.get("/trajectories").status_code == 303
            for client, key in ((hers, secret["alice"]), (his, secret["bob"])):
                assert client.post("/sign-in", data={"key": "wrong-key-0123456789"}).status_code == 401
                assert client.post("/sign-in", data={"key": key}).status_code == 303
            (found,) = eventually(lambda: keys(hers), what="alice's trajectory")
            assert keys(his) == [] and keys(his, question="hers") == []
            assert "of alice" not in his.get("/trajectories").text
            for address in ("", "/case.json", "/line.json", "/tokens", "/text?part=question"):
                assert his.get(f"/trajectories/{found}{address}").status_code == 404
            csrf = token(his)
            assert his.post(f"/trajectories/{found}/tags", data={"csrf": csrf, "tag": "x"}).status_code == 404
            assert (
                hers.post(f"/trajectories/{found}/tags", data={"csrf": token(hers), "tag": "mine"}).status_code == 303
            )
            assert (
                "mine" in hers.get("/trajectories/notes.jsonl").text and his.get("/trajectories/notes.jsonl").text == ""
            )
            assert "key:alice" in hers.get("/trajectories/notes.jsonl").text
            assert "mine" not in his.get("/trajectories").text
