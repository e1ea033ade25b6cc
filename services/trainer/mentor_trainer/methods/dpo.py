"""Direct preference optimisation on pairs of trajectories (Rafailov et al. 2023, Eq. 7)."""

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


class _DPO:
    name = "dpo"
    summary = "direct preference optimisation on the teacher's preference pairs, by TRL"
    samples = False
    on_verl = False

    def conditions(self, spec: TrainSpec) -> list[Condition]:
        return [("preference_files", "at least one file, for DPO", bool(spec.preference_files)), *conditions(spec)]

    def steps_per_epoch(self, spec: TrainSpec, questions: Sequence[Question], chat_format: ChatFormat) -> int:
        """The last, smaller batch of an epoch is kept."""
        from mentor_trainer.preference_data import preference_pairs

        return math.ceil(len(preference_pairs(spec, chat_format)) / spec.train_batch_size)

    def command(self, spec: TrainSpec, paths: RunPaths) -> tuple[str, ...]:
        return command(spec, paths)


PLUGIN = _DPO()
