"""Judging answers: equal is equal, different is different, and no answer stalls or breaks the judge."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psutil
import pytest

from mentor.errors import UserError
from mentor.grading import MathJudge, grade_math, grade_qa, make_judge

BARE_LATEX = ["\\sqrt{2}", "(1,2)", "\\pi", "x^2+1", "\\text{A}", "10,000", "50\\%", "\\frac{1}{2}"]


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    made = MathJudge(workers=1, timeout_s=0.5, quick_s=0.2)
    yield made
    made.close()


@pytest.mark.parametrize("answer", BARE_LATEX)
def test_bare_latex_equals_itself(judge: MathJudge, answer: str) -> None:
    assert judge.grade(answer, answer).correct


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("0.5", "\\frac{1}{2}"), ("1/2", "\\dfrac12"), ("1+x^2", "x^2+1"), ("2^{1/2}", "\\sqrt{2}"), ("10000", "10,000"),
        ("6.0", "6"), ("$6$", "6"), ("x=5", "5"), ("A", "\\text{A}"), ("(1, 2)", "(1,2)"), ("\\left(1,2\\right)", "(1,2)"),
        ("50%", "50\\%"), ("5 \\text{ cm}", "5"), ("(7/12, 7/12)", "$(7 / 12,7 / 12)$"), ("1.", "1"), ("-0", "0"),
        ("\\{1,2\\}", "\\{2,1\\}"),
    ],
)  # fmt: skip
def test_equal_answers_in_other_words(judge: MathJudge, prediction: str, gold: str) -> None:
    assert judge.grade(prediction, gold).correct


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("3 or 5", "5"), ("5", "3 or 5"), ("3, 5", "5"), ("(2,1)", "(1,2)"), ("B", "\\text{A}"), ("\\sqrt{3}", "\\sqrt{2}"),
        ("x^2-1", "x^2+1"), ("1000", "10,000"), ("0.5", "0.6"), ("5", "-5"), ("1/3", "0.33"),
    ],
)  # fmt: skip
def test_different_answers_are_wrong(judge: MathJudge, prediction: str, gold: str) -> None:
    assert not judge.grade(prediction, gold).correct


def test_any_of_several_golds_will_do(judge: MathJudge) -> None:
    assert judge.grade("0.5", ["7", "\\frac{1}{2}"]).correct
    assert not judge.grade("0.4", ["7", "\\frac{1}{2}"]).correct


@pytest.mark.parametrize("prediction", [None, "", "   "])
def test_no_answer_is_wrong(judge: MathJudge, prediction: str | None) -> None:
    verdict = judge.grade(prediction, "5")
    assert (verdict.correct, verdict.reason) == (False, "no_answer")


@pytest.mark.parametrize(
    "hostile", ["9^{9^{9^9}}", "(1+x)^{9999999}", "\\frac{" * 300, "(" * 2000, "\ud800", "x" * 100_000]
)
def test_hostile_answers_cost_a_worker_at_most_and_the_next_answer_is_judged(judge: MathJudge, hostile: str) -> None:
    assert not judge.grade(hostile, "5").correct
    assert judge.grade("0.5", "\\frac{1}{2}").correct


def test_a_worker_killed_from_outside_is_replaced_and_the_answer_is_judged_all_the_same(judge: MathJudge) -> None:
    assert judge.grade("0.5", "\\frac{1}{2}").correct
    for child in psutil.Process().children(recursive=True):
        if "mentor.grading.worker" in child.cmdline():
            child.kill()
            psutil.wait_procs([child], timeout=0)
    assert judge.grade("0.5", "\\frac{1}{2}").correct


def test_the_judge_works_from_any_thread() -> None:
    verdicts: dict[str, bool] = {}

    def work(answer: str) -> None:
        verdicts[answer] = (
            grade_math(answer, f"({answer})+0").correct if answer == "\\pi" else grade_math(answer, answer).correct
        )

    threads = [threading.Thread(target=work, args=(answer,)) for answer in BARE_LATEX]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == dict.fromkeys(BARE_LATEX, True)


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "sub_em", "f1"),
    [
        ("The Paris!", ["paris"], 1, 1, 1.0),
        ("in Paris, France", ["Paris"], 0, 1, 0.5),
        ("London", ["Paris", "london"], 1, 1, 1.0),
        ("yes indeed", ["yes"], 0, 1, 0.0),
        ("yes", ["yes"], 1, 1, 1.0),
        ("", ["Paris"], 0, 0, 0.0),
    ],
)
def test_qa_metrics(prediction: str, golds: list[str], em: float, sub_em: float, f1: float) -> None:
    grade = grade_qa(prediction, golds)
    assert (grade.em, grade.sub_em, grade.f1) == (em, sub_em, pytest.approx(f1))


def test_no_qa_answer_scores_nothing() -> None:
    assert set(grade_qa(None, ["x"]).model_dump().values()) == {0}


def test_judges_by_name() -> None:
    assert make_judge("qa_em")("The cat", ["cat"]) and not make_judge("qa_em")("a cat sat", ["cat"])
    assert make_judge("qa_sub_em")("a cat sat", ["cat"])
    with pytest.raises(UserError, match="qa_em"):
        make_judge("oracle")


def test_a_golden_answer_that_normalises_to_nothing_matches_itself_alone() -> None:
    assert grade_qa("anything at all", ["The"]).sub_em == 0
    assert grade_qa("anything at all", ["The", "anything"]).sub_em == 1
    assert grade_qa("the", ["The"]).em == grade_qa("The", ["The"]).sub_em == 1
    assert grade_qa("", ["The", ""]).em == 0
