"""Settings of the retriever: MENTOR_RETRIEVER_<NAME>, the YAML file (FlashRAG's keys are accepted), or flags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from mentor.serving import ServiceSettings
from mentor_retriever.encoders.families import Family, Pooling, family_of
from mentor_retriever.index.kinds import KINDS

_IGNORED = ("gpu_id",)
"""FlashRAG keys with nothing to say to this service; they may stay in a carried-over file."""


def _either(name: str, flashrag: str) -> AliasChoices:
    return AliasChoices(name, flashrag, f"MENTOR_RETRIEVER_{name.upper()}")


class RetrieverSettings(ServiceSettings):
    """``retrieval_method`` is ``bm25`` or the family of a dense encoder (``e5``, ``bge`` ... decide prefixes and pooling)."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_RETRIEVER_")

    port: int = Field(default=8081, ge=0, le=65535)
    grpc_port: int | None = Field(default=50052, ge=-1, le=65535)

    backend: Literal["local", "qdrant", "shards"] = Field(
        default="local", description="a corpus and an index here, a Qdrant collection, or retrievers that hold parts"
    )
    corpus_path: Path | None = Field(
        default=None, description="JSON lines: {id, contents} or {id, title, text}; other fields survive"
    )
    retrieval_method: str = "bm25"

    index_path: Path | None = Field(default=None, description="a folder of `mentor index build`, or a FAISS file")
    index_kind: str = Field(default="flat", description=f"of an index that is built at start: {', '.join(KINDS)}")
    index_memory: Literal["mmap", "ram"] = Field(default="mmap", description="map the index's files, or read them")
    index_at_start: int = Field(
        default=100_000, ge=0, description="a larger corpus without an index is refused, with the command to build one"
    )
    nprobe: int | None = Field(default=None, ge=1, description="lists of an IVF index that a query visits")
    ef_search: int | None = Field(default=None, ge=1, description="candidates that an HNSW search keeps")
    refine: int | None = Field(default=None, ge=1, description="candidates per passage asked for, re-ranked exactly")
    check_vectors: bool = Field(default=True, description="an index without a manifest must hold the corpus's vectors")
    faiss_gpu: bool = False

    hybrid: bool = Field(default=False, description="BM25 beside the vectors, by reciprocal rank fusion")
    bm25_index_path: Path | None = Field(default=None, description="of a hybrid: a folder of `mentor index build`")
    rerank_model_path: Path | None = Field(default=None, description="local folder of a cross-encoder")
    rerank_candidates: int = Field(default=50, ge=1, description="passages per query that the cross-encoder reads")
    rerank_max_length: int = Field(default=384, ge=8, description="tokens of query and passage together")

    retrieval_model_path: Path | None = Field(default=None, description="local folder of the dense encoder")
    passage_model_path: Path | None = Field(default=None, description="of passages, where that is another model (DPR)")
    allow_downloads: bool = Field(default=False, description="retrieval_model_path may be a name of the model hub")
    encoder_factory: str | None = Field(default=None, description="MODULE:FUNCTION that makes an encoder of your own")
    encoder_backend: Literal["auto", "torch", "onnx", "onnx-int8"] = Field(
        default="auto", description="auto: ONNX on the CPU where the folder has it, else PyTorch"
    )
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="of encoder and cross-encoder")
    query_prefix: str | None = Field(default=None, validation_alias=_either("query_prefix", "instruction"))
    passage_prefix: str | None = None
    pooling: Pooling | None = Field(default=None, validation_alias=_either("pooling", "retrieval_pooling_method"))
    normalize: bool | None = Field(default=None, description="vectors of length 1; the family decides")
    query_max_length: int = Field(
        default=128, ge=1, validation_alias=_either("query_max_length", "retrieval_query_max_length")
    )
    passage_max_length: int = Field(default=256, ge=1)
    encode_batch_size: int = Field(
        default=64, ge=1, validation_alias=_either("encode_batch_size", "retrieval_batch_size")
    )
    fp16: bool = Field(default=False, validation_alias=_either("fp16", "retrieval_use_fp16"))

    remote_urls: tuple[str, ...] = Field(default=(), description="of Qdrant (one), or of the shards' REST ports")
    remote_collection: str | None = Field(default=None, description="Qdrant's collection")
    remote_timeout_s: float = Field(default=10.0, gt=0)
    remote_api_key_file: Path | None = Field(default=None, description="file with Qdrant's key")

    default_top_n: int = Field(default=10, ge=1, validation_alias=_either("default_top_n", "retrieval_topk"))
    max_top_n: int = Field(default=100, ge=1)
    max_batch: int = Field(default=512, ge=1, description="queries in one request")
    max_query_chars: int = Field(default=8192, ge=1)
    workers: int = Field(
        default_factory=lambda: min(4, os.cpu_count() or 1), ge=1, description="threads of each stage, one batch each"
    )
    search_batch_size: int = Field(default=64, ge=1, description="queries that one pass over the index answers")
    max_queue: int = Field(default=2048, ge=0, description="queries inside; beyond it callers get 429")
    queue_timeout_s: float = Field(default=30.0, gt=0)
    cache_size: int = Field(default=10_000, ge=0, description="rankings kept for repeated queries; 0 keeps none")

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if k not in _IGNORED} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default_top_n > self.max_top_n:
            raise ValueError(f"default_top_n ({self.default_top_n}) must not exceed max_top_n ({self.max_top_n})")
        if self.index_kind not in KINDS:
            raise ValueError(f"index_kind must be one of {', '.join(KINDS)}, got {self.index_kind!r}")
        for needed, why in self._needed():
            if getattr(self, needed) in (None, ()):
                raise ValueError(f"{needed} is needed for {why}")
        if self.hybrid and not self.dense:
            raise ValueError("hybrid needs a dense retrieval_method beside BM25")
        return self

    def _needed(self) -> list[tuple[str, str]]:
        if self.backend == "shards":
            return [("remote_urls", "backend shards")]
        encoder = [("retrieval_model_path", f"retrieval_method {self.retrieval_method!r}; without an encoder use bm25")]
        encoding = encoder if self.dense and self.encoder_factory is None else []
        if self.backend == "qdrant":
            return [("remote_urls", "backend qdrant"), ("remote_collection", "backend qdrant"), *encoding]
        return [("corpus_path", "backend local"), *encoding]

    @property
    def dense(self) -> bool:
        """Whether passages are found by vectors."""
        return self.retrieval_method != "bm25"

    @property
    def family(self) -> Family:
        """The encoder's family, by the method's name."""
        return family_of(self.retrieval_method)

    @property
    def prefixes(self) -> tuple[str, str]:
        """What the encoder wants before a query and before a passage."""
        query = self.family.query_prefix if self.query_prefix is None else self.query_prefix
        return query, self.family.passage_prefix if self.passage_prefix is None else self.passage_prefix
