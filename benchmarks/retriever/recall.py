"""What the faster encoder loses: answer recall over real passages and real questions, fp32 vectors in the index."""

from __future__ import annotations

import os
import string
import sys

from benchmarks.results import Row
from benchmarks.retriever import corpus as corpora
from benchmarks.retriever.load import TOP
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.queries import QUERIES, Question, questions
from benchmarks.retriever.servers import Server, ours

ALL = 10**9


def answer_recall(plan: Plan) -> list[Row]:
    """Share of questions with an answer in one of the passages found, as points of a hundred."""
    if not (os.environ.get(corpora.PASSAGES) and os.environ.get(QUERIES) and plan.fast):
        needed = f"{corpora.PASSAGES}=FILE, {QUERIES}=FILE and --fast NAME=VALUE"
        print(f"recall of the faster encoder is left out: it needs {needed}", file=sys.stderr)
        return []
    corpus = corpora.make(plan.work, plan.passages or ALL, real_only=True)
    texts = [_normal(text) for text in corpora.texts(corpus, corpus.size)]
    asked = [question for question in questions(corpus) if question.answers]
    points = []
    for settings in (plan.settings, (*plan.settings, *plan.fast)):
        with ours(corpus, settings) as server:
            points.append(100 * sum(_answered(server, question, texts) for question in asked) / len(asked))
    fp32, fast = points
    name = f"answer recall at {TOP}, {corpus.size:,} passages of {corpus.source}"
    return [
        Row(f"{name}, {' '.join(plan.fast)}", "points", (fast,), "ours, fp32", (fp32,), len(asked)),
        Row(f"{name}: lost", "points", (fp32 - fast,), "allowed", (1.0,), len(asked), 1.0, True),
    ]


def _answered(server: Server, question: Question, texts: list[str]) -> bool:
    found = [texts[int(number)] for number, _ in server.ask(question.text)]
    return any(f" {_normal(answer)} " in f" {text} " for answer in question.answers for text in found)


def _normal(text: str) -> str:
    """Lower case, without punctuation and doubled spaces."""
    return " ".join(text.lower().translate(str.maketrans(string.punctuation, " " * len(string.punctuation))).split())
