"""From an empty local stack to a distilled and evaluated student, by clicking alone, in Chromium. `make console-proof`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from mentor.local.layout import StackSpec
from mentor.local.stack import down, up
from tests.support.stack import free_stack

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PICTURES = os.environ.get("MENTOR_CONSOLE_PICTURES", "")
PATIENCE_MS = 900_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: nothing is clicked")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackSpec]:
    spec = free_stack(tmp_path / "stack")
    up(spec)
    yield spec
    down(spec)


def first_step(page: Page, name: str) -> None:
    page.goto("/")
    page.locator(f'form[action="/jobs/first/{name}"] button').first.click()
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url("**/jobs/*-*")
    expect(page.locator("#state")).to_have_text("succeeded", timeout=PATIENCE_MS)
    seen(page, f"distilled-{name}")


def seen(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.timeout(1800)
def test_a_student_is_distilled_and_evaluated_by_clicking_alone(stack: StackSpec) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_context(base_url=stack.url("console")).new_page()
        page.set_default_timeout(120_000)
        page.goto("/")
        expect(page.get_by_text("Nothing has been submitted yet")).to_be_visible()
        for name in ("teacher", "train", "evaluation"):
            first_step(page, name)
        page.get_by_role("link", name="Results", exact=True).click()
        main = page.locator("#main")
        expect(main).to_contain_text("trained")
        expect(main).to_contain_text("teacher")
        seen(page, "distilled-results")
        page.goto("/training")
        expect(page.locator("canvas").first).to_be_visible()
        seen(page, "distilled-training")
        chromium.close()
