"""``python -m benchmarks.judges.flashrag``: our QA measures beside FlashRAG's own, from a checkout, on the same predictions.

``MENTOR_BENCH_FLASHRAG`` names the checkout. Its package imports much that is not needed here, so its metrics module is
loaded alone. Golden answers that normalise to nothing are left out: there the two differ by intent (``docs/judges.md``).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from benchmarks.judges.labelled import labelled
from mentor.grading import grade_qa
from mentor.grading.qa import normalize

MEASURES = {
    "em": "ExactMatch",
    "sub_em": "Sub_ExactMatch",
    "f1": "F1_Score",
    "precision": "Precision_Score",
    "recall": "Recall_Score",
}
_PIECES = ["the", "a", "Paris", "yes", "no", "noanswer", "New York", "1,000", "St.", "O'Neill", "\n", "\t", "é", "Ünï", "東京",
           "C++", "--", "_", "“q”", "a.n", "THE", "1789", "½", "\u00a0", "İ", "ß", "and"]  # fmt: skip


def predictions(count: int = 2000, seed: int = 0) -> list[tuple[str, list[str]]]:
    """The labelled pairs, and random strings of awkward pieces."""
    made = random.Random(seed)

    def text() -> str:
        return made.choice(("", " ", "  ")).join(made.choices(_PIECES, k=made.randint(0, 6)))

    rows = [(pair.text, pair.gold) for pair in labelled("qa")]
    rows += [(text(), [text() for _ in range(made.randint(1, 3))]) for _ in range(count)]
    return [(said, golds) for said, golds in rows if all(normalize(gold) for gold in golds)]


def differences(metrics: Any, rows: list[tuple[str, list[str]]]) -> list[tuple[str, str, list[str], float, float]]:
    """Measure, prediction, golden answers, ours, theirs, wherever the two differ by more than 1e-9."""
    data = SimpleNamespace(
        pred=[said for said, _ in rows], golden_answers=[golds for _, golds in rows], choices=[[]] * len(rows)
    )
    ours = [grade_qa(said, golds) for said, golds in rows]
    found = []
    for measure, name in MEASURES.items():
        _, theirs = getattr(metrics, name)({"dataset_name": "mentor"}).calculate_metric(data)
        for (said, golds), mine, other in zip(rows, ours, theirs, strict=True):
            if abs(getattr(mine, measure) - other) > 1e-9:
                found.append((measure, said, golds, getattr(mine, measure), other))
    return found


def load(checkout: Path) -> ModuleType:
    """FlashRAG's metrics module without the rest of its package."""
    for name in ("flashrag", "flashrag.evaluator"):
        package = ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    for absent in ("rouge", "rouge_chinese", "jieba", "tiktoken", "tqdm"):
        if importlib.util.find_spec(absent) is None:
            sys.modules[absent] = ModuleType(absent)
    return importlib.import_module("flashrag.evaluator.metrics")


def main() -> None:
    checkout = os.environ.get("MENTOR_BENCH_FLASHRAG")
    if not checkout:
        sys.exit("MENTOR_BENCH_FLASHRAG is not set: the folder of a checkout of FlashRAG")
    rows = predictions()
    found = differences(load(Path(checkout)), rows)
    for row in found[:20]:
        print(*row)
    print(f"{len(rows)} predictions, {len(MEASURES)} measures: {len(found)} differ by more than 1e-9")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
