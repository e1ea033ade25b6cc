"""The spec of one training run: its fields (``mentor_trainer.fields``) together, and what is allowed of them.

A spec is a YAML file or a JSON body. The environment variables of the published scripts (``TRAIN_BATCH_SIZE`` ...) override
the file's fields; see ``ENVIRONMENT``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.reach import Reach
from mentor_trainer.curriculum import Curriculum
from mentor_trainer.events import REPORTED
from mentor_trainer.fields import (
    AlgorithmFields,
    DataFields,
    ResourceFields,
    RolloutFields,
    ScheduleFields,
    ServiceFields,
)
from mentor_trainer.methods import METHODS
from mentor_trainer.plain import require_plain

EVALUATION = "evaluation"
"""Value of ``keep_best`` that means the accuracy on suites."""
_MAX_BASES = 5
_HTTP = ("http://", "https://")
_FILES = ("train_files", "val_files", "trajectory_files", "preference_files", "pass_rate_files")
_NAMES = (
    *_FILES, "distil_model", "reward", "chat_format", "tools", "ray_address", "sandbox_url",
    "retriever_url", "model", "output_dir",
)  # fmt: skip
"""Fields of text that go into verl's configuration as they are."""


class TrainSpec(DataFields, AlgorithmFields, RolloutFields, ScheduleFields, ResourceFields, ServiceFields):
    """One training run."""

    name: str = Field(default="train", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    model: Annotated[str, Reach.PATH]
    """Folder of the student in Hugging Face format."""
    output_dir: str = "runs/train"
    overrides: tuple[str, ...] = ()
    """Further hydra overrides, handed to verl as they are. Who is no operator may change plain settings only."""

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, data: Any) -> Any:
        """One file is a list of one; a CPU run has one rank unless it says otherwise."""
        if isinstance(data, Mapping):
            names = (*_FILES, "overrides", "loggers")
            data = {k: [v] if k in names and isinstance(v, str) else v for k, v in data.items()}
            if data.get("device") == "cpu":
                data = {"n_gpus_per_node": 1, "tensor_parallel": 1, **data}
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for field, allowed, holds in self._conditions():
            if not holds:
                raise ValueError(f"{field}: {getattr(self, field)!r} is not possible here (allowed: {allowed})")
        return self

    def _conditions(self) -> list[tuple[str, str, bool]]:
        """Field, what is allowed, and whether it holds: for settings that depend on one another."""
        # verl resolves its configuration twice: no escape of an interpolation survives that.
        inert = [(name, "no ${", "${" not in repr(getattr(self, name))) for name in _NAMES]
        cpu, batch = self.device == "cpu", self.train_batch_size
        annealed = (self.reward_weights_end is None) == (self.reward_anneal_steps is None)
        room = self.max_prompt_length + self.max_response_length
        return [
            *inert,
            ("train_files", "at least one file", bool(self.train_files or self.preference_files)),
            ("mini_batch_size", f"a divisor of train_batch_size {batch}", batch % self.mini_batch_size == 0),
            (
                "max_response_length",
                f"at most {self.max_sequence_length} with the prompt",
                room <= self.max_sequence_length,
            ),
            ("packing", "false on a CPU", not cpu or not self.packing),
            (
                "tensor_parallel",
                "1 with the local backend",
                self.rollout_backend != "local" or self.tensor_parallel == 1,
            ),
            (
                "tensor_parallel",
                f"a divisor of n_gpus_per_node x nnodes = {self.n_gpus_per_node * self.nnodes}",
                (self.n_gpus_per_node * self.nnodes) % self.tensor_parallel == 0,
            ),
            ("reward_anneal_steps", "a number with reward_weights_end, none without", annealed),
            ("use_kl", "false with distil_model, which is the reference", self.distil_model is None or not self.use_kl),
            ("distil_alone", "false without distil_model", self.distil_model is not None or not self.distil_alone),
            (
                "distil_model",
                "none with lora_rank: adapters share the student's weights with the reference",
                not (self.distil_model and self.lora_rank),
            ),
            ("shuffle", "false with curriculum", self.curriculum == "none" or not self.shuffle),
            ("pass_rate_range", "two shares in order", 0 <= self.pass_rate_range[0] <= self.pass_rate_range[1] <= 1),
            ("backend", "local on a CPU; vllm, sglang or local on GPUs", not cpu or self.rollout_backend == "local"),
            (
                "deterministic",
                "false unless backend is local",
                not self.deterministic or self.rollout_backend == "local",
            ),
            ("ray_address", "http://... or https://...", (self.ray_address or "http://").startswith(_HTTP)),
            ("test_freq", "-1 without val_files", self.test_freq <= 0 or bool(self.val_files)),
            ("val_before_train", "false without val_files", not self.val_before_train or bool(self.val_files)),
            *self._of_checkpoints(),
            *METHODS.get(self.algorithm).conditions(self),
        ]

    def _of_checkpoints(self) -> list[tuple[str, str, bool]]:
        """Conditions of what happens to checkpoints."""
        wanted = (self.keep_best or "").removeprefix("-")
        known = f"{EVALUATION} (with evaluate_suites), {', '.join(REPORTED)}"
        evaluated = bool(self.evaluate_suites)
        return [
            ("keep_best", known, not wanted or wanted in REPORTED or (wanted == EVALUATION and evaluated)),
            ("early_stop", "none without keep_best", self.early_stop is None or bool(wanted)),
            (
                "evaluator_url",
                "the evaluator's address, with evaluate_suites",
                not evaluated or bool(self.evaluator_url),
            ),
            (
                "save_freq",
                "1 or more with keep_best or evaluate_suites",
                self.save_freq > 0 or not (wanted or evaluated),
            ),
        ]

    def require_plain(self) -> None:
        """Refuse overrides that only operators may ask for.

        Raises:
            ForbiddenError: naming the override.
        """
        require_plain(self.overrides)

    @property
    def questions_by_rate(self) -> Curriculum:
        """What the spec says of pass rates."""
        return Curriculum(order=self.curriculum, range=self.pass_rate_range, files=self.pass_rate_files)

    @property
    def rollout_backend(self) -> str:
        """The rollout engine in use."""
        return self.backend or ("local" if self.device == "cpu" else "vllm")

    @property
    def cpu_threads(self) -> int:
        """Threads of a forward pass on the CPU, of each rank."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.n_gpus_per_node)


ENVIRONMENT: dict[str, str] = {
    "TRAIN_BATCH_SIZE": "train_batch_size",
    "PPO_MINI_BATCH_SIZE": "mini_batch_size",
    "MAX_PROMPT_LENGTH": "max_prompt_length",
    "MAX_RESPONSE_LENGTH": "max_response_length",
    "MAX_NUM_BATCHED_TOKENS": "max_tokens_per_gpu",
    "ROLLOUT_N": "rollouts",
    "ROLLOUT_TP": "tensor_parallel",
    "ROLLOUT_GPU_UTIL": "gpu_memory_utilization",
    "MAX_TURNS": "max_turns",
    "SAVE_FREQ": "save_freq",
    "TEST_FREQ": "test_freq",
    "TOTAL_EPOCHS": "total_epochs",
    "SEARCH_URL": "retriever_url",
    "SANDBOX_URL": "sandbox_url",
    "SAVE_BASE_DIR": "output_dir",
    "TRAIN_FILES": "train_files",
    "TEST_FILES": "val_files",
    "LR": "lr",
    "USE_KL": "use_kl",
    "KL_LOSS_COEF": "kl_coef",
    "CLIP_RATIO": "clip_ratio",
    "NNODES": "nnodes",
    "N_GPUS_PER_NODE": "n_gpus_per_node",
}
"""The published scripts' variables and the fields they set. ``WANDB_API_KEY`` adds the logger ``wandb``."""


