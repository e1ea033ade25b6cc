"""What makes a run of transformers' Trainer a run of ours: metrics by line, whole checkpoints, the stop file.

A checkpoint has the layout of a run in verl, ``global_step_N/actor/huggingface`` (the model alone, adapters merged) and
beside it ``trainer/``, the Trainer's own state (weights, optimiser, schedule, random numbers), from which it goes on.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mentor_trainer import checkpoints
from mentor_trainer.config import TrainSpec

STATE = "trainer"
_WEIGHTS = "model*.safetensors*"
_NAMES = {"loss": "actor/loss", "grad_norm": "actor/grad_norm", "learning_rate": "actor/lr", "entropy": "actor/entropy",
          "mean_token_accuracy": "sft/token_accuracy", "num_tokens": "sft/tokens_seen", "epoch": "training/epoch"}  # fmt: skip
"""The Trainer's names and ours. What has none (``rewards/margins`` of DPO) keeps its own, under ``dpo/``."""


class RunCallback(TrainerCallback):
    """Of one attempt. Only the first rank writes."""

    def __init__(self, spec: TrainSpec, attempt: Path, folder: Path, trainer: Trainer) -> None:
        self._spec, self._attempt, self._folder, self._trainer = spec, attempt, folder, trainer
        self._begun = time.monotonic()
        self._seconds = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            (self._attempt / "metrics.jsonl").write_text("")
        self._begun = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = time.monotonic()
        self._seconds, self._begun = now - self._begun, now
        if self._asked_to_stop():
            control.should_save = control.should_training_stop = True

    def _asked_to_stop(self) -> bool:
        """What all ranks agree on: one that saw the stop file a step before another would leave it waiting for ever."""
        accelerator = self._trainer.accelerator
        seen = torch.tensor(float((self._attempt / "stop").exists()), device=accelerator.device)
        return bool(accelerator.reduce(seen, reduction="sum") > 0)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or "loss" not in (logs or {}):  # the last line, of the whole run, has none
            return
        told = {_NAMES.get(name, f"{self._spec.algorithm}/{name}"): value for name, value in (logs or {}).items()}
        record = {"training/global_step": state.global_step, **told, "timing_s/step": self._seconds}
        with (self._attempt / "metrics.jsonl").open("a") as metrics:
            metrics.write(json.dumps({"step": state.global_step, "data": record}) + "\n")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.accelerator.wait_for_everyone()  # each rank writes its random numbers into what is moved here
        if not state.is_world_process_zero:
            return
        staged = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        target = self._folder / f"global_step_{state.global_step}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        staged.rename(target / STATE)
        self._write_model(target)
        checkpoints.commit(target, state.global_step)
        checkpoints.prune(self._folder, self._spec.max_checkpoints)
        self._begun = time.monotonic()

    def _write_model(self, target: Path) -> None:
        """The model for others to load: whole weights are linked, not written twice."""
        hf, model = target / "actor" / "huggingface", self._trainer.accelerator.unwrap_model(self._trainer.model)
        hf.mkdir(parents=True)
        whole = sorted((target / STATE).glob(_WEIGHTS))
        if whole:
            model.config.save_pretrained(hf)
            model.generation_config.save_pretrained(hf)
            for file in whole:
                os.link(file, hf / file.name)
        else:
            copy.deepcopy(model).merge_and_unload().save_pretrained(hf)
        tokenizer: Any = self._trainer.processing_class
        tokenizer.save_pretrained(hf)
