"""Direct preference optimisation (Rafailov et al. 2023) by TRL's DPOTrainer on preference pairs of whole trajectories.

TRL counts every token after the prompt. In a trajectory with tools that would credit the model with what its tools said, so the
collator masks observations out of both log-probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from mentor.chat import load_format
from mentor_trainer.config import TrainSpec
from mentor_trainer.hf.settings import adapters, arguments, student
from mentor_trainer.preference_data import TokenPair, preference_pairs

_MASKS = ("chosen_mask", "rejected_mask")


@dataclass
class MaskedPreferences(DataCollatorForPreference):
    """As TRL's, with ``completion_mask`` 1 only on tokens that the model said: (2 x batch, longest), chosen ones first."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pad a batch."""
        batch = super().torch_call(examples)
        mask = torch.zeros_like(batch["completion_mask"])
        masks = [(example["prompt_ids"], example[name]) for name in _MASKS for example in examples]
        for line, (prompt, said) in enumerate(masks):
            mask[line, len(prompt) : len(prompt) + len(said)] = torch.tensor(said)
        return {**batch, "completion_mask": mask}


class _DPO(DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset  # tokenised already

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = list(TokenPair.model_fields)


def build(spec: TrainSpec, folder: Path) -> DPOTrainer:
    """A trainer over the spec's preference pairs; the reference model is the student as it was.

    Raises:
        UserError: the model or the data cannot be used.
    """
    tokenizer = AutoTokenizer.from_pretrained(spec.model, local_files_only=True)
    chat_format = load_format(tokenizer, spec.chat_format, **spec.template_kwargs)
    data = Dataset.from_list([row(pair) for pair in preference_pairs(spec, chat_format)])
    config = DPOConfig(**arguments(spec, folder), beta=spec.dpo_beta, max_length=None, remove_unused_columns=True)
    return _DPO(
        model=student(spec),
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=adapters(spec),
        data_collator=MaskedPreferences(pad_token_id=int(tokenizer.pad_token_id or 0)),
    )


def row(pair: TokenPair) -> dict[str, list[int]]:
    """What the collator takes of a pair."""
    return {name: list(value) for name, value in pair.model_dump().items()}
