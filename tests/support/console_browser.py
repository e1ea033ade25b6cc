"""The console over a real small stack, in a real Chromium: fixtures that tests import."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import chromium as started
from tests.support.console_stack import ConsoleStack, console_stack
from tests.support.service_process import ServiceProcess

PATIENCE_MS = 120_000

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStack]:
    with console_stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def console(stack: ConsoleStack) -> ServiceProcess:
    return stack.opened()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with started() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser, console: ServiceProcess) -> Iterator[Page]:
    """A page; whatever a script of ours raised, or the policy refused, fails the test."""
    wrong: list[str] = []
    context = chromium.new_context(base_url=console.http, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda told: wrong.append(told.text) if "Content Security Policy" in told.text else None)
    yield opened
    context.close()
    assert not wrong
