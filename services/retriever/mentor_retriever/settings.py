"""Settings of the retriever: MENTOR_RETRIEVER_<NAME>, the YAML file (FlashRAG's keys are accepted), or flags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from mentor.serving import ServiceSettings

_IGNORED = ("gpu_id",)
"""FlashRAG keys with nothing to say to this service; they may stay in a carried-over file."""

_PREFIXES = {
    "e5": ("query: ", "passage: "),
    "bge": ("Represent this sentence for searching relevant passages: ", ""),
}


def _either(name: str, flashrag: str) -> AliasChoices:
    return AliasChoices(name, flashrag, f"MENTOR_RETRIEVER_{name.upper()}")


class RetrieverSettings(ServiceSettings):
    """``retrieval_method`` is ``bm25`` or the family of a dense encoder (``e5``, ``bge`` decide its prefixes)."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_RETRIEVER_")

    port: int = Field(default=8081, ge=0, le=65535)
    grpc_port: int | None = Field(default=50052, ge=-1, le=65535)

    corpus_path: Path = Field(description="JSON lines: {id, contents} or {id, title, text}; other fields survive")
    retrieval_method: str = "bm25"
    index_path: Path | None = Field(default=None, description="where the index is kept; built and written if missing")
    faiss_gpu: bool = False

    retrieval_model_path: Path | None = Field(default=None, description="local folder of the dense encoder")
    query_prefix: str | None = Field(default=None, validation_alias=_either("query_prefix", "instruction"))
    passage_prefix: str | None = None
    pooling: Literal["mean", "cls"] | None = Field(
        default=None, validation_alias=_either("pooling", "retrieval_pooling_method")
    )
    query_max_length: int = Field(
        default=128, ge=1, validation_alias=_either("query_max_length", "retrieval_query_max_length")
    )
    passage_max_length: int = Field(default=256, ge=1)
    encode_batch_size: int = Field(
        default=64, ge=1, validation_alias=_either("encode_batch_size", "retrieval_batch_size")
    )
    fp16: bool = Field(default=False, validation_alias=_either("fp16", "retrieval_use_fp16"))

    default_top_n: int = Field(default=10, ge=1, validation_alias=_either("default_top_n", "retrieval_topk"))
    max_top_n: int = Field(default=100, ge=1)
    max_batch: int = Field(default=512, ge=1, description="queries in one request")
    max_query_chars: int = Field(default=8192, ge=1)
    workers: int = Field(default_factory=lambda: min(4, os.cpu_count() or 1), ge=1, description="requests at a time")
    max_queue: int = Field(default=256, ge=0, description="requests that may wait; beyond it callers get 429")
    queue_timeout_s: float = Field(default=30.0, gt=0)
    threads: int = Field(default=1, ge=1, description="threads of the encoder and of FAISS per request")

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if k not in _IGNORED} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default_top_n > self.max_top_n:
            raise ValueError(f"default_top_n ({self.default_top_n}) must not exceed max_top_n ({self.max_top_n})")
        if self.dense and self.retrieval_model_path is None:
            message = f"retrieval_model_path is needed for retrieval_method {self.retrieval_method!r}"
            raise ValueError(f"{message}; without an encoder use bm25")
        return self

    @property
    def dense(self) -> bool:
        """Whether passages are found by vectors."""
        return self.retrieval_method != "bm25"

    @property
    def prefixes(self) -> tuple[str, str]:
        """What the encoder's family wants before a query and before a passage."""
        family = next((p for name, p in _PREFIXES.items() if name in self.retrieval_method.lower()), ("", ""))
        query = family[0] if self.query_prefix is None else self.query_prefix
        return query, family[1] if self.passage_prefix is None else self.passage_prefix
