"""BM25 by bm25s, with English stop words and Snowball stemming on both sides."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s
import Stemmer

from mentor.errors import UserError
from mentor_retriever.corpus import Corpus
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.manifest import Manifest


class Bm25Index:
    """A passage that shares no term with the query is not an answer: fewer than ``top_n`` rows can come back."""

    def __init__(self, index: bm25s.BM25, documents: int) -> None:
        self._index = index
        self._documents = documents

    def search(self, queries: Sequence[str], top_n: int) -> list[Ranking]:
        """See ``Index.search``."""
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


def open_bm25(corpus: Corpus, path: Path | None) -> Bm25Index:
    """Load the index at ``path``, or build it (and keep it there).

    Raises:
        UserError: ``path`` holds no such index, one of another corpus, or cannot be written.
    """
    manifest = Manifest("bm25", corpus.fingerprint, len(corpus))
    if path is not None and path.exists():
        manifest.check(path)
        return Bm25Index(_load(path), len(corpus))
    index = bm25s.BM25()
    index.index(tokenize(list(corpus.contents())), show_progress=False)
    if path is not None:
        _save(index, path)
        manifest.write(path)
    return Bm25Index(index, len(corpus))


def _load(path: Path) -> bm25s.BM25:
    try:
        return bm25s.BM25.load(str(path), load_corpus=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a bm25s index: {error}", field="index_path") from None


def _save(index: bm25s.BM25, path: Path) -> None:
    fresh = path.with_name(path.name + ".part")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        index.save(str(fresh), show_progress=False)
        fresh.replace(path)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}", field="index_path") from None
