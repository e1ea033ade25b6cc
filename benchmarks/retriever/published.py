"""What the stand-ins share: dense retrieval the way the published servers do it, written for the benchmark.

The corpus is an Arrow table that ``datasets`` makes of the JSON lines and maps; the flat index is read into memory;
queries are encoded with the plain transformer (mean pooling, unit length) and searched with one FAISS call, in the
thread that the request came on, with the libraries' own numbers of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer


class Dense:
    """One encoder, one index, one corpus; nothing is shared between two of them."""

    def __init__(self, corpus: str, index: str, model: str, max_length: int) -> None:
        self._corpus: Any = datasets.load_dataset("json", data_files=corpus, split="train")
        self._index: Any = faiss.read_index(index)
        self._model: Any = AutoModel.from_pretrained(model).eval()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model, use_fast=True)
        self._max_length = max_length

    def search(self, queries: Sequence[str], count: int) -> list[tuple[list[dict[str, Any]], list[float]]]:
        """Documents and scores of each query, one document after the other from the table."""
        scores, rows = self._index.search(self._encode(queries), count)
        documents = ([self._corpus[row] for row in found] for found in rows.tolist())
        return list(zip(documents, scores.tolist(), strict=True))

    def _encode(self, queries: Sequence[str]) -> NDArray[np.float32]:
        inputs = self._tokenizer(
            list(queries), max_length=self._max_length, padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            states, mask = self._model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return np.ascontiguousarray(vectors, dtype=np.float32)
