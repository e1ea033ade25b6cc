"""The console in a real Chromium, on a real small stack: from nothing to results by clicking alone, and what goes wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from mentor.jobs.model import JobState
from tests.support.chromium import CHROMIUM
from tests.support.committed import held
from tests.support.console_browser import PATIENCE_MS
from tests.support.console_stack import ConsoleStack
from tests.support.service_process import ServiceProcess

PICTURES = os.environ.get("MENTOR_CONSOLE_PICTURES", "")
"""A folder for the pictures of the docs (`make pictures`)."""
SERIOUS = ("serious", "critical")

pytest_plugins = ("tests.support.console_browser",)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")


def first_step(page: Page, name: str) -> str:
    """Click through a first step; returns the job's id when it has succeeded."""
    page.goto("/")
    page.locator(f'form[action="/jobs/first/{name}"] button').first.click()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url("**/jobs/*-*")
    expect(page.locator("#state")).to_have_text("succeeded", timeout=PATIENCE_MS)
    return page.url.rsplit("/", 1)[1]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {}


def test_from_an_empty_stack_to_references_and_an_evaluation_by_clicking_alone(
    page: Page, made: dict[str, str]
) -> None:
    page.goto("/")
    expect(page.get_by_text("Nothing has been submitted yet")).to_be_visible()
    made["teacher"] = first_step(page, "teacher")
    page.get_by_role("link", name="Data set", exact=True).click()
    expect(page.locator("svg.waterfall")).to_be_visible()
    made["evaluation"] = first_step(page, "evaluation")
    page.get_by_role("link", name="Results", exact=True).click()
    expect(page.get_by_role("heading", name="What tools do")).to_be_visible()
    page.goto("/evaluations")
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    assert ", n=" in page.locator("#main").inner_text()


def test_two_evaluations_are_compared_with_the_paired_test(page: Page, made: dict[str, str]) -> None:
    again = first_step(page, "evaluation")
    page.goto(f"/evaluations/compare?a={made['evaluation']}&b={again}")
    expect(page.get_by_text("paired by question").first).to_be_visible()
    assert "p = " in page.locator("#main").inner_text()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("model.url", "http://127.0.0.1:9", "127.0.0.1:9"),
        ("backends.sandbox", "http://127.0.0.1:9", "sandbox"),
        ("tools", '["none_of_ours"]', "none_of_ours"),
    ],
)  # fmt: skip
def test_why_a_job_does_not_work_stands_on_its_page_or_at_the_field(
    page: Page, made: dict[str, str], field: str, value: str, told: str
) -> None:
    page.goto(f"/jobs/new/teacher/teacher?clone={made['teacher']}")
    for summary in page.locator("form.spec > details > summary").all()[:1]:
        summary.click()
    page.locator(f'[name="{field}"]').fill(value)
    if field == "backends.sandbox":
        page.locator('[name="backends.deadline_s"]').fill("2")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator("[role=alert]").first).to_contain_text(told, timeout=PATIENCE_MS)


def test_the_playground_shows_a_call_and_what_came_back(page: Page) -> None:
    page.goto("/playground")
    page.get_by_label("Message").fill("How many are 12 and 30 pens together?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#conversation .call")).to_contain_text("add")
    expect(page.locator("#conversation .call")).to_contain_text("42")
    expect(page.locator("#talk-state")).to_contain_text("answer")
    page.get_by_label("Tool", exact=True).fill("add")
    page.get_by_label("Arguments, as JSON").fill('{"firstNumber": 2, "secondNumber": 40}')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("It ran within all walls.")).to_be_visible()


def test_a_stream_goes_on_in_the_browser_after_the_service_restarted(page: Page, stack: ConsoleStack) -> None:
    claim = stack.claimed("train", {"model": "student"})
    job = claim.job
    with held(stack.store, job.id, claim.fence):
        page.goto(f"/jobs/{job.id}")
        stack.store.record(job.id, claim.fence, "log", {"message": "before the break"})
        expect(page.locator("#events")).to_contain_text("before the break")
        port = str(urlsplit(stack.processes["trainer"].http).port)
        stack.processes["trainer"].stop()
        expect(page.locator("#away")).to_be_visible()
        stack.processes["trainer"] = ServiceProcess("mentor_trainer", "--port", port, env=stack.jobs_env)
        stack.store.record(job.id, claim.fence, "log", {"message": "after the break"})
        expect(page.locator("#events")).to_contain_text("after the break")
        expect(page.locator("#away")).to_be_hidden()
        assert page.locator("#events").inner_text().count("before the break") == 1
    stack.store.finish(job.id, claim.fence, JobState.FAILED, error="planted")
    expect(page.locator("#error")).to_contain_text("planted")


