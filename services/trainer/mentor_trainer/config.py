"""The spec of one training run: every setting, its default (the paper's, Table 5) and what is allowed.

A spec is a YAML file or a JSON body. The environment variables of the published scripts (``TRAIN_BATCH_SIZE`` ...) override
the file's fields; see ``ENVIRONMENT``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.grading import JudgeName
from mentor.reach import Reach
from mentor.rewards import Weights
from mentor.trajectory import Frozen
from mentor_trainer.curriculum import Curriculum
from mentor_trainer.events import REPORTED
from mentor_trainer.lifecycle.fields import CheckpointEvaluation
from mentor_trainer.methods import METHODS, MethodName
from mentor_trainer.plain import require_plain

EVALUATION = "evaluation"
"""Value of ``keep_best`` that means the accuracy on suites."""
_MAX_BASES = 5
_HTTP = ("http://", "https://")
_FILES = ("train_files", "val_files", "trajectory_files", "preference_files", "pass_rate_files")
_NAMES = (
    *_FILES, "reward", "chat_format", "tools", "ray_address", "sandbox_url",
    "retriever_url", "model", "output_dir",
)  # fmt: skip
"""Fields of text that go into verl's configuration as they are."""


class DataFields(Frozen):
    """What is learnt from."""

    train_files: Annotated[tuple[str, ...], Reach.PATH] = ()
    """Questions with references: MENTOR/ReCall parquet or JSON lines."""
    val_files: Annotated[tuple[str, ...], Reach.PATH] = ()
    trajectory_files: Annotated[tuple[str, ...], Reach.PATH] = ()
    """The teacher's whole trajectories (JSON lines), which SFT learns from."""
    preference_files: Annotated[tuple[str, ...], Reach.PATH] = ()
    """Preference pairs in TRL's conversational format (JSON lines), which DPO learns from."""
    train_max_samples: int = Field(default=-1, ge=-1)
    val_max_samples: int = Field(default=-1, ge=-1)
    shuffle: bool = True


class AlgorithmFields(Frozen):
    """What is optimised, and the field's corrections of it, each with its source. ``docs/training.md`` has them in a table."""

    algorithm: MethodName = "grpo"
    """A training method: ``mentor list method``."""
    reward: Annotated[str, Reach.PRESET] = "flexible"
    """A preset's name or the path of a YAML file."""
    judge: JudgeName = "math"
    lr: float = Field(default=1e-6, gt=0)
    lr_warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    grad_clip: float = Field(default=1.0, gt=0)
    train_batch_size: int = Field(default=16, ge=1)
    mini_batch_size: int = Field(default=8, ge=1)
    ppo_epochs: int = Field(default=1, ge=1)
    use_kl: bool = True
    kl_coef: float = Field(default=0.001, ge=0)
    clip_ratio: float = Field(default=0.2, gt=0, lt=1)
    clip_ratio_high: float | None = Field(default=None, gt=0, lt=1)
    entropy_coef: float = Field(default=0.0, ge=0)
    dual_clip: float | None = Field(default=None, gt=1, le=1e6)
    """Bounds what a bad trajectory may cost once its ratio has grown (dual-clip PPO, arXiv 1912.09729, Eq. 8). Eq. 3 of the
    paper has no such bound (None); the published code runs with verl's 3."""
    importance_ratio: Literal["token", "sequence", "trajectory"] = "token"
    """Of what probabilities the clipped ratio is taken. ``token``: of each token (Eq. 3 of the paper). ``sequence``: of the
    whole response, as the geometric mean of its tokens' (GSPO, arXiv 2507.18071, Eq. 7). ``trajectory``: of all tokens
    together, their product."""
    loss_aggregation: Literal["seq-mean-token-mean", "token-mean", "seq-mean-token-sum-norm"] = "seq-mean-token-mean"
    """Eq. 3 of the paper is a mean per trajectory. ``token-mean``: over all tokens (DAPO, arXiv 2503.14476, Eq. 8; the
    published code). ``seq-mean-token-sum-norm``: a sum over tokens by a constant, ``max_response_length``, so that length
    earns nothing (Dr. GRPO, arXiv 2503.20783, Section 3.2)."""
    norm_by_std: bool = True
    """Divide advantages by the group's deviation. Dr. GRPO does not: it favours questions that are too easy or too hard."""
    dynamic_sampling: bool = False
    """Draw further questions in place of groups whose samples are all rewarded alike, which teach nothing (DAPO, Section
    3.2)."""
    dynamic_sampling_batches: int = Field(default=3, ge=2)
    """At most so many batches of questions for one step; then groups without signal are kept."""
    rollout_correction: Literal["none", "token", "sequence"] = "none"
    """Truncated importance sampling, for rollout engines whose probabilities differ from the trainer's: the loss is weighted
    by trainer's over engine's probability, of each token or of the whole response, up to ``rollout_correction_limit``
    (https://fengyao.notion.site/off-policy-rl; verl's decoupled mode)."""
    rollout_correction_limit: float = Field(default=2.0, gt=1)
    reward_weights_end: Weights | None = None
    """The reward's weights at ``reward_anneal_steps``; those of the preset at the first step, a straight line between: the
    teacher's process early, the answer late. None keeps the preset's."""
    reward_anneal_steps: int | None = Field(default=None, ge=2)
    curriculum: Literal["none", "pass_rate"] = "none"
    """``pass_rate``: from the questions that the student solves most often to those that it solves least; wants ``shuffle:
    false``."""
    pass_rate_files: Annotated[tuple[str, ...], Reach.PATH] = ()
    """The student's own trajectories (JSON lines, judged: of an evaluation), of which rates are taken; else a question's
    ``metadata.pass_rate`` is."""
    pass_rate_range: tuple[float, float] = (0.0, 1.0)
    """Questions with a pass rate outside it are left out: those never or always solved have no signal."""
    dpo_beta: float = Field(default=0.1, gt=0)
    """How strongly DPO holds the student to what it was."""
    packing: bool = False
    """SFT packs several examples into one sequence of ``max_sequence_length`` (GPUs, with flash-attention)."""
    lora_rank: int = Field(default=0, ge=0)
    gradient_checkpointing: bool = True


