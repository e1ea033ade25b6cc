"""How good an index is: recall against exact search, and how often an answer is among the passages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.analysis.intervals import cluster_bootstrap
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.factory import open_index
from mentor_retriever.index.manifest import INDEX, VECTORS
from mentor_retriever.settings import RetrieverSettings
from mentor_retriever.tools.questions import Question, read_questions

_BATCH = 256


def evaluated(
    settings: RetrieverSettings, questions: Path, k: int, exact: Path | None, limit: int | None
) -> dict[str, Any]:
    """The measures of one index.

    Raises:
        UserError: something cannot be opened.
    """
    assert settings.corpus_path is not None
    asked = read_questions(questions, limit)
    corpus = Corpus(settings.corpus_path)
    found = rankings(settings, corpus, asked, k)
    measures: dict[str, Any] = {"questions": len(asked), "k": k, **answer_recall(corpus, asked, found)}
    reference = exact or _stored(settings.index_path)
    if settings.dense and reference is not None:
        flat = settings.model_copy(update={"index_path": reference, "check_vectors": False, "refine": None})
        measures["recall_against_flat"] = recall(rankings(flat, corpus, asked, k), found)
    return measures


def rankings(settings: RetrieverSettings, corpus: Corpus, asked: Sequence[Question], k: int) -> list[Ranking]:
    """What the settings' index finds for each question."""
    encoder = open_encoder(settings) if settings.dense else None
    index = open_index(settings, corpus, encoder)
    found: list[Ranking] = []
    for start in range(0, len(asked), _BATCH):
        texts = [question.text for question in asked[start : start + _BATCH]]
        if index.vectors is not None and encoder is not None:
            found += index.vectors.search(encoder.encode_queries(texts), k)
        elif index.words is not None:
            found += index.words.search(texts, k)
    return found


def recall(exact: Sequence[Ranking], found: Sequence[Ranking]) -> float:
    """Mean share of the exact top k that was found."""
    shares = [
        len({row for row, _ in right} & {row for row, _ in given}) / max(1, len(right))
        for right, given in zip(exact, found, strict=True)
    ]
    return sum(shares) / max(1, len(shares))


def answer_recall(corpus: Corpus, asked: Sequence[Question], found: Sequence[Ranking]) -> dict[str, Any]:
    """Share of the questions (of those that have answers) with an answer in a found passage, and its 95 % interval."""
    judged = [
        question.answered_by([corpus[row]["contents"] for row, _ in ranking])
        for question, ranking in zip(asked, found, strict=True)
        if question.answers
    ]
    if not judged:
        return {}
    found_by = cluster_bootstrap({str(number): [float(right)] for number, right in enumerate(judged)})
    return {"answer_recall": found_by.mean, "interval_95": [found_by.low, found_by.high]}


def _stored(path: Path | None) -> Path | None:
    """Exact vectors that lie beside an index."""
    if path is None or not path.is_dir():
        return None
    return next((path / name for name in (VECTORS, INDEX) if (path / name).is_file()), None)
