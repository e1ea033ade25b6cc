"""QA metrics in FlashRAG's normalisation: exact match, substring match, token F1, precision, recall."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from mentor.grading.verdict import Verdict
from mentor.trajectory import Frozen

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_EXACT_ONLY = ("yes", "no", "noanswer")


class QAGrade(Frozen):
    """Each metric is the maximum over the golden answers, between 0 and 1."""

    em: float
    sub_em: float
    f1: float
    precision: float
    recall: float


def normalize(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def grade_qa(prediction: str | None, golds: Sequence[str]) -> QAGrade:
    """Grade one prediction. None (no answer) scores 0 everywhere; yes, no and noanswer must match exactly for F1.

    A golden answer of which normalisation leaves nothing ("The") is compared without it, else it would stand in every text.
    """
    if prediction is None:
        return QAGrade(em=0, sub_em=0, f1=0, precision=0, recall=0)
    said = normalize(prediction)
    wanted = [shown for gold in golds if (shown := normalize(gold))]
    bare = [gold.strip().lower() for gold in golds if gold.strip() and not normalize(gold)]
    if prediction.strip().lower() in bare:
        return QAGrade(em=1, sub_em=1, f1=1, precision=1, recall=1)
    overlaps = [_overlap(said, gold) for gold in wanted]
    precision, recall, f1 = (max((o[i] for o in overlaps), default=0.0) for i in range(3))
    return QAGrade(
        em=float(said in wanted),
        sub_em=float(any(gold in said for gold in wanted)),
        f1=f1,
        precision=precision,
        recall=recall,
    )


def verdict_by(measure: str, prediction: str | None, golds: Sequence[str]) -> Verdict:
    """A verdict: right where ``measure`` is 1. All measures stand beside it."""
    values = grade_qa(prediction, golds).model_dump()
    correct = values[measure] == 1
    reason = "no_answer" if prediction is None else "equal" if correct else "different"
    return Verdict(correct=correct, reason=reason, values=values)


def _overlap(said: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 over tokens."""
    if said != gold and (said in _EXACT_ONLY or gold in _EXACT_ONLY):
        return 0.0, 0.0, 0.0
    said_tokens, gold_tokens = said.split(), gold.split()
    same = sum((Counter(said_tokens) & Counter(gold_tokens)).values())
    if same == 0:
        return 0.0, 0.0, 0.0
    precision, recall = same / len(said_tokens), same / len(gold_tokens)
    return precision, recall, 2 * precision * recall / (precision + recall)
