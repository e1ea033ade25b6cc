"""BM25 by bm25s, with English stop words and Snowball stemming on both sides; a saved index is memory-mapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import Stemmer

from mentor.errors import UserError
from mentor_retriever.index.base import Ranking


class Bm25Index:
    """See ``TextIndex``. A passage that shares no term with the query is no answer: fewer than ``top_n`` can come back."""

    def __init__(self, index: bm25s.BM25, documents: int) -> None:
        self._index = index
        self._documents = documents

    def search(self, queries: Sequence[str], top_n: int) -> list[Ranking]:
        """See ``TextIndex.search``."""
        count = min(top_n, self._documents)
        answers: list[Ranking] = []
        for tokens in tokenize(list(queries)):
            known = [token for token in tokens if token in self._index.vocab_dict]
            if not known:
                answers.append([])
                continue
            rows, scores = self._index.retrieve([known], k=count, show_progress=False, n_threads=0)
            pairs = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
            answers.append([(int(row), float(score)) for row, score in pairs if score > 0])
        return answers


def tokenize(texts: list[str]) -> list[list[str]]:
    """Stemmed terms of each text. A stemmer is not safe to share between threads, so each call makes its own."""
    stemmer = Stemmer.Stemmer("english")
    tokens: Any = bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
    return [list(terms) for terms in tokens]


def build_bm25(texts: Iterable[str]) -> bm25s.BM25:
    """Index texts; their terms are in memory meanwhile, about twice the size of the text."""
    index = bm25s.BM25()
    index.index(tokenize(list(texts)), show_progress=False)
    return index


def load_bm25(folder: Path, documents: int, *, mapped: bool) -> Bm25Index:
    """A saved index.

    Raises:
        UserError: ``folder`` holds none.
    """
    try:
        return Bm25Index(bm25s.BM25.load(str(folder), load_corpus=False, mmap=mapped), documents)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} is not a bm25s index: {error}", field="index_path") from None
