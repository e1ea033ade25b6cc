"""The playground in Chromium: words as they are written, calls as they run, a real retriever, a real sandbox and its walls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import CHROMIUM
from tests.support.console_browser import PATIENCE_MS
from tests.support.service_process import ServiceProcess, running_process
from tests.support.streaming_server import MODEL, Pieces, streaming_server

pytest_plugins = ("tests.support.console_browser",)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")

CORPUS = {
    "paris": "Paris is the capital of France, on the Seine.",
    "oslo": "Oslo is the capital of Norway, at the end of a fjord.",
    "hostile": "The Wall of <script>window.hacked = 1</script> has no gate.",
}


class Gates:
    """Where the model stops until a test lets it go on."""

    def __init__(self) -> None:
        self.words, self.call = threading.Event(), threading.Event()


@pytest.fixture
def gates() -> Iterator[Gates]:
    made = Gates()
    _CURRENT[0] = made
    yield made
    made.words.set()
    made.call.set()


_CURRENT = [Gates()]


def answer(body: dict[str, Any]) -> tuple[Pieces, str]:
    """Searches, slowly; then says what it found."""
    gates, seen = _CURRENT[0], body["messages"][-1]
    if seen["role"] == "tool":
        return [{"content": "So it is "}, gates.call, {"content": "\\boxed{Oslo}"}], "stop"
    call = {"index": 0, "id": "c", "function": {"name": "wikipedia_search", "arguments": '{"query": "capital of '}}
    rest = {"index": 0, "function": {"arguments": 'Norway", "top_n": 1}'}}
    return [{"content": "I look it up. "}, gates.words, {"tool_calls": [call]}, {"tool_calls": [rest]}], "tool_calls"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder: Path = tmp_path_factory.mktemp("playground")
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": name, "contents": text}) + "\n" for name, text in CORPUS.items()))
    with ExitStack() as started:
        model = started.enter_context(streaming_server(answer))
        sandbox = started.enter_context(running_process("mentor_sandbox"))
        retriever = started.enter_context(running_process("mentor_retriever", "--corpus-path", str(corpus)))
        env = {
            "MENTOR_CONSOLE_CACHE": str(folder / "cache"), "MENTOR_CONSOLE_SANDBOX_URL": sandbox.http,
            "MENTOR_CONSOLE_RETRIEVER_URL": retriever.http, "MENTOR_CONSOLE_MODELS": json.dumps({MODEL: model}),
        }  # fmt: skip
        made = ServiceProcess("mentor_console", grpc=False, env=env)
        started.callback(made.stop)
        yield made


def test_words_calls_and_observations_are_there_before_the_answer_is(page: Page, gates: Gates) -> None:
    page.goto("/playground")
    page.get_by_label("wikipedia_search").check()
    page.get_by_label("Message").fill("What is the capital of Norway?")
    page.get_by_role("button", name="Send").click()
    live = page.locator("#conversation .live")
    expect(live).to_contain_text("I look it up.")
    expect(page.locator("#conversation .call")).to_have_count(0)
    gates.words.set()
    expect(page.locator("#conversation .call")).to_contain_text("Oslo is the capital of Norway")
    expect(live).to_contain_text("So it is")
    assert "boxed" not in page.locator("#conversation").inner_text()
    gates.call.set()
    expect(page.locator("#talk-state")).to_contain_text("answered, answer Oslo")
    expect(live).to_have_count(0)
    assert page.locator("#conversation").inner_text().count("So it is") == 1


def test_an_answer_is_stopped_while_it_is_written(page: Page, gates: Gates) -> None:
    page.goto("/playground")
    page.get_by_label("Message").fill("What is the capital of Norway?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#conversation .live")).to_contain_text("I look it up.")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#talk-state")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_the_retriever_is_searched_and_what_it_finds_is_text(page: Page) -> None:
    page.goto("/playground")
    page.get_by_label("Query").fill("capital of France")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".hits li").first).to_contain_text("Paris is the capital of France")
    expect(page.locator(".hits li").first).to_contain_text("paris")
    page.goto("/playground?query=wall&top_n=1")
    expect(page.locator(".hits li")).to_contain_text("<script>window.hacked = 1</script>")
    assert page.evaluate("window.hacked") is None
    page.goto("/playground?query=capital&top_n=many")
    expect(page.locator("[role=alert]")).to_contain_text("top_n")


@pytest.mark.parametrize(
    ("source", "verdict", "told"),
    [
        ("def own(n: int) -> int:\n    return n + 40\n", "It ran within all walls.", "42"),
        ("def own(n: int) -> int:\n    return n / 0\n", "It ran within all walls, and raised.", "ZeroDivisionError"),
        ("def own(n: int) -> int:\n    while True:\n        pass\n", "It was stopped at its time limit.", "timeout"),
        ("def own(n: int) -> int:\n    return len(bytearray(1 << 40))\n", "It was stopped at its memory limit.", "memory"),
        ("import os\n\ndef own(n: int) -> int:\n    os.kill(os.getpid(), 9)\n", "It was killed", "killed"),
    ],
)  # fmt: skip
def test_a_tool_runs_in_the_sandbox_and_its_walls_say_how_it_went(
    page: Page, source: str, verdict: str, told: str
) -> None:
    page.goto("/playground")
    page.get_by_text("A function of your own").click()
    page.locator("#tool-source").fill(source)
    page.get_by_label("Arguments, as JSON").fill('{"n": 2}')
    page.get_by_role("button", name="Run", exact=True).click()
    shown = page.locator(".box[role=status]")
    expect(shown).to_contain_text(verdict, timeout=PATIENCE_MS)
    expect(shown).to_contain_text(told)
