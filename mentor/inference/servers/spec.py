"""What a spec says of a model server that its job is to start."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mentor.errors import ForbiddenError
from mentor.inference.engines import ENGINES, EngineName
from mentor.reach import Reach
from mentor.rpc.principal import Role
from mentor.trajectory import Frozen

_ARGUMENT = re.compile(r"--[a-z][a-z0-9-]*(=[^\0\n]*)?")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WORD = r"^[A-Za-z0-9_.-]{1,64}$"


class ServeSpec(Frozen):
    """An engine and its settings, by vLLM's names. An engine refuses those that it does not know.

    Attributes:
        arguments: further flags of the engine, ``--flag`` or ``--flag=value``. Anybody may give those that the engine
            lists as plain; others are for operators.
        start_timeout_s: seconds from the start of the process until it serves.
        replicas: so many servers of the model, each with an equal share of the job's GPUs.
        restarts: how often one that died or hung is started again before it is given up; without any the job fails.
        hang_s: seconds without an answer to its health check after which it is taken for hung.
    """

    engine: EngineName = "vllm"
    replicas: int = Field(
        default=1, ge=1, le=64, description="servers of the model; the job's GPUs are divided equally"
    )
    tensor_parallel: int | None = Field(default=None, ge=1, le=64, description="GPUs that share the model: leased too")
    max_model_len: int | None = Field(default=None, ge=1, description="tokens of context")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] | None = None
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    max_num_seqs: int | None = Field(default=None, ge=1, description="sequences decoded together")
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    enable_chunked_prefill: bool | None = None
    enable_prefix_caching: bool | None = None
    parser: str | None = Field(default=None, pattern=_WORD, description="of tool calls, in chat mode; default hermes")
    reasoning_parser: str | None = Field(default=None, pattern=_WORD, description="of reasoning, in chat mode")
    arguments: Annotated[tuple[str, ...], Reach.ARGUMENT] = Field(default=(), max_length=64)
    start_timeout_s: float = Field(default=1200.0, gt=0, le=7200)
    restarts: int = Field(default=3, ge=0, le=100)
    hang_s: float = Field(default=120.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _known_to_the_engine(self) -> Self:
        engine = ENGINES.get(self.engine)
        unknown = [name for name in self.options if name not in engine.takes]
        if unknown:
            raise ValueError(
                f"{unknown[0]}: {self.engine} has no such option; it has {', '.join(sorted(engine.takes))}"
            )
        for argument in self.arguments:
            if not _ARGUMENT.fullmatch(argument):
                raise ValueError(f"arguments: {argument!r} is no flag; allowed: --flag or --flag=value")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Settings of the engine that are given."""
        kept = ("engine", "replicas", "arguments", "start_timeout_s", "restarts", "hang_s")
        return {n: v for n in type(self).model_fields if n not in kept and (v := getattr(self, n)) is not None}

    @property
    def devices(self) -> int:
        """GPUs that all replicas take together; 0 where the spec leaves that open."""
        return self.replicas * (self.tensor_parallel or 0)

    def require_plain_argument(self, field: str, argument: str) -> None:
        """Refuse an argument that is for operators: one that could name code, files, addresses or keys.

        Raises:
            ForbiddenError: naming ``field``.
        """
        flag, equals, value = argument.partition("=")
        known = ENGINES.get(self.engine).plain
        if flag not in known or (equals and not _PLAIN_VALUE.fullmatch(value)):
            raise ForbiddenError(
                f"{field}: {argument[:200]!r} is no plain argument of {self.engine}",
                field=field,
                allowed=f"{', '.join(sorted(known))} with a number or a word; others need the role {Role.OPERATE}",
            )


def require_equal_shares(gpus: int, serves: Iterable[ServeSpec | None]) -> None:
    """Refuse GPUs of a job that a model's replicas cannot divide equally.

    Raises:
        ValueError: naming the field.
    """
    given = [serve for serve in serves if serve is not None]
    leased = max((gpus, *(serve.devices for serve in given)))
    for serve in given:
        if leased % serve.replicas:
            raise ValueError(
                f"gpus: {serve.replicas} replicas of model.serve cannot share {leased} equally; allowed: a multiple of "
                f"{serve.replicas}, or other replicas"
            )
