"""GRPO in verl, with a reward on the whole trajectory (paper, Section 3.3, Eq. 3)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mentor.chat import ChatFormat
from mentor.data import write_text
from mentor.errors import UserError
from mentor.trajectory import Question
from mentor_trainer.methods import Condition

if TYPE_CHECKING:
    from mentor_trainer.config import TrainSpec
    from mentor_trainer.overrides import RunPaths


class _GRPO:
    name = "grpo"
    summary = "group relative policy optimisation in verl, with the reward that the spec names"
    samples = True
    on_verl = True

    def conditions(self, spec: TrainSpec) -> list[Condition]:
        devices = spec.n_gpus_per_node * spec.nnodes
        return [
            ("rollouts", "2 or more: a group of one has no advantage", spec.rollouts >= 2),
            ("lora_rank", "0 on a CPU with grpo", spec.device != "cpu" or spec.lora_rank == 0),
            (
                "mini_batch_size",
                f"with rollouts a multiple of the {devices} ranks",
                spec.mini_batch_size * spec.rollouts % devices == 0,
            ),
        ]

    def steps_per_epoch(self, spec: TrainSpec, questions: Sequence[Question], chat_format: ChatFormat) -> int:
        """verl drops the last, smaller batch of an epoch."""
        if len(questions) < spec.train_batch_size:
            raise UserError(
                f"{len(questions)} questions are fewer than one batch of {spec.train_batch_size}",
                field="train_batch_size",
                allowed=f"at most {len(questions)}",
            )
        return len(questions) // spec.train_batch_size

    def command(self, spec: TrainSpec, paths: RunPaths) -> tuple[str, ...]:
        from mentor_trainer.overrides import build_overrides

        overrides = build_overrides(spec, paths)
        write_text(paths.attempt / "overrides.json", json.dumps(overrides, indent=1))
        return sys.executable, "-m", "mentor_trainer.verl_ext.entry", *overrides


PLUGIN = _GRPO()
