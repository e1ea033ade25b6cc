"""Supervised fine-tuning by TRL's SFTTrainer on examples that are tokenised here: the loss is on the assistant's tokens alone.

The student's own template is rendered incrementally, as it will live it in rollouts; that is why TRL gets ids and labels and
not messages: a template without generation marks would leave it no way to tell whose token is whose.
"""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from mentor.chat import load_format
from mentor_trainer.config import TrainSpec
from mentor_trainer.hf.settings import adapters, arguments, student
from mentor_trainer.sft_data import Example, examples, load_pairs


def build(spec: TrainSpec, folder: Path) -> SFTTrainer:
    """A trainer over the verified trajectories of the spec.

    Raises:
        UserError: the model or the data cannot be used.
    """
    tokenizer = AutoTokenizer.from_pretrained(spec.model, local_files_only=True)
    chat_format = load_format(tokenizer, spec.chat_format, **spec.template_kwargs)
    data = Dataset.from_list([row(example) for example in examples(spec, load_pairs(spec), chat_format)])
    config = SFTConfig(
        **arguments(spec, folder),
        max_length=spec.max_sequence_length if spec.packing else None,
        packing=spec.packing,
        dataset_num_proc=None,
        shuffle_dataset=False,
    )
    return SFTTrainer(
        model=student(spec), args=config, train_dataset=data, processing_class=tokenizer, peft_config=adapters(spec)
    )


def row(example: Example) -> dict[str, list[int]]:
    """What TRL takes of a tokenised example: ids, and -100 as the label of what the assistant did not say."""
    labels = [i if mine else -100 for i, mine in zip(example.ids, example.mask, strict=True)]
    return {"input_ids": list(example.ids), "labels": labels}
