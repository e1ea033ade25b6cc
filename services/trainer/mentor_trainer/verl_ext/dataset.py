"""The training data: MENTOR/ReCall parquet or our JSON lines, one row per question."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import OmegaConf
from torch.utils.data import Dataset

from mentor.data import read_questions
from mentor.rollout import user_messages
from mentor.trajectory import Question
from mentor_trainer.curriculum import Curriculum

AGENT = "mentor"


class MentorDataset(Dataset):  # type: ignore[misc]
    """Rows for verl's agent loop, read by the library's own reader: every structured field may be a JSON string.

    The constructor's arguments are verl's; tokenizer and processor are not needed, rendering is the agent loop's work.
    """

    def __init__(
        self,
        data_files: Any,
        tokenizer: Any = None,
        config: Any = None,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        files = [data_files] if isinstance(data_files, str) else list(data_files)
        questions = [question for file in files for question in read_questions(str(file), "train_files")]
        # verl makes the validation set with the same class and settings.
        if config is not None and config.get("curriculum") and files == list(config.train_files):
            questions = Curriculum.model_validate(OmegaConf.to_container(config.curriculum)).apply(questions)
        self.questions = questions[:max_samples] if max_samples > 0 else questions

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, item: int) -> dict[str, Any]:
        return row(self.questions[item], item)


def row(question: Question, index: int) -> dict[str, Any]:
    """What verl carries along for one question. ``question`` holds all of it; the other fields are verl's own."""
    return {
        "question": question.model_dump_json(),
        "raw_prompt": user_messages(question.question),
        "data_source": question.data_source,
        "reward_model": {"style": "rule", "ground_truth": list(question.answers)},
        "extra_info": {"index": index, "id": question.id},
        "agent_name": AGENT,
        "index": index,
        "dummy_tensor": torch.zeros(1, dtype=torch.uint8),  # verl's batches need one tensor at least
    }
