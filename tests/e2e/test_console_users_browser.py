"""Two users and an operator, with keys: what one of them has, no page, search, count, link or export shows to the other."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from mentor.rpc.principal import Principal, Role
from tests.support.chromium import CHROMIUM
from tests.support.committed import CommittedJobs, browser, committed_jobs, write_lines
from tests.support.console_browser import PATIENCE_MS
from tests.support.service_process import ServiceProcess
from tests.support.told import commit_told
from tests.support.waiting import eventually

pytest_plugins = ("tests.support.console_browser",)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")

KEYS = {name: f"{name}s-key-0123456789" for name in ("alice", "bob", "olga")}
ROLES = {"alice": ["submit", "run"], "bob": ["submit", "run"], "olga": ["operate"]}
SEEDS = (
    "/", "/jobs", "/datasets", "/training", "/evaluations", "/evaluations/compare", "/trajectories", "/playground",
    "/trajectories?question=q1", "/trajectories?text=multiply", "/trajectories?kind=teacher", "/trajectories?tag=hers",
    "/trajectories/notes.jsonl",
)  # fmt: skip
ROW = re.compile(r'<td class="title"><a href="/trajectories/([0-9a-f]{20})">')
NOWHERE = "0" * 20


@dataclass
class Users:
    """The stack, and what each user has in it: ids of jobs, keys of trajectories, words that only they wrote."""

    jobs: CommittedJobs
    console: ServiceProcess
    ids: dict[str, list[str]]
    words: dict[str, list[str]]
    keys: dict[str, list[str]] = field(default_factory=dict)

    @contextmanager
    def signed_in(self, name: str) -> Iterator[httpx.Client]:
        with browser(self.console) as client:
            assert client.post("/sign-in", data={"key": KEYS[name]}).status_code == 303
            yield client

    def marks(self, name: str) -> list[str]:
        """What nobody else may read."""
        return [*self.ids[name], *self.keys[name], *self.words[name], f"key:{name}"]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    folder = tmp_path_factory.mktemp("users")
    digests = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in KEYS.items()}
    known = {name: {"key_sha256": digests[name], "roles": ROLES[name]} for name in KEYS}
    (folder / "keys.yaml").write_text(yaml.safe_dump(known))
    with committed_jobs(folder, env={"MENTOR_API_KEYS_FILE": str(folder / "keys.yaml")}) as jobs:
        alice, bob = (Principal(f"key:{name}", frozenset({Role.SUBMIT})) for name in ("alice", "bob"))
        hers = commit_told(jobs, folder / "hers", submitter=alice)
        line = {
            "question_id": "q1",
            "question": "of bob alone",
            "model": "his model",
            "turns": [{"text": "his multiply"}],
        }
        path = write_lines(folder / "his" / "trajectories.jsonl", [line])
        his = jobs.job("teacher", {"trajectories.jsonl": path}, {"model": {"name": "his model"}}, submitter=bob)
        words = {"alice": ["thinking aloud", "What is 2 times 3"], "bob": ["of bob alone", "his model"]}
        made = Users(jobs, jobs.console(), {"alice": list(hers.values()), "bob": [his]}, words)
        for name, number in (("alice", 6), ("bob", 1)):
            with made.signed_in(name) as client:
                made.keys[name] = eventually(lambda c=client, n=number: found(c, n), what=f"the trajectories of {name}")
        with made.signed_in("alice") as client:
            data = {"csrf": token(client), "tag": "hers"}
            assert client.post(f"/trajectories/{made.keys['alice'][0]}/tags", data=data).status_code == 303
        yield made


@pytest.fixture(scope="module")
def console(users: Users) -> ServiceProcess:
    return users.console


def found(client: httpx.Client, number: int) -> list[str]:
    keys = ROW.findall(client.get("/trajectories").text)
    return keys if len(keys) == number else []


def token(client: httpx.Client) -> str:
    return re.search(r'<meta name="csrf" content="([^"]+)"', client.get("/").text)[1]  # type: ignore[index]


def crawled(client: httpx.Client, most: int = 150) -> dict[str, str]:
    """Every page that a reader comes to by links alone, by address."""
    waiting, seen = deque(SEEDS), dict[str, str]()
    while waiting and len(seen) < most:
        address = waiting.popleft()
        if address in seen:
            continue
        answer = client.get(address)
        assert answer.status_code < 500, f"{address}: {answer.status_code}"
        seen[address] = unescape(answer.text)
        links = re.findall(r'href="(/[^"#]*)', answer.text)
        waiting.extend(unescape(link) for link in links if not link.startswith("/static/"))
    return seen


@pytest.mark.parametrize(("name", "other"), [("alice", "bob"), ("bob", "alice")])
def test_no_page_that_links_lead_to_shows_anything_of_the_other(users: Users, name: str, other: str) -> None:
    with users.signed_in(name) as client:
        pages = crawled(client)
    assert all(any(job in page for page in pages.values()) for job in users.ids[name])
    leaks = [(mark, address) for address, page in pages.items() for mark in users.marks(other) if mark in page]
    assert not leaks


def test_search_facets_and_counts_are_of_ones_own(users: Users) -> None:
    with users.signed_in("bob") as client:
        for filters in (
            {"job": users.ids["alice"][0]},
            {"text": "thinking aloud"},
            {"tag": "hers"},
            {"model": "student"},
        ):
            page = client.get("/trajectories", params=filters).text
            assert not ROW.findall(page) and "0 found" in page and 'class="facet"' not in page
        page = client.get("/trajectories", params={"question": "q1"}).text
        assert ROW.findall(page) == users.keys["bob"] and "1 found" in page
        for text in users.ids["alice"]:
            assert "Nothing fits" in client.get("/jobs", params={"text": text}).text
        assert client.get("/trajectories/notes.jsonl").text == ""


def addresses(users: Users) -> list[str]:
    """Of Alice's: every kind of page, stream, file and JSON."""
    teacher, train, evaluation = users.ids["alice"]
    of_jobs = [
        f"/jobs/{job}{rest}" for job in (teacher, train, evaluation) for rest in ("", "/artifacts/trajectories.jsonl")
    ]
    of_jobs += [f"/api/jobs/{train}/{rest}" for rest in ("events", "log", "gathered")]
    of_jobs += [f"/datasets/{teacher}", f"/evaluations/{evaluation}", f"/api/training/{train}/curves"]
    of_jobs += [f"/datasets/compare?a={teacher}&b={teacher}", f"/jobs/new/teacher/teacher?clone={teacher}"]
    kinds = ("", "/tokens", "/case.json", "/line.json", "/text?part=question", f"?beside={users.keys['alice'][1]}")
    of_jobs += [f"/trajectories/{users.keys['bob'][0]}?beside={users.keys['alice'][0]}"]
    return of_jobs + [f"/trajectories/{users.keys['alice'][0]}{kind}" for kind in kinds]


