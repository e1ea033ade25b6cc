"""Supervised fine-tuning on the teacher's trajectories: ``python -m mentor_trainer.sft SPEC.json ATTEMPT CHECKPOINTS``.

One process, plain PyTorch; the loss is the mean over the assistant's tokens of a whole batch. Metrics, checkpoints and the
stop file are those of a GRPO run, so that the same supervisor serves both.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from mentor.chat import load_format
from mentor.errors import MentorError
from mentor.inference.local.weights import load_model
from mentor_trainer import checkpoints
from mentor_trainer.config import TrainSpec
from mentor_trainer.sft_data import Example, examples, load_pairs

_STATE = "trainer_state.pt"


class SFTRun:
    """Model, optimizer and data of one run.

    Args:
        spec: what to do.
        resume: a whole checkpoint's folder to go on from, or None.
    """

    def __init__(self, spec: TrainSpec, resume: Path | None) -> None:
        torch.manual_seed(spec.seed)
        torch.set_num_threads(spec.cpu_threads)
        self.spec = spec
        self.device = torch.device(spec.device)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(spec.model, local_files_only=True)
        chat_format = load_format(self.tokenizer, spec.chat_format, **spec.template_kwargs)
        self.data = examples(spec, load_pairs(spec), chat_format)
        source = resume / "actor" / "huggingface" if resume and not spec.lora_rank else Path(spec.model)
        self.model = _trainable(load_model(source), spec).to(self.device)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
        self.step = 0
        if resume:
            self._restore(resume)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        per_epoch = math.ceil(len(self.data) / self.spec.train_batch_size)
        return self.spec.total_steps or per_epoch * self.spec.total_epochs

    def batch(self, step: int) -> list[Example]:
        """The examples of a step; a pure function of seed and step, so that a resumed run sees the same ones."""
        size, per_epoch = self.spec.train_batch_size, math.ceil(len(self.data) / self.spec.train_batch_size)
        epoch, index = divmod(step, per_epoch)
        order = list(range(len(self.data)))
        if self.spec.shuffle:
            random.Random(f"{self.spec.seed}/{epoch}").shuffle(order)
        return [self.data[i] for i in order[index * size : (index + 1) * size]]

    def train_step(self) -> dict[str, float]:
        """One update; returns the step's metrics."""
        started = time.monotonic()
        batch = self.batch(self.step)
        tokens = sum(sum(example.mask) for example in batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * min(1.0, (self.step + 1) / max(1, self.spec.lr_warmup_steps))
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for micro in _chunks(batch, self.spec.micro_batch_size):
            loss = token_loss(self.model, *pad(micro, int(self.tokenizer.pad_token_id or 0), self.device)) / tokens
            loss.backward()
            total += float(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.grad_clip)
        self.optimizer.step()
        self.step += 1
        return {
            "training/global_step": self.step,
            "actor/loss": total,
            "actor/grad_norm": float(norm),
            "actor/lr": self.optimizer.param_groups[0]["lr"],
            "sft/tokens": float(tokens),
            "timing_s/step": time.monotonic() - started,
        }

    def save(self, folder: Path) -> None:
        """Write a whole checkpoint of the present step, then drop the oldest beyond ``max_checkpoints``."""
        target = folder / f"global_step_{self.step}"
        hf = target / "actor" / "huggingface"
        _merged(self.model).save_pretrained(hf)
        self.tokenizer.save_pretrained(hf)
        state: dict[str, Any] = {"optimizer": self.optimizer.state_dict(), "step": self.step}
        if self.spec.lora_rank:
            state["adapter"] = {n: p.detach().cpu() for n, p in self.model.named_parameters() if p.requires_grad}
        torch.save(state, target / _STATE)
        checkpoints.commit(target, self.step)
        checkpoints.prune(folder, self.spec.max_checkpoints)

    def _restore(self, resume: Path) -> None:
        state = torch.load(resume / _STATE, map_location=self.device, weights_only=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        if "adapter" in state:
            self.model.load_state_dict(state["adapter"], strict=False)


def token_loss(model: torch.nn.Module, ids: Tensor, attention: Tensor, labels: Tensor) -> Tensor:
    """Sum of cross-entropy over labelled tokens. ``labels`` (batch, length) is -100 where there is no loss."""
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum"
    )


def pad(batch: Sequence[Example], filler: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids, attention mask and labels, each (batch, longest)."""
    longest = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), longest), filler, dtype=torch.long)
    attention, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, example in enumerate(batch):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        attention[row, :length] = 1
        labels[row, :length] = torch.tensor([i if m else -100 for i, m in zip(example.ids, example.mask, strict=True)])
    return ids.to(device), attention.to(device), labels.to(device)


def _trainable(model: PreTrainedModel, spec: TrainSpec) -> torch.nn.Module:
    model.requires_grad_(True).train()
    if spec.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not spec.lora_rank:
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=spec.lora_rank, lora_alpha=2 * spec.lora_rank, target_modules="all-linear")
    return get_peft_model(model, config)


def _merged(model: torch.nn.Module) -> Any:
    """The model to write: adapters merged into a copy, which costs its memory once more."""
    if not hasattr(model, "merge_and_unload"):
        return model
    import copy

    return copy.deepcopy(model).merge_and_unload()


def _chunks(batch: list[Example], size: int) -> Iterator[list[Example]]:
    for start in range(0, len(batch), size):
        yield batch[start : start + size]


def train(spec: TrainSpec, attempt: Path, folder: Path, resume: Path | None) -> None:
    """Run to the end or to the stop file, writing metrics and checkpoints."""
    run = SFTRun(spec, resume)
    with (attempt / "metrics.jsonl").open("w", buffering=1) as metrics:
        while run.step < run.total_steps:
            record = run.train_step()
            metrics.write(json.dumps({"step": run.step, "data": record}) + "\n")
            stop = (attempt / "stop").exists()
            if stop or run.step == run.total_steps or (spec.save_freq > 0 and run.step % spec.save_freq == 0):
                run.save(folder)
            if stop:
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("attempt", type=Path)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("--resume", type=Path)
    options = parser.parse_args()
    spec = TrainSpec.model_validate_json(options.spec.read_text())
    try:
        train(spec, options.attempt, options.checkpoints, options.resume)
    except MentorError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
