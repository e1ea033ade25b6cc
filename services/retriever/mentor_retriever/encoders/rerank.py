"""Cross-encoders: a query and a passage read together, for a better order of the best few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from mentor.errors import UserError
from mentor_retriever.encoders.texts import TextTokenizer, padded


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
        # BERT-like models tell query and passage apart by it; others have no such input.
        self._takes_kinds = getattr(model.config, "type_vocab_size", 0) > 1
        self._device = device
        self._batch = batch
        self._tokenizer = TextTokenizer(folder, max_length)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One score for each (query, passage), higher is better. Blocks."""
        if not pairs:
            return []
        ids, kinds = self._tokenizer.pairs(pairs)
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        scores = [0.0] * len(ids)
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            found = self._score([ids[n] for n in chosen], [kinds[n] for n in chosen])
            for number, score in zip(chosen, found, strict=True):
                scores[number] = score
        return scores

    def _score(self, ids: list[list[int]], kinds: list[list[int]]) -> list[float]:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)  # batches of several callers run side by side
        tokens, mask = padded(ids)
        given = {"input_ids": tokens, "attention_mask": mask}
        if self._takes_kinds:
            given["token_type_ids"] = padded(kinds)[0]
        with torch.inference_mode():
            fed = {name: torch.from_numpy(value).to(self._device) for name, value in given.items()}
            logits = self._model(**fed).logits.float().cpu()
        return [float(row[-1]) for row in logits]