class RolloutFields(Frozen):
    """How the student is sampled."""

    rollouts: int = Field(default=10, ge=1)
    temperature: float = Field(default=0.7, gt=0, le=10)
    """Paper: 0.7 for Qwen2.5, 0.6 for Qwen3."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    val_rollouts: int = Field(default=1, ge=1)
    val_temperature: float = Field(default=0.0, ge=0, le=10)
    max_turns: int = Field(default=5, ge=1)
    max_prompt_length: int = Field(default=4096, ge=1)
    max_response_length: int = Field(default=8192, ge=1)
    max_sequence_length: int = Field(default=32768, ge=2)
    max_turn_tokens: int | None = Field(default=None, ge=1)
    max_consecutive_invalid: int | None = Field(default=3, ge=1)
    chat_format: str = "auto"
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    system_prompt: str | None = None
    tools: tuple[str, ...] | None = None
    """Tools offered where a question names none; None offers the 12 math tools."""


class ScheduleFields(Frozen):
    """How long, and what is kept. A frequency of -1 switches saving or validation off; the last step is always saved."""

    total_epochs: int = Field(default=2, ge=1)
    total_steps: int | None = Field(default=None, ge=1)
    save_freq: int = Field(default=20, ge=-1)
    test_freq: int = Field(default=-1, ge=-1)
    val_before_train: bool = False
    max_checkpoints: int = Field(default=2, ge=1)
    keep_best: str | None = None
    """Keep the model of the checkpoint at which this metric was highest, as ``best``, and export it in the end. A step's metric
    (``correctness``; its mean since the last checkpoint), or ``evaluation``, the mean accuracy on ``evaluate_suites``. With a
    minus before it, lowest (``-loss``)."""
    early_stop: int | None = Field(default=None, ge=1)
    """Stop once so many checkpoints in a row were no better than the best."""
    save_rollouts: bool = True
    resume: bool = True
    seed: int = Field(default=0, ge=0)
    deterministic: bool = False
    """The same seed gives the same run to the last digit: the local engine decodes one trajectory at a time, since what
    stands beside a row in a batch changes its probabilities in the seventh digit. Several times slower to sample."""


class ResourceFields(Frozen):
    """Where it runs. ``micro_batch_size`` is per device; on GPUs batches are packed to ``max_tokens_per_gpu`` instead."""

    device: Literal["cpu", "cuda"] = "cuda"
    backend: Literal["local", "vllm", "sglang"] | None = None
    """Rollout engine; None is ``vllm`` on GPUs and ``local`` on the CPU."""
    n_gpus_per_node: int = Field(default=8, ge=1)
    """Devices of a node. On a CPU: ranks, each a process with a rollout engine of its own."""
    nnodes: int = Field(default=1, ge=1)
    tensor_parallel: int = Field(default=2, ge=1)
    gpu_memory_utilization: float = Field(default=0.8, gt=0, lt=1)
    gpu_memory_gib: float = Field(default=79.6, gt=0)
    """Memory of each GPU (the paper's: an H100 of 80 GB), against which a run is estimated before it starts."""
    offload: bool = False
    """Keep the trainer's weights and moments in host memory while the rollout engine works: slower, and room for it."""
    micro_batch_size: int = Field(default=32, ge=1)
    max_tokens_per_gpu: int = Field(default=32768, ge=1)
    threads: int | None = Field(default=None, ge=1)
    """Threads of each rank of a CPU run; None shares out all cores."""
    ray_address: Annotated[str | None, Reach.RAY] = None
    """URL of a Ray cluster's job server; None runs a private Ray on this machine."""


class ServiceFields(Frozen):
    """The services a run needs, and its patience with them."""

    sandbox_url: Annotated[str | None, Reach.SERVICE] = None
    retriever_url: Annotated[str | None, Reach.SERVICE] = None
    evaluator_url: Annotated[str | None, Reach.SERVICE] = None
    """Evaluator to which every checkpoint is sent."""
    evaluate_suites: tuple[str, ...] = ()
    """Its suites, on which checkpoints are evaluated while training goes on."""
    evaluate: CheckpointEvaluation = Field(default_factory=CheckpointEvaluation)
    """How."""
    turn_timeout_s: float = Field(default=600.0, gt=0)
    trajectory_timeout_s: float = Field(default=1800.0, gt=0)
    infrastructure_wait_s: float = Field(default=60.0, ge=0)
    max_failed_fraction: float = Field(default=0.25, ge=0, le=1)
    loggers: tuple[Literal["console", "file", "tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)


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
            ("tensor_parallel", "1 on a CPU", not cpu or self.tensor_parallel == 1),
            (
                "tensor_parallel",
                f"a divisor of n_gpus_per_node x nnodes = {self.n_gpus_per_node * self.nnodes}",
                (self.n_gpus_per_node * self.nnodes) % self.tensor_parallel == 0,
            ),
            ("reward_anneal_steps", "a number with reward_weights_end, none without", annealed),
            ("shuffle", "false with curriculum", self.curriculum == "none" or not self.shuffle),
            ("pass_rate_range", "two shares in order", 0 <= self.pass_rate_range[0] <= self.pass_rate_range[1] <= 1),
            ("backend", "local on a CPU, vllm or sglang on GPUs", (self.rollout_backend == "local") == cpu),
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
