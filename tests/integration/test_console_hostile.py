"""Hostile text in trajectories, over HTTP: shown as text by every page, whatever field it is in; and requests that trick."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from mentor.jobs.model import JobState
from mentor.rpc.principal import Principal
from tests.hostile_text.cases import MEGABYTE, PAYLOADS, broken_lines, cases
from tests.hostile_text.markup import Elements, faults
from tests.support.committed import CommittedJobs, browser, committed_jobs, gathered, write_lines
from tests.support.service_process import ServiceProcess


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    folder = tmp_path_factory.mktemp("hostile")
    with committed_jobs(folder, services=("teacher", "evaluator")) as made:
        attacks = write_lines(folder / "attacks.jsonl", [case.line for case in cases()])
        broken = write_lines(folder / "broken.jsonl", list(broken_lines().values()))
        made.job("teacher", {"trajectories.jsonl": attacks}, {"model": {"name": PAYLOADS["attribute_break"]}})
        made.job("evaluate", {"trajectories.jsonl": broken})
        yield made


@pytest.fixture(scope="module")
def console(jobs: CommittedJobs) -> Iterator[ServiceProcess]:
    started = jobs.console(MENTOR_CONSOLE_TRAINER_URL="http://127.0.0.1:9")
    gathered(started, len(list(cases())) + len(broken_lines()))
    yield started


def addresses(client: httpx.Client) -> list[str]:
    """The pages of all trajectories, by walking through the list."""
    found: list[str] = []
    page = "/trajectories"
    while page:
        html = client.get(page).text
        assert not faults(html), page
        links = Elements(html).found
        rows = [str(a["href"]) for tag, a in links if tag == "a" and str(a.get("href")).startswith("/trajectories/")]
        found += [row for row in rows if not row.endswith(".jsonl")]
        page = next((str(a["href"]) for tag, a in links if tag == "a" and a.get("rel") == "next"), "")
    return found


def test_every_attack_is_text_on_every_page(console: ServiceProcess) -> None:
    assert len(PAYLOADS) >= 60
    with browser(console) as client:
        pages = addresses(client)
        assert len(pages) == len(set(pages)) == len(list(cases())) + len(broken_lines())
        for address in pages:
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.text[:500])
            assert not faults(answer.text), (address, faults(answer.text))
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert len(answer.content) < 2_000_000


def test_what_cannot_be_seen_is_named_and_what_turns_the_page_around_is_gone(console: ServiceProcess) -> None:
    with browser(console) as client:
        for name in ("bidi_override", "ansi_colours", "null", "zero_width", "low_surrogate"):
            page = client.get("/trajectories", params={"question": f"{name}-turn"}).text
            assert "sample" in page and not any(c in page for c in "\u202e\x1b\x00\u200b")
            address = next(
                a
                for a in Elements(page).found
                if str(a[1].get("href")).startswith("/trajectories/") and "jsonl" not in str(a[1])
            )
            shown = client.get(str(address[1]["href"])).text
            assert not any(c in shown for c in "\u202e\x1b\x00\u200b"), name
            assert any(mark in shown for mark in ("⟨U+202E⟩", "␛", "␀", "⟨U+200B⟩", "\ufffd")), name


def test_a_megabyte_is_cut_on_the_page_and_whole_as_plain_text(console: ServiceProcess) -> None:
    with browser(console) as client:
        page = client.get("/trajectories", params={"question": "megabyte"}).text
        key = next(
            str(a["href"])
            for tag, a in Elements(page).found
            if str(a.get("href")).startswith("/trajectories/") and "jsonl" not in str(a)
        )
        shown = client.get(key).text
        assert len(shown) < 100_000 and "more characters" in shown
        whole = client.get(f"{key}/text", params={"turn": 1, "call": 1, "part": "observation"})
        assert whole.text == MEGABYTE and whole.headers["content-type"].startswith("text/plain")
        assert whole.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", PAYLOADS)
def test_an_attack_in_the_address_is_text_too(console: ServiceProcess, name: str) -> None:
    value = quote(PAYLOADS[name][:900].encode("utf-8", "replace"))
    with browser(console) as client:
        for address in (
            f"/trajectories?text={value}", f"/trajectories?tool={value[:90]}", f"/trajectories?correct={value}",
            f"/trajectories?reward_from={value}", f"/trajectories/{value[:200]}", f"/trajectories?tag={value[:60]}",
        ):  # fmt: skip
            answer = client.get(address)
            if answer.status_code == 307:  # a slash too many
                assert answer.headers["location"].startswith(console.http), address
                continue
            assert answer.status_code in (200, 400, 404, 422), (address, answer.status_code)
            assert not faults(answer.text), (address, faults(answer.text))


def test_json_is_handed_out_as_json_and_never_as_a_page(console: ServiceProcess) -> None:
    with browser(console) as client:
        for address in addresses(client)[:40]:
            for form in ("case.json", "line.json"):
                answer = client.get(f"{address}/{form}")
                kind = answer.headers["content-type"]
                assert answer.status_code in (200, 404) and ("json" in kind or answer.status_code == 404), answer.text[
                    :200
                ]


def test_a_change_without_the_sessions_token_is_refused(console: ServiceProcess) -> None:
    with browser(console) as client:
        address = addresses(client)[0]
        for data in ({"tag": "x"}, {"tag": "x", "csrf": "guess"}):
            assert client.post(f"{address}/tags", data=data).status_code == 403
        foreign = {"origin": "https://elsewhere.example"}
        token = _token(client.get(address).text)
        assert client.post(f"{address}/tags", data={"tag": "x", "csrf": token}, headers=foreign).status_code == 403
        assert (
            client.post(
                f"{address}/tags", data={"tag": "x", "csrf": token}, headers={"sec-fetch-site": "cross-site"}
            ).status_code
            == 403
        )
        assert client.post(f"{address}/tags", data={"tag": "x", "csrf": token}).status_code == 303
        with browser(console) as another:
            another.get("/")
            assert another.post(f"{address}/notes", data={"text": "x", "csrf": token}).status_code == 403


def test_no_other_site_may_frame_read_or_reach_it_under_a_name_of_its_own(console: ServiceProcess) -> None:
    with browser(console) as client:
        answer = client.get("/trajectories")
        assert (
            answer.headers["x-frame-options"] == "DENY"
            and "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        )
        assert "access-control-allow-origin" not in answer.headers
        cookie = httpx.get(console.http + "/", trust_env=False).headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        for host in (
            "elsewhere.example",
            "127.0.0.1.elsewhere.example",
            "localhost.elsewhere.example:80",
            "",
            "[::1].x",
            "127.0.0.1@x",
        ):
            assert client.get("/trajectories", headers={"host": host}).status_code in (400, 403), host


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/..%5capp.py", "//static/../../app.py",
     "/static//etc/passwd", "/static/%00", "/trajectories/../../etc/passwd", "/trajectories/%2e%2e%2f%2e%2e/line.json",
     "/trajectories/..%2f..%2f/text?part=question", "/static/....//app.py", "/trajectories/%ff%fe"],
)  # fmt: skip
def test_a_path_leads_nowhere_but_to_pages(console: ServiceProcess, path: str) -> None:
    host, port = console.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:  # as it is: clients tidy paths up
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode("utf-8", "replace")
    assert answer.split()[1] in ("400", "404", "405", "422"), answer[:300]
    assert "def build" not in answer and "root:" not in answer


def _token(page: str) -> str:
    return next(str(a["value"]) for tag, a in Elements(page).found if tag == "input" and a.get("name") == "csrf")


def test_the_index_is_not_where_an_archive_wants_it(jobs: CommittedJobs, console: ServiceProcess) -> None:
    for path in Path(jobs.folder / "console").rglob("*"):
        assert path.resolve().is_relative_to((jobs.folder / "console").resolve())


def test_what_jobs_say_is_text_on_every_page_of_theirs(
    jobs: CommittedJobs, console: ServiceProcess, tmp_path: Path
) -> None:
    for payload in (
        PAYLOADS["attribute_break"],
        PAYLOADS["bidi_override"],
        "<img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}",
    ):
        spec = {"model": {"name": payload, "url": payload}, "questions": payload, "filters": [payload]}
        claim = jobs.claimed("teacher", spec, Principal(name=payload))
        job = claim.job
        metrics = {payload: 1.0}
        told = {"fraction": 0.5, "message": payload, "metrics": metrics}
        jobs.store.record(job.id, claim.fence, "progress", told, message=payload, metrics=metrics)
        summary = {
            "questions": 1,
            "questions_with_references": 1,
            "trajectories": 1,
            "accuracy": 1.0,
            "kept": 1,
            "model": payload,
        }
        file = write_lines(
            tmp_path / "summary.json", [summary | {"splits": {payload: 1}, "questions_screened": {payload: 1}}]
        )
        for name in ("summary.json", f"x-{payload}"[:40].replace("/", "-")):
            jobs.store.commit(job.id, jobs.files.put(job.id, name, file, claim.fence))
        jobs.store.finish(job.id, claim.fence, JobState.FAILED, error=payload)
        with browser(console) as client:
            pages = [
                "/",
                "/jobs",
                f"/jobs/{job.id}",
                "/datasets",
                f"/datasets/{job.id}",
                f"/jobs/new/teacher/teacher?clone={job.id}",
            ]
            for address in (*pages, f"/jobs?text={quote(payload)}", f"/datasets/compare?a={job.id}&b={job.id}"):
                answer = client.get(address, headers={"accept": "text/html"})
                assert answer.status_code == 200, (address, answer.text[:500])
                assert not faults(answer.text), (address, faults(answer.text))
                assert "\u202e" not in answer.text
            events = client.get(f"/api/jobs/{job.id}/events")
            assert events.headers["content-type"].startswith("text/event-stream") and "\u202e" not in events.text