def test_what_is_the_others_answers_like_what_does_not_exist(users: Users) -> None:
    with users.signed_in("bob") as client:
        for address in addresses(users):
            answer = client.get(address)
            assert answer.status_code == 404, f"{address}: {answer.status_code}"
            assert not [word for word in users.words["alice"] if word in answer.text]
        one, none = (client.get(f"/trajectories/{key}").text for key in (users.keys["alice"][0], NOWHERE))
        assert one.replace(users.keys["alice"][0], "") == none.replace(NOWHERE, "")
        data = {"csrf": token(client), "tag": "his", "text": "his", "turn": "1", "call": "1"}
        job = users.ids["alice"][0]
        changes = [f"/trajectories/{users.keys['alice'][0]}/{what}" for what in ("tags", "notes", "rerun")]
        for address in (*changes, f"/jobs/{job}/cancel", f"/jobs/{job}/resume"):
            assert client.post(address, data=data).status_code == 404, address


def test_an_operator_sees_all(users: Users) -> None:
    with users.signed_in("olga") as client:
        keys = eventually(lambda: found(client, 7), what="all trajectories")
        assert set(keys) == {*users.keys["alice"], *users.keys["bob"]}
        page = client.get("/jobs").text
        assert all(job in page for job in (*users.ids["alice"], *users.ids["bob"]))
        hers = [address for address in addresses(users) if address.startswith("/trajectories")]
        assert {client.get(address).status_code for address in hers} == {200}


def sign_in(page: Page, name: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("key").fill(KEYS[name])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def test_one_browser_passed_from_one_to_the_other(page: Page, users: Users) -> None:
    sign_in(page, "alice")
    page.goto("/trajectories?text=thinking")
    expect(page.locator("td.title")).to_have_count(6)
    page.goto(f"/trajectories/{users.keys['alice'][0]}")
    expect(page.locator("#main")).to_contain_text("What is 2 times 3")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")  # Chromium refuses to go back while it swaps one page for the next
    expect(page.get_by_label("key")).to_be_visible()
    page.go_back()
    assert "What is 2 times 3" not in page.content()
    sign_in(page, "bob")
    page.goto("/trajectories")
    expect(page.locator("td.title")).to_have_count(1)
    expect(page.locator("#main")).to_contain_text("of bob alone")
    assert "thinking" not in page.content() and "tiny" not in page.content()
    page.goto(f"/trajectories/{users.keys['alice'][0]}")
    expect(page.locator("[role=alert]")).to_have_text("there is no such trajectory")


def test_two_browsers_side_by_side(chromium: Browser, users: Users) -> None:
    contexts = {name: chromium.new_context(base_url=users.console.http) for name in ("alice", "bob")}
    pages = {name: context.new_page() for name, context in contexts.items()}
    for name, opened in pages.items():
        opened.set_default_timeout(PATIENCE_MS)
        sign_in(opened, name)
    for name, other in (("alice", "bob"), ("bob", "alice"), ("alice", "bob")):
        opened = pages[name]
        opened.goto("/jobs")
        text = opened.locator("#main").inner_text()
        assert all(job in text for job in users.ids[name]) and not any(job in text for job in users.ids[other])
    for context in contexts.values():
        context.close()
