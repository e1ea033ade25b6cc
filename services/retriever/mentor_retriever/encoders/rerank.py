"""Cross-encoders: a query and a passage read together, for a better order of the best few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from mentor.errors import UserError
from mentor_retriever.encoders.base import Vectors
from mentor_retriever.encoders.texts import TextTokenizer, Tokens, by_length


class CrossEncoder:
    """Scores pairs of texts. Safe to use from several threads.

    Raises:
        UserError: the folder holds no such model.
    """

    def __init__(self, folder: Path, *, device: str, max_length: int, batch: int) -> None:
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} holds no model (no config.json)", field="rerank_model_path")
        try:
            model: Any = AutoModelForSequenceClassification.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise UserError(f"cannot load the cross-encoder in {folder}: {reason}", field="rerank_model_path") from None
        self._model = model.float().eval().to(device)
        self._device = device
        self._batch = batch
        self._tokenizer = TextTokenizer(folder, max_length)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One score for each (query, passage), higher is better. Blocks."""
        if not pairs:
            return []
        found = by_length(self._tokenizer(pairs), self._batch, self._score)
        return [float(row[-1]) for row in found]

    def _score(self, ids: Tokens, mask: Tokens) -> Vectors:
        # A pair's second text has kind 1 in BERT-like models; models without kinds take none.
        with torch.inference_mode():
            given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            logits = self._model(**{name: value.to(self._device) for name, value in given.items()}).logits
            scores: Vectors = logits.float().cpu().numpy()
        return np.ascontiguousarray(scores)
