"""One optimisation step of verl as the trainer configures it: in this process, without Ray, on a batch that is given.

The trainer's own methods compute the advantages and ask for the update; verl's actor worker, on as many ranks as
``torch.distributed`` has, makes it. What lies between them in a run (TransferQueue) is a dictionary here.
"""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import copy
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf, open_dict
from tensordict import TensorDict
from torch.distributed.tensor import DTensor
from transfer_queue import KVBatchMeta
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.utils.losses import ppo_loss

from mentor_trainer.config import TrainSpec
from mentor_trainer.overrides import RunPaths, build_overrides
from mentor_trainer.verl_ext.batch import arrange
from mentor_trainer.verl_ext.on_policy import drop_idle_correction
from mentor_trainer.verl_ext.runtime import Runtime
from mentor_trainer.verl_ext.trainer import MentorTrainer
from tests.support.grpo_equation import Sample, log_probabilities
from tests.support.training import STUDENT

Gradients = dict[str, torch.Tensor]


def tiny_model(folder: Path) -> Path:
    """A random Qwen2 of 60,000 parameters, with the tiny student's tokenizer, in ``folder``."""
    AutoTokenizer.from_pretrained(STUDENT).save_pretrained(folder)
    config = AutoConfig.from_pretrained(STUDENT)
    changes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config.update(
        {**changes, "num_key_value_heads": 2, "layer_types": ["full_attention"] * 2, "initializer_range": 0.2}
    )
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def plain_model(path: Path) -> Any:
    """The model in float32, without verl."""
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="sdpa")


def batch_of(model: Any, groups: int = 4, rollouts: int = 4, seed: int = 0, temperature: float = 1.0) -> list[Sample]:
    """Trajectories of unequal lengths with observations in them; recorded log-probabilities off the model's own.

    Their distance to the reference stays where verl's estimate of the divergence is not clamped (at 10).
    """
    draw = torch.Generator().manual_seed(seed)

    def ids(count: int) -> list[int]:
        return torch.randint(10, 500, (count,), generator=draw).tolist()

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=draw))

    samples = []
    for group in range(groups):
        prompt = ids(number(3, 9))
        for _ in range(rollouts):
            turns = [(number(2, 8), 1), (number(1, 6), 0), (number(1, 12), 1)]
            mask = [bit for count, bit in turns for _ in range(count)]
            response = ids(len(mask))
            own = log_probabilities(model, prompt, response, temperature)
            old, reference, engine = (own + s * torch.randn(len(own), generator=draw) for s in (0.25, 0.4, 0.3))
            reward = float(torch.rand((), generator=draw))
            samples.append(Sample(f"g{group}", prompt, response, mask, reward, old, reference, engine))
    return samples


def overrides_of(spec: TrainSpec, folder: Path) -> list[str]:
    """What the trainer hands to verl for a spec."""
    overrides = build_overrides(spec, RunPaths(checkpoints=folder / "c", attempt=folder / "a"))
    return [o for o in overrides if not o.startswith("hydra.")]


def changed(config: Any, before: Sequence[str], after: Sequence[str]) -> Any:
    """A composed configuration with other overrides: composing afresh takes verl's configuration half a second."""
    config = copy.deepcopy(config)
    for override in OverridesParser.create().parse_overrides([o for o in after if o not in before]):
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return config


