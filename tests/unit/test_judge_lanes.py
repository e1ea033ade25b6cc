"""Judging many answers at once: hostile ones wait for each other, and nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from mentor.errors import UserError
from mentor.grading import MathJudge
from mentor.grading.judge import WORKERS_VARIABLE, default_workers
from mentor.grading.response import final_answer_of_text
from mentor.grading.workers import Lane

TOWER = "9^{9^{9^9}}"


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    made = MathJudge(workers=2, timeout_s=0.5, quick_s=0.1)
    made.grade("x", "y+1")
    yield made
    made.close()


def test_quick_answers_are_served_while_the_slow_lane_is_blocked(
    judge: MathJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, waiting = threading.Event(), threading.Semaphore(0)
    ask = Lane.ask

    def held(lane: Lane, method: str, prediction: str, gold: str, cpu_s: float) -> dict[str, object] | str:
        if lane is judge._slow:
            waiting.release()
            assert opened.wait(120)
        return ask(lane, method, prediction, gold, cpu_s)

    monkeypatch.setattr(Lane, "ask", held)
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(judge.grade, TOWER, str(n)) for n in range(4)]
        for _ in slow:
            assert waiting.acquire(timeout=120)
        assert judge.grade("2^{1/2}", "\\sqrt{2}").correct
        assert not any(each.done() for each in slow)
        opened.set()
        assert {each.result().reason for each in slow} == {"timeout"}


@pytest.mark.parametrize(
    "hostile",
    ["10^{10^{10}}", "(10^8)!", "(" * 3000, "\\frac{" * 600, "\\begin{pmatrix}" + "1&" * 1500 + "1\\end{pmatrix}", "{" * 3999,
     "\\sum_{k=1}^{\\infty} \\frac{1}{k^{k}}", "\0", "\ud800", "1," * 1999, "x" * 100_000],
)  # fmt: skip
def test_hostile_answers_are_wrong_and_the_next_answer_is_judged(judge: MathJudge, hostile: str) -> None:
    assert not judge.grade(hostile, "5").correct
    assert judge.grade("2^{1/2}", "\\sqrt{2}").correct


@pytest.mark.parametrize(
    "text",
    [
        piece * (200_000 // len(piece))
        for piece in (
            "<think>", "</think>", "\\boxed{", "\\boxed", "the answer is ", "<answer>", "$", "*", "####", "```python",
            "<|channel|>", " ", "\n", "<think ",
            "\\text{", "answer to ", "(", "1,000", "-", "<|im_start|>", "**a", "a.", "答案", "\\[",
        )
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_clean_up_reads_hundreds_of_kilobytes_of_anything(text: str) -> None:
    for whole in (text, text + "\\boxed{5}", "\\boxed{5}" + text):
        final_answer_of_text(whole, "math")
        final_answer_of_text(whole, "text")


def test_a_killed_zygote_and_its_workers_are_replaced(judge: MathJudge) -> None:
    assert judge.grade("x+x", "2x").correct
    for child in psutil.Process().children():
        if "mentor.grading.worker" in child.cmdline():
            child.kill()
    assert judge.grade("x+x", "2x").correct


def test_workers_end_with_the_judge() -> None:
    judge = MathJudge(workers=1)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    assert judge.grade("x+x", "2x").correct
    started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    judge.close()
    assert len(started) == 2 and not psutil.wait_procs(started, timeout=60)[1]
    assert judge.grade("x+x", "2x").correct
    judge.close()


def test_the_number_of_workers_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 <= default_workers() <= 16
    monkeypatch.setenv(WORKERS_VARIABLE, "7")
    assert default_workers() == 7
    monkeypatch.setenv(WORKERS_VARIABLE, "many")
    with pytest.raises(UserError, match="1 to 256"):
        default_workers()