def test_what_verl_prints_is_text_on_the_page_of_curves_as_it_is_committed(
    page: Page, stack: ConsoleStack, tmp_path: Path
) -> None:
    claim = stack.claimed("train", {"model": "student"})
    job = claim.job

    def commit(text: str) -> None:
        (tmp_path / "train.log").write_text(text)
        stack.commit(claim, "train.log", tmp_path / "train.log")

    with held(stack.store, job.id, claim.fence):
        page.goto(f"/training?job={job.id}")
        shown = page.locator(".printed pre")
        expect(shown).to_have_text("")
        commit("verl is starting\n")
        expect(shown).to_contain_text("verl is starting")
        commit("verl is starting\n<b id=hacked>\u202etxt</b>\n")
        expect(shown).to_contain_text("<b id=hacked>⟨U+202E⟩txt</b>")
        assert page.locator("#hacked").count() == 0
    stack.store.finish(job.id, claim.fence, JobState.SUCCEEDED, result={"step": 2, "total_steps": 2})


def test_a_training_job_shows_its_last_words_when_it_has_ended(page: Page, stack: ConsoleStack) -> None:
    claim = stack.claimed("train", {"model": "student"})
    job = claim.job
    log = stack.files.log_path(job.id, claim.job.attempt)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("begun\n")
    with held(stack.store, job.id, claim.fence):
        page.goto(f"/jobs/{job.id}")
        expect(page.locator("#log")).to_contain_text("begun")
        with log.open("a") as output:
            output.write("the last words\n")
        metrics = {"step": 2, "total": 2, "reward": 0.875}
        told = {"fraction": 1.0, "message": "step 2/2", "metrics": metrics}
        stack.store.record(job.id, claim.fence, "progress", told, progress=1.0, metrics=metrics)
    stack.store.finish(job.id, claim.fence, JobState.SUCCEEDED, result={"step": 2, "total_steps": 2})
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#log")).to_contain_text("the last words")
    expect(page.locator("#metrics")).to_contain_text("0.875")


def test_no_page_has_a_serious_fault_and_none_is_wider_than_its_window(
    chromium: Browser, console: ServiceProcess, stack: ConsoleStack, made: dict[str, str]
) -> None:
    run = stack.trained()
    teacher, evaluation = made["teacher"], made["evaluation"]
    pages = [
        "/", "/jobs", f"/jobs/{teacher}", f"/jobs/new/teacher/teacher?clone={teacher}", "/datasets", f"/datasets/{teacher}",
        f"/training?job={run}", "/evaluations", f"/evaluations/{evaluation}", "/evaluations/compare", "/trajectories",
        "/playground", "/nowhere",
    ]  # fmt: skip
    pictures = {
        "/": "home", f"/training?job={run}": "training", f"/evaluations/{evaluation}": "evaluation",
        "/trajectories": "trajectories",
    }  # fmt: skip
    faults = []
    for scheme, width in (("light", 1280), ("dark", 420)):
        context = chromium.new_context(
            base_url=console.http, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
        )  # fmt: skip
        opened = context.new_page()
        for address in pages:
            opened.goto(address)
            if address.startswith("/training"):
                opened.wait_for_selector(".u-wrap")
            if scheme == "light" and PICTURES and (name := pictures.get(address)):
                opened.screenshot(path=f"{PICTURES}/{name}.png", scale="css")
            found = Axe().run(opened).response["violations"]
            faults += [(address, scheme, v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in SERIOUS]
            if opened.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append((address, scheme, "wider than its window", str(width)))
        context.close()
    assert not faults, json.dumps(faults, indent=2)
