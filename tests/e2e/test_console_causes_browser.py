"""Jobs that do not work, understood from their pages in Chromium: what is wrong, where, and what to do, in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import CHROMIUM
from tests.support.console_browser import PATIENCE_MS
from tests.support.console_stack import MODEL, QUESTIONS, ConsoleStack
from tests.support.tokenizers import CHECKPOINT, hiding_tools

pytest_plugins = ("tests.support.console_browser",)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page is not looked at")

RAISES = '''def add(firstNumber: float, secondNumber: float) -> float:
    """Add two numbers."""
    raise RuntimeError("the price list is not there")
'''
BROKEN = "def add(a: int, b: int) -> int:\n    return a +\n"
IGNORES_TOOLS = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
SHORT: dict[str, Any] = {
    "sampling": {"temperature": 0.6, "max_tokens": 24, "seed": 0},
    "limits": {"max_turns": 3, "max_response_tokens": 256}, "samples": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five of the first steps' questions."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    path.write_text("".join(QUESTIONS.read_text().splitlines(True)[:5]))
    return str(path)


def model_folder(folder: Path, template: str) -> str:
    """The tiny student with another chat template."""
    shutil.copytree(CHECKPOINT, folder)
    (folder / "chat_template.jinja").write_text(template)
    return str(folder)


def submit(page: Page, service: str, kind: str, spec: dict[str, Any], tools: tuple[Path, str] | None = None) -> None:
    """Fill in a form with a spec, and a file of tools where there is one, and send it."""
    page.goto(f"/jobs/new/{service}/{kind}?{urlencode({'spec': json.dumps(spec)})}")
    if tools is not None:
        path, text = tools
        path.write_text(text)
        page.locator('input[name="upload"]').set_input_files(path)
        page.locator('select[name="upload_field"]').select_option("tools")
    page.get_by_role("button", name="Submit", exact=True).click()


def understood(page: Page, *told: str) -> None:
    """The page's first cause holds all of it, in one line that says where and what to do."""
    cause = page.locator(".cause").first
    for part in (*told, "Where:", "To do:"):
        expect(cause).to_contain_text(part, timeout=PATIENCE_MS)
    assert "\n" not in cause.inner_text().strip()


def test_a_sandbox_that_is_down(page: Page, stack: ConsoleStack, questions: str) -> None:
    spec = {"model": {"url": stack.model, "name": MODEL}, "questions": questions, **SHORT}
    submit(page, "teacher", "teacher", {**spec, "backends": {"sandbox": "http://127.0.0.1:9", "deadline_s": 2}})
    understood(page, "The sandbox does not answer", "backends.sandbox (http://127.0.0.1:9)", "then Resume")
    expect(page.locator("#state")).to_have_text("failed")
    expect(page.locator("#error")).to_contain_text("127.0.0.1:9")


@pytest.mark.parametrize(("service", "kind"), [("teacher", "teacher"), ("evaluator", "evaluate")])
def test_a_tool_that_raises_for_every_call(
    page: Page, stack: ConsoleStack, questions: str, tmp_path: Path, service: str, kind: str
) -> None:
    spec = {"model": {"url": stack.model, "name": MODEL}, "questions": questions, **SHORT}
    submit(page, service, kind, spec, tools=(tmp_path / "tools.py", RAISES))
    understood(
        page, "The tool add failed in each of its 5 calls", "the price list is not there", "tools (file:", "mend it"
    )
    page.get_by_role("link", name="These calls").click()
    expect(page.locator("td.title")).to_have_count(5)


def test_a_tool_that_leaves_a_teacher_nothing_to_keep(
    page: Page, stack: ConsoleStack, questions: str, tmp_path: Path
) -> None:
    spec = {"model": {"url": stack.model, "name": MODEL}, "questions": questions, "filters": ["failing_calls"], **SHORT}
    submit(page, "teacher", "teacher", spec, tools=(tmp_path / "tools.py", RAISES))
    understood(page, "The tool add failed in each of its 5 calls", "the price list is not there", "tools (file:")
    expect(page.locator("#state")).to_have_text("failed")
    expect(page.locator(".cause").nth(1)).to_contain_text("None of 5 answers was right and kept")
    page.get_by_role("link", name="Its trajectories").click()
    expect(page.locator("td.title")).to_have_count(5)


def test_tools_that_do_not_parse(page: Page, stack: ConsoleStack, questions: str, tmp_path: Path) -> None:
    spec = {"model": {"url": stack.model, "name": MODEL}, "questions": questions, **SHORT}
    submit(page, "teacher", "teacher", spec, tools=(tmp_path / "tools.py", BROKEN))
    told = page.locator('[id="e-tools"]')
    expect(told).to_contain_text("tools.py:2: invalid syntax")
    expect(told).to_contain_text("Mend that line, and submit the file again")
    assert str(stack.folder) not in page.locator("[role=alert]").first.inner_text()


@pytest.mark.parametrize(
    ("service", "kind"), [("teacher", "teacher"), ("evaluator", "evaluation"), ("trainer", "train")]
)
def test_a_template_without_tools(page: Page, questions: str, tmp_path: Path, service: str, kind: str) -> None:
    folder = model_folder(tmp_path / "deaf", IGNORES_TOOLS)
    specs: dict[str, dict[str, Any]] = {
        "teacher": {"model": {"path": folder}, "questions": questions, **SHORT},
        "evaluation": {
            "models": [{"name": "deaf", "model": {"path": folder}}],
            "own": [{"name": "own", "file": questions}],
            **SHORT,
        },
        "train": {
            "model": folder,
            "train_files": [questions],
            "max_prompt_length": 1024,
            "max_response_length": 256,
            "device": "cpu",
            "n_gpus_per_node": 1,
            "tensor_parallel": 1,
        },
    }
    submit(page, service, kind, specs[kind])
    if kind == "train":
        expect(page.locator('[id="e-model"]')).to_contain_text("The model's chat template leaves out tool calls")
        expect(page.locator('[id="e-model"]')).to_contain_text("Allowed: a Qwen2.5, Qwen3 or Hermes style template")
        return
    understood(page, "chat template leaves out tool calls", folder, "a model whose template renders tools")


def test_a_template_that_shows_calls_but_not_the_tools(page: Page, questions: str, tmp_path: Path) -> None:
    template = (CHECKPOINT / "chat_template.jinja").read_text()
    folder = model_folder(tmp_path / "blind", hiding_tools(template))
    spec = {
        "models": [{"name": "blind", "model": {"path": folder}}],
        "own": [{"name": "own", "file": questions}],
        **SHORT,
    }
    submit(page, "evaluator", "evaluation", spec)
    understood(page, "The model never saw its tools", folder, "chat template that renders tools")
    expect(page.locator("#state")).to_have_text("failed")
