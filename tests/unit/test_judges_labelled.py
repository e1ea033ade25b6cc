"""Every judge on the pairs that the project has labelled: the error counts of docs/judges.md hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.judges.candidates import answer_of, by_judge, by_qa
from benchmarks.judges.labelled import PARAPHRASE, Pair, labelled
from mentor.grading import MathJudge
from mentor.grading.equivalence import equivalent

MISSED = {"m438"}
"""Right answers that are called wrong: a finite sum that math-verify leaves unevaluated, and what docs/judges.md decides."""
BY_DECISION = {"5 dozen", "1.5 hours", "y=x+1", "\\text{(D)}\\ 5"}


@pytest.fixture(scope="module")
def judge() -> Iterator[MathJudge]:
    made = MathJudge(timeout_s=0.5)
    yield made
    made.close()


def test_the_table_is_large_and_every_class_has_both_verdicts() -> None:
    math, qa = labelled("math"), [pair for pair in labelled("qa") if pair.group != PARAPHRASE]
    assert len(math) >= 250 and len(qa) >= 120
    for pairs in (math, qa):
        assert {(p.group, True) for p in pairs} | {(p.group, False) for p in pairs} == {
            (p.group, p.right) for p in pairs
        }
        assert len({(p.text, *p.gold) for p in pairs}) == len({p.id for p in pairs}) == len(pairs)


def test_our_math_judge_takes_no_wrong_answer_and_misses_at_most_two_in_a_hundred(judge: MathJudge) -> None:
    pairs = labelled("math")
    said = {pair.id: bool(by_judge(judge)(pair)) for pair in pairs}
    assert [(p.text, p.gold) for p in pairs if said[p.id] and not p.right] == []
    missed = [pair for pair in pairs if pair.right and not said[pair.id]]
    assert {pair.id for pair in missed if pair.text not in BY_DECISION} == MISSED
    assert len(missed) <= 0.02 * sum(pair.right for pair in pairs)


def test_our_qa_judge_makes_no_error_where_strings_decide() -> None:
    pairs = [pair for pair in labelled("qa") if pair.group != PARAPHRASE]
    assert [(p.text, p.gold, answer_of(p)) for p in pairs if by_qa("em")(p) != p.right] == []


@pytest.mark.parametrize(
    "pair", [p for p in labelled("math") if p.form == "answer" and p.text.strip()][::40], ids=lambda p: p.id
)
def test_what_a_worker_says_is_what_the_form_says(pair: Pair) -> None:
    assert equivalent(pair.text, pair.gold[0])[0] == pair.right
