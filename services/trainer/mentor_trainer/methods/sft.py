"""Supervised fine-tuning on the teacher's verified trajectories (paper, Section 4.1: the SFT baseline)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mentor.chat import ChatFormat
from mentor.trajectory import Question
from mentor_trainer.hf.process import command, conditions
from mentor_trainer.methods import Condition

if TYPE_CHECKING:
    from mentor_trainer.config import TrainSpec
    from mentor_trainer.overrides import RunPaths


class _SFT:
    name = "sft"
    summary = "supervised fine-tuning on the teacher's verified trajectories, by TRL"
    samples = False
    on_verl = False

    def conditions(self, spec: TrainSpec) -> list[Condition]:
        return [("trajectory_files", "at least one file, for SFT", bool(spec.trajectory_files)), *conditions(spec)]

    def steps_per_epoch(self, spec: TrainSpec, questions: Sequence[Question], chat_format: ChatFormat) -> int:
        """The last, smaller batch of an epoch is kept."""
        from mentor_trainer.sft_data import examples, load_pairs

        return math.ceil(len(examples(spec, load_pairs(spec), chat_format)) / spec.train_batch_size)

    def command(self, spec: TrainSpec, paths: RunPaths) -> tuple[str, ...]:
        return command(spec, paths)


PLUGIN = _SFT()
