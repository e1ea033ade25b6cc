"""QA measures beside a second writing of FlashRAG's published definition."""

from __future__ import annotations

import re
import string
from collections import Counter
from types import SimpleNamespace
from typing import Any

from benchmarks.judges.flashrag import MEASURES, differences, predictions


def _normal(text: str) -> list[str]:
    bare = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _tokens(said: str, gold: str) -> dict[str, float]:
    left, right = _normal(said), _normal(gold)
    special = {"yes", "no", "noanswer"}
    common = sum(min(n, Counter(right)[word]) for word, n in Counter(left).items())
    if common == 0 or (left != right and special & {" ".join(left), " ".join(right)}):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    return {"precision": common / len(left), "recall": common / len(right), "f1": 2 * common / (len(left) + len(right))}


def _measure(name: str, said: str, gold: str) -> float:
    left, right = " ".join(_normal(said)), " ".join(_normal(gold))
    if name in ("em", "sub_em"):
        return float(left == right if name == "em" else right in left)
    return _tokens(said, gold)[name]


class _Metric:
    def __init__(self, name: str) -> None:
        self.name = name

    def calculate_metric(self, data: Any) -> tuple[None, list[float]]:
        rows = zip(data.pred, data.golden_answers, strict=True)
        return None, [max(_measure(self.name, said, gold) for gold in golds) for said, golds in rows]


def test_every_measure_equals_the_published_definition_on_odd_predictions() -> None:
    reference = SimpleNamespace(**{wanted: lambda _, name=name: _Metric(name) for name, wanted in MEASURES.items()})
    rows = predictions(1500)
    assert len(rows) >= 500
    assert differences(reference, rows) == []
