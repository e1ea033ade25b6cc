"""A spec as arguments of transformers' Trainer, and the model that it trains."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import PreTrainedModel

from mentor.inference.local.weights import load_model
from mentor_trainer.config import TrainSpec

STAGING = ".trainer"
"""Where the Trainer writes a checkpoint before ``RunCallback`` takes it; beside those that are whole."""
_NEVER = 10**9
_LAST = 100
"""Behind torch's own loaders."""


def arguments(spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Arguments that every TRL config takes.

    A step is ``train_batch_size`` examples: so many on each device at once (``micro_batch_size`` at most), the rest by
    accumulation. The Trainer weighs accumulated losses by their tokens, so that the mean is over the batch's tokens.
    """
    ranks = spec.n_gpus_per_node
    each = spec.train_batch_size // ranks
    micro = max(size for size in range(1, min(spec.micro_batch_size, each) + 1) if each % size == 0)
    cpu = spec.device == "cpu"
    if cpu:
        torch.set_num_threads(spec.cpu_threads)
        _load_onto_cpu_ranks()
    return {
        "output_dir": str(folder / STAGING),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": each // micro,
        "num_train_epochs": spec.total_epochs,
        "max_steps": spec.total_steps or -1,
        "learning_rate": spec.lr,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": spec.lr_warmup_steps,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.grad_clip,
        "optim": "adamw_torch",
        "seed": spec.seed,
        "data_seed": spec.seed,
        "use_cpu": cpu,
        "bf16": not cpu,
        "gradient_checkpointing": spec.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if spec.gradient_checkpointing else None,
        # A student of several GPUs' size is sharded; on CPU ranks whole copies stay equal by averaged gradients.
        "fsdp": "full_shard auto_wrap" if ranks > 1 and not cpu else None,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": spec.save_freq if spec.save_freq > 0 else _NEVER,
        "save_total_limit": None,
        "report_to": [name for name in spec.loggers if name in ("tensorboard", "wandb", "mlflow")] or "none",
        "run_name": spec.name,
        "disable_tqdm": True,
        "dataloader_pin_memory": not cpu,
    }


@cache  # once a process: torch sorts its loaders, and two of one rank cannot be told apart
def _load_onto_cpu_ranks() -> None:
    """The Trainer of the nth rank loads its optimiser's state onto the device ``cpu:n``, for which torch knows no loader."""

    def load(storage: Any, location: str) -> Any:
        return storage if location.startswith("cpu:") else None

    torch.serialization.register_package(_LAST, lambda _: None, load)


def student(spec: TrainSpec) -> PreTrainedModel:
    """The student, ready to be trained.

    Raises:
        UserError: the folder holds no loadable model.
    """
    model = load_model(spec.model)
    model.requires_grad_(True).train()
    model.config.use_cache = False
    return model


def adapters(spec: TrainSpec) -> LoraConfig | None:
    """LoRA on every linear layer (paper, Table 6, trains adapters); None trains all weights."""
    if not spec.lora_rank:
        return None
    return LoraConfig(
        r=spec.lora_rank, lora_alpha=2 * spec.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
