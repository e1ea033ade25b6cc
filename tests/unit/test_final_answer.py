r"""Which answer a trajectory or a record of one gives; the labelled responses hold the rest."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mentor.chat import extract_boxed, parse_turn
from mentor.grading.response import final_answer, final_answer_of_text
from mentor.trajectory import Termination, Trajectory, Turn


def test_only_the_final_turn_of_a_trajectory_that_answered_counts() -> None:
    turns = (Turn(text="\\boxed{3}"), Turn(text="<think>\\boxed{4}</think>So the answer is 5."))
    answered = Trajectory(turns=turns, answer=None)
    assert final_answer(answered) == "5"
    assert final_answer(answered.model_copy(update={"turns": turns[:1], "answer": "3"})) == "3"
    for ended in set(Termination) - {Termination.ANSWERED}:
        assert final_answer(answered.model_copy(update={"termination": ended})) is None


def test_a_trajectory_without_turns_gives_the_answer_that_it_came_with() -> None:
    assert final_answer(Trajectory(answer="7")) == "7"


@pytest.mark.parametrize(("text", "kind", "answer"), [
    ("The answer is St. Louis.", "text", "St. Louis"), ("\\boxed{\\text{New York}}", "text", "New York"),
    ("The answer is:\n\n$$\\frac{1}{2}$$", "math", "\\frac{1}{2}"), ("It is not 5.", "math", None), ("Is it 5?", "math", None),
])  # fmt: skip
def test_answers_in_words(text: str, kind: str, answer: str | None) -> None:
    assert final_answer_of_text(text, kind) == answer  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "box"), [
    ("\\boxed\n", None), ("\\boxed\n{5}", "5"),
    ("\\boxed{a\\boxed{b}", "b"), ("\\\\boxed{5}", "5"), ("\\boxed{\\{1\\}}", "\\{1\\}"),
    ("\\boxed{1} \\boxed{2", "1"), ("\\boxed 5.", "5"), ("}\\boxed{5}", "5"),
])  # fmt: skip
def test_the_last_complete_box(text: str, box: str | None) -> None:
    assert extract_boxed(text) == parse_turn(text).answer == box


def test_a_box_is_found_in_one_pass_over_boxes_that_never_close() -> None:
    assert extract_boxed("\\boxed{5}" + "\\boxed{" * 200_000) == "5"
    assert extract_boxed("\\boxed" * 200_000) is None


def test_mentor_grade_takes_whole_responses() -> None:
    rows = [{"response": "<think>\\boxed{4}</think>So it is \\boxed{\\$5}.", "gold": "5"},
            {"response": "<think>5", "gold": "5"},
            {"response": "5", "prediction": "5", "gold": "5"}, {"prediction": "5", "gold": ["6", "5"]}]  # fmt: skip
    source = "\n".join(map(json.dumps, rows))
    command = [sys.executable, "-m", "mentor.cli", "grade", "math", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, timeout=120)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("correct") for row in said] == [True, False, None, True]
    assert [row.get("answer") for row in said] == ["\\$5", None, None, None] and said[1]["reason"] == "no_answer"
    assert said[2]["error"]["field"] == "response" and done.returncode == 1
