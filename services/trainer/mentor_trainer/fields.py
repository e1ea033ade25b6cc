"""The fields of a training run, by what they are about: each with its default (the paper's, Table 5) and its source."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mentor.grading import JudgeName
from mentor.paper import ROLLOUTS, TOTAL_EPOCHS, TRAIN_BATCH_SIZE
from mentor.reach import Reach
from mentor.rewards import Weights
from mentor.trajectory import Frozen
from mentor_trainer.lifecycle.fields import CheckpointEvaluation
from mentor_trainer.methods import MethodName


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
    train_batch_size: int = Field(default=TRAIN_BATCH_SIZE, ge=1)
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
    distil_model: Annotated[str | None, Reach.PATH] = None
    """On-policy distillation: folder of a teacher with the student's own tokenizer. Every token that the student says is
    rewarded by the teacher's log-probability minus its own, an estimate of the reverse KL (Agarwal et al., arXiv 2306.13649;
    Gu et al., arXiv 2306.08543). Takes the place of the reference model: wants ``use_kl: false``."""
    distil_coef: float = Field(default=1.0, gt=0)
    """Weight of that term beside the advantages of the reward."""
    distil_alone: bool = False
    """Learn from the teacher's probabilities alone: the reward is measured, and moves nothing."""
    dpo_beta: float = Field(default=0.1, gt=0)
    """How strongly DPO holds the student to what it was."""
    packing: bool = False
    """SFT packs several examples into one sequence of ``max_sequence_length`` (GPUs, with flash-attention)."""
    lora_rank: int = Field(default=0, ge=0)
    gradient_checkpointing: bool = True


class RolloutFields(Frozen):
    """How the student is sampled."""

    rollouts: int = Field(default=ROLLOUTS, ge=1)
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

    total_epochs: int = Field(default=TOTAL_EPOCHS, ge=1)
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
    """Rollout engine; None is ``vllm`` on GPUs and ``local`` on the CPU. ``local`` on GPUs: small students without vLLM."""
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