def make_spec(values: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> TrainSpec:
    """A spec from plain values, the published environment variables laid over them.

    Raises:
        UserError: a field is unknown, malformed or contradicts another; it names the field and what is allowed.
    """
    environment = environment or {}
    merged = dict(values) | {field: environment[name] for name, field in ENVIRONMENT.items() if environment.get(name)}
    for name in ("train_files", "val_files"):
        if isinstance(merged.get(name), str):
            merged[name] = [part for part in merged[name].strip("[]").split(",") if part]
    if environment.get("WANDB_API_KEY"):
        merged["loggers"] = [*dict.fromkeys([*merged.get("loggers", ("tensorboard",)), "wandb"])]
    try:
        return TrainSpec.model_validate(merged)
    except ValidationError as error:
        raise _user_error(error) from error


def load_spec(path: str | Path, environment: Mapping[str, str] | None = None, **changes: Any) -> TrainSpec:
    """A spec from a YAML file. ``changes`` replace fields. Relative paths in it are relative to where one stands.

    ``base: OTHER.yaml`` in a file, relative to it, takes that file's fields first.

    Raises:
        UserError: a file cannot be read, is not a mapping, or ``make_spec`` refuses it.
    """
    values = _read_yaml(Path(path), depth=0)
    return make_spec({**values, **{k: v for k, v in changes.items() if v is not None}}, environment)


def _read_yaml(file: Path, depth: int) -> dict[str, Any]:
    values = read_mapping(file)
    base = values.pop("base", None)
    if base is None:
        return values
    if depth >= _MAX_BASES:
        raise UserError(f"{file}: bases of bases go round in a circle", field="base", allowed=f"{_MAX_BASES} at most")
    return {**_read_yaml(file.parent / str(base), depth + 1), **values}


def _user_error(error: ValidationError) -> UserError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return UserError(f"unknown setting {field!r}", field=field, allowed=", ".join(TrainSpec.model_fields))
    if not field:
        field = message.split(":", 1)[0]
        return UserError(message, field=field)
    return UserError(f"{field}: {message}, not {first['input']!r}", field=field)
