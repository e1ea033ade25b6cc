"""The console's trajectories in a real browser: attacks run nothing, what is shown can be used; pictures for the docs.

``MENTOR_PICTURES=FOLDER`` keeps the pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.hostile_text.cases import broken_lines, cases
from tests.support.chromium import CHROMIUM, chromium
from tests.support.committed import CommittedJobs, committed_jobs, gathered, write_lines
from tests.support.service_process import ServiceProcess
from tests.support.told import UPLOADED, commit_told

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommittedJobs]:
    folder = tmp_path_factory.mktemp("browser")
    with committed_jobs(folder, services=("teacher", "trainer", "evaluator")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def attacked(jobs: CommittedJobs) -> Iterator[ServiceProcess]:
    """A console whose trajectories are attacks, one of every payload in all fields at once."""
    merged = {}
    for case in cases():
        merged.setdefault(case.name.split("/")[0], {}).update(case.line)
    lines = [*merged.values(), *broken_lines().values()]
    path = write_lines(jobs.folder / "attacks.jsonl", lines)
    jobs.job("teacher", {"trajectories.jsonl": path})
    console = jobs.console(cache="attacked")
    gathered(console, len(lines))
    yield console
    console.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE)
    yield context.new_page()
    context.close()


def rows(page: Page) -> list[str]:
    """Addresses of the trajectories on this page and those after it."""
    found: list[str] = []
    while True:
        assert page.evaluate("window.hacked") is None and page.locator("#hacked").count() == 0
        found += page.eval_on_selector_all("td.title > a", "links => links.map(link => link.href)")
        following = page.locator("a[rel=next]")
        if not following.count():
            return found
        following.click()


def test_no_attack_becomes_more_than_text(attacked: ServiceProcess, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    page.goto(f"{attacked.http}/trajectories")
    addresses = rows(page)
    assert len(addresses) >= 60 + len(broken_lines())
    for address in addresses:
        page.goto(address)
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        assert page.evaluate("window.hacked") is None, address
        assert page.locator("#hacked").count() == 0, address
        assert page.locator("main").count() == 1 and page.evaluate("location.pathname") in address
        assert page.evaluate("document.querySelectorAll('main script, main iframe, main img, main style').length") == 0
    assert [url for url in asked if not url.startswith(attacked.http)] == []


def test_a_search_narrows_and_a_trajectory_is_read_compared_tagged_and_copied(
    jobs: CommittedJobs, browser: Browser
) -> None:
    commit_told(jobs, jobs.folder / "made")
    console = jobs.console(cache="told")
    gathered(console, 6)
    context = browser.new_context(viewport=WIDE, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(f"{console.http}/trajectories")
    page.fill("input[name=text]", "thinking multiply")
    page.press("input[name=text]", "Enter")
    assert "text=thinking+multiply" in page.url
    page.locator("aside").get_by_role("link", name="train", exact=True).click()
    assert "kind=train" in page.url and page.locator("td.title").count() == 2
    _picture(page, "trajectories")
    page.click("td.title a >> nth=0")
    page.click("text=Copy as a test case")
    page.wait_for_selector("text=Copied")
    assert '"firstNumber"' in page.evaluate("navigator.clipboard.readText()")
    page.click("summary:has-text('Reasoning') >> nth=0")
    assert page.locator("text=thinking aloud >> nth=0").is_visible()
    page.click("h3 a:has-text('Turn 2')")
    assert page.url.endswith("#turn-2")
    page.fill("input[name=tag]", "to read")
    page.click("button:has-text('Add')")
    page.wait_for_selector(".tag:has-text('to read')")
    _picture(page, "trajectory")
    page.click("text=Beside >> nth=0")
    assert page.locator(".beside > div").count() == 2 and page.locator(".mark").count() >= 4
    _picture(page, "beside")
    page.click("text=Show this one alone")
    page.click("text=Tokens, log-probabilities")
    assert page.locator(".token.masked").count() > 1
    _picture(page, "tokens")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert faults == []  # nothing is missing, and the policy refuses nothing
    one = page.url.removeprefix(console.http).removesuffix("/tokens")
    page.goto(f"{console.http}/trajectories?model={UPLOADED}")
    uploaded = str(page.locator("td.title a").first.get_attribute("href"))
    addresses = {"trajectories": "/trajectories", "trajectory": one, "tokens": f"{one}/tokens", "uploaded": uploaded}
    for number, width in enumerate((WIDE, NARROW)):
        page.set_viewport_size(width)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for name, address in addresses.items():
                page.goto(console.http + address)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (address, width)
                assert faults_of(page) == [], address
                _picture(page, f"{name}-{scheme}-{number}")
    context.close()
    console.stop()


def faults_of(page: Page) -> list[str]:
    """What axe-core finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:120]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def _picture(page: Page, name: str) -> None:
    """Keep a picture, if somebody wants it."""
    if folder := os.environ.get("MENTOR_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
