"""verl's FSDP engine with two corrections, the divisor of a batch with losses and checkpoints of any number of ranks, old
probabilities from the update's own pass where they are the same, prompts read once on the CPU, and a reference that may be
another model than the student.

Registered for the device ``cpu``, which verl ships no engine for, and for NVIDIA's GPUs under the vendor's key, which verl
looks up before its own entry: verl stays unedited, and its engine stands under the plain key still.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from tensordict import TensorDict
from torch.nn.functional import cross_entropy
from transformers import AutoConfig
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from mentor_trainer.verl_ext import TEACHER_VARIABLE
from mentor_trainer.verl_ext.on_policy import OwnProbabilities
from mentor_trainer.verl_ext.reshard import reshard, saved_ranks
from mentor_trainer.verl_ext.shared_prompts import Shared, can_share, share

_ASKED = {"use_remove_padding": True, "use_fused_kernels": False, "calculate_sum_pi_squared": False,
          "distillation_use_topk": False, "distillation_only": False}  # fmt: skip
"""What a micro-batch asks for, and verl's defaults: with any of it prompts are not shared."""
MODEL_SECONDS = "max_model_seconds"
"""The name tells verl to take the largest of ranks and mini-batches."""


class MentorEngine(FSDPEngineWithLMHead):  # type: ignore[misc]
    """One rank of an actor or reference policy."""

    model_seconds: ClassVar[float] = 0.0
    """Time of this process in forward and backward passes and their loss, since its start: actor's and reference's."""
    compute_entropy_from_logits: Callable[..., torch.Tensor]
    _passed_at: float | None = None
    _watches_entropy = False
    _survivors: int | None = None
    """Sequences of the present mini-batch, over all ranks, that have a token to learn from; None outside of one."""

    def __init__(self, model_config: Any, engine_config: Any, optimizer_config: Any, checkpoint_config: Any) -> None:
        teacher = os.environ.get(TEACHER_VARIABLE)
        if teacher and engine_config.forward_only:
            model_config = of_teacher(model_config, teacher)
        super().__init__(model_config, engine_config, optimizer_config, checkpoint_config)

    def forward_backward_batch(self, data: TensorDict, loss_function: Any, forward_only: bool = False) -> Any:
        """Loss and gradient of one mini-batch, averaged over the sequences that happened.

        verl divides the aggregations over sequences by the number that was planned. A sequence lost to infrastructure
        (a mask of zeros) adds nothing to the sum, so that a batch with losses would take a smaller step. Here the
        divisor is the number of sequences with a token to learn from, over all ranks and micro-batches.
        """
        self._survivors = None
        if not forward_only:
            # Not emptied by a mini-batch without any: a sum of nothing over one is nothing, over nothing NaN.
            self._survivors = self._count(data["loss_mask"])
            tu.assign_non_tensor(data, global_batch_size=max(1, self._survivors))
        self._passed_at = None
        own = None
        if not forward_only and "advantages" in data and "old_log_probs" not in data:
            self._watches_entropy = not tu.get_non_tensor_data(data, "calculate_entropy", default=False)
            tu.assign_non_tensor(data, calculate_entropy=True)
            loss_function = own = OwnProbabilities(loss_function, self._watches_entropy)
        output = super().forward_backward_batch(data, loss_function, forward_only=forward_only)
        self._watches_entropy = False
        if not forward_only:
            self._count_backward()
            output["metrics"][MODEL_SECONDS] = [MentorEngine.model_seconds]
        if own is not None:
            output["metrics"].update(
                {name: [value] for name, value in own.metrics(self.get_data_parallel_group()).items()}
            )
        return output

    def prepare_model_inputs(self, micro_batch: TensorDict) -> Any:
        """verl's; on the CPU with every prompt once, see ``shared_prompts``."""
        asked = {name: tu.get_non_tensor_data(micro_batch, name, default=usual) for name, usual in _ASKED.items()}
        if self._device().type != "cpu" or any(asked.values()) or not can_share(self.module.config):
            return super().prepare_model_inputs(micro_batch)
        shared = share(micro_batch, self.module.config.get_text_config().hidden_size)
        return shared.inputs, {"shared": shared}

    def prepare_model_outputs(
        self, output: Any, output_args: Any, micro_batch: TensorDict, *args: Any, **kwargs: Any
    ) -> Any:
        """verl's; an entropy that is only measured is kept out of the backward pass."""
        entropy_of = self.compute_entropy_from_logits
        if self._watches_entropy:
            self.compute_entropy_from_logits = torch.no_grad()(entropy_of)
        try:
            if "shared" in output_args:
                return self._shared_outputs(output.logits, output_args["shared"], micro_batch)
            return super().prepare_model_outputs(output, output_args, micro_batch, *args, **kwargs)
        finally:
            self.compute_entropy_from_logits = entropy_of

    def _shared_outputs(self, logits: torch.Tensor, shared: Shared, micro_batch: TensorDict) -> dict[str, torch.Tensor]:
        """Log-probabilities and entropies of the responses' tokens, as verl's engine names and lays them out."""
        temperature = micro_batch["temperature"]
        if isinstance(temperature, torch.Tensor):
            temperature = temperature[shared.owners][:, None]
        chosen = logits.flatten(0, 1)[shared.predictors] / temperature
        offsets = micro_batch["input_ids"].offsets()
        found = {"log_probs": shared.spread(-cross_entropy(chosen, shared.labels, reduction="none"), offsets)}
        if tu.get_non_tensor_data(micro_batch, "calculate_entropy", default=False):
            found["entropy"] = shared.spread(self.compute_entropy_from_logits(chosen), offsets)
        return found

    def forward_step(self, micro_batch: TensorDict, loss_function: Any, forward_only: bool) -> Any:
        """verl's, timed. A backward pass runs from the end of one such step to the beginning of the next, or to the end."""
        self._count_backward()
        started = time.perf_counter()
        result = super().forward_step(micro_batch, loss_function, forward_only)
        self._passed_at = time.perf_counter()
        MentorEngine.model_seconds += self._passed_at - started
        if forward_only:
            self._passed_at = None
        return result

    def _count_backward(self) -> None:
        if self._passed_at is not None:
            MentorEngine.model_seconds += time.perf_counter() - self._passed_at
        self._passed_at = None

    def optimizer_step(self) -> float:
        """Clip and step; a mini-batch that was lost whole moves neither weights nor the optimiser's moments."""
        if self._survivors == 0:
            self.optimizer_zero_grad()
            return 0.0
        return float(super().optimizer_step())

    def load_checkpoint(self, local_path: str, *args: Any, **kwargs: Any) -> None:
        """Load a checkpoint that any number of ranks wrote; see ``reshard``."""
        folder = Path(local_path)
        world = dist.get_world_size()
        if (saved := saved_ranks(folder)) in (None, world):
            super().load_checkpoint(local_path, *args, **kwargs)
            return
        with tempfile.TemporaryDirectory(prefix="mentor-reshard-") as mine:
            reshard(folder, int(saved or 0), Path(mine), self.module, self.optimizer)
            super().load_checkpoint(mine, *args, **kwargs)

    def _count(self, mask: torch.Tensor) -> int:
        """Rows of all ranks with a token that counts."""
        rows = mask.unbind() if mask.is_nested else mask
        count = torch.tensor(sum(bool(row.any()) for row in rows), device=self._device(), dtype=torch.int64)
        dist.all_reduce(count, group=self.get_data_parallel_group())
        return int(count.item())

    def _device(self) -> torch.device:
        return next(self.module.parameters()).device


def of_teacher(model_config: Any, folder: str) -> Any:
    """verl's configuration of the student's model with a teacher's weights and architecture in their place."""
    config = copy.deepcopy(model_config)
    config.local_path = folder
    config.hf_config = AutoConfig.from_pretrained(folder, local_files_only=True)
    return config


def register_engine(device: str) -> None:
    """Register the engine for ``cpu``, or for ``cuda`` under the key of NVIDIA."""
    known = EngineRegistry._engines["language_model"]
    vendor = {"cuda": "nvidia"}.get(device)
    key = (device, vendor) if vendor else device
    missing = [backend for backend in ("fsdp", "fsdp2") if key not in known[backend]]
    if missing:
        register = EngineRegistry.register(model_type="language_model", backend=missing, device=device, vendor=vendor)
        register(MentorEngine)