def compose_config(spec: TrainSpec, folder: Path) -> Any:
    """verl's whole configuration for a spec, as its main program composes it."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides_of(spec, folder))
    with open_dict(config):
        config.actor_rollout_ref.actor.optim.total_training_steps = spec.total_steps or 10
    return config


def single_process_group() -> None:
    """What Ray would have set up for a worker that is alone."""
    defaults = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    for name, value in {**defaults, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        os.environ.setdefault(name, value)


class Actor:
    """verl's actor on this rank."""

    def __init__(self, spec: TrainSpec, folder: Path) -> None:
        self.folder = folder
        self.overrides = overrides_of(spec, folder)
        self.base = self.config = compose_config(spec, folder)
        self.worker = ActorRolloutRefWorker(config=self.config.actor_rollout_ref, role="actor")
        self.worker.init_model()
        self.engine = self.worker.actor.engine
        self.start = {name: whole(p).clone() for name, p in self.engine.module.named_parameters()}
        self.gradients: list[Gradients] = []
        self.losses: list[float] = []
        self.metrics: dict[str, float] = {}
        step = self.engine.optimizer_step

        def recording() -> float:
            grads = {n: whole(p.grad) for n, p in self.engine.module.named_parameters() if p.grad is not None}
            self.gradients.append({name: grad.clone() for name, grad in grads.items()})
            return float(step())

        self.engine.optimizer_step = recording

    def configure(self, spec: TrainSpec) -> None:
        """Take another spec's loss, and begin again at the weights and moments of the start."""
        self.config = changed(self.base, self.overrides, overrides_of(spec, self.folder))
        actor = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
        self.worker.actor.set_loss_fn(partial(ppo_loss, config=actor))
        self.gradients.clear()
        self.engine.optimizer.state.clear()
        with torch.no_grad():
            for name, parameter in self.engine.module.named_parameters():
                local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
                local.copy_(share(self.start[name], parameter))

    def update(self, samples: Sequence[Sample]) -> list[Gradients]:
        """One step on these samples; the gradients of its mini-batches, before clipping."""
        trainer, store = self._trainer(samples)
        self.gradients.clear()
        self.metrics.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer_base, "tq", store)
            batch = KVBatchMeta(partition_id="train", keys=list(store.rows), tags=[{} for _ in samples])
            batch.extra_info["temperature"] = self.config.actor_rollout_ref.rollout.temperature
            batch = trainer._compute_advantage(batch, {})
            trainer._update_actor(batch, self.metrics)
        return list(self.gradients)

    def _trainer(self, samples: Sequence[Sample]) -> tuple[Any, Any]:
        store = Store(samples)
        trainer: Any = object.__new__(MentorTrainer)
        trainer.config, trainer.runtime = self.config, Runtime()
        drop_idle_correction(trainer.config)
        trainer._early_servers, trainer._worked = [], 0.0
        trainer.actor_rollout_wg = SimpleNamespace(update_actor=lambda batch: self._dispatch(batch, store))
        return trainer, store

    def _dispatch(self, batch: Any, store: Any) -> TensorDict:
        """What verl's dispatch does: this rank's share of the rows, and the call."""
        rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        lengths = [len(row["input_ids"]) for row in store.rows.values()]
        order = arrange(lengths, batch.extra_info["mini_batch_size"], ranks)
        mine = order[rank * len(order) // ranks : (rank + 1) * len(order) // ranks]
        data = store.kv_batch_get([list(store.rows)[row] for row in mine], "train", None)
        data.pop("uid")
        tu.assign_non_tensor(data, **batch.extra_info)
        output = self.worker.update_actor(data)
        metrics = dict(tu.get(output, "metrics"))
        self.losses.append(float(torch.as_tensor(metrics["loss"]).mean()))
        return TensorDict({}, batch_size=[]).set_non_tensor("metrics", {**metrics, "mfu": [0.0]})


class Store:
    """Rows by key, as TransferQueue holds them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.rows = {f"{s.group}_{n}_0": _row(s) for n, s in enumerate(samples)}

    def kv_batch_get(self, keys: Sequence[str], partition_id: str, select_fields: Sequence[str] | None) -> TensorDict:
        rows = [self.rows[key] for key in keys]
        names = [n for n in rows[0] if select_fields is None or n in select_fields]
        tensors = {n: nested([row[n] for row in rows]) for n in names if n != "uid"}
        result = TensorDict(tensors, batch_size=len(rows))
        if "uid" in names:
            result["uid"] = tu.get_tensordict({"uid": [row["uid"] for row in rows]})["uid"]
        return result

    def kv_batch_put(self, keys: Sequence[str], partition_id: str, fields: TensorDict, tags: Any = None) -> Any:
        for name, values in fields.items():
            for key, value in zip(keys, values.unbind(), strict=True):
                self.rows[key][name] = value
        return KVBatchMeta(partition_id=partition_id, keys=list(keys), tags=[{} for _ in keys])


def _row(sample: Sample) -> dict[str, Any]:
    ids = sample.prompt + sample.response
    scores = torch.zeros(len(sample.response))
    scores[-1] = sample.reward
    mask = torch.tensor(sample.mask)
    row = {
        "uid": sample.group,
        "prompts": torch.tensor(sample.prompt),
        "responses": torch.tensor(sample.response),
        "input_ids": torch.tensor(ids),
        "position_ids": torch.arange(len(ids)),
        "response_mask": mask,
        "loss_mask": mask,
        "rm_scores": scores,
        "rollout_log_probs": sample.engine,
        "old_log_probs": sample.old,
        "ref_log_prob": sample.reference,
    }
    return {name: value for name, value in row.items() if value is not None}


def apart(one: Gradients, other: Gradients) -> float:
    """Norm of the difference by the norm of the first."""
    assert one.keys() == other.keys()
    difference = sum(float((one[name] - other[name]).square().sum()) for name in one)
    return (difference / sum(float(grad.square().sum()) for grad in one.values())) ** 0.5


def nested(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows of unequal lengths as verl keeps them."""
    return torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)


def whole(tensor: Any) -> torch.Tensor:
    """A tensor of which ranks hold parts."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return torch.as_tensor(full.detach())


def share(full: torch.Tensor, like: Any) -> torch.Tensor:
    """This rank's part of a whole tensor."""
    if not isinstance(like, DTensor):
        return full
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None).to_local()
