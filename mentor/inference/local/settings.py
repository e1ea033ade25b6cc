"""Settings of the local model server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mentor.serving.settings import ServiceSettings


class ModelServerSettings(ServiceSettings):
    """From flags, ``MENTOR_MODEL_*`` and YAML, as every service's settings."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_MODEL_")

    port: int = Field(default=8000, ge=0, le=65535, description="HTTP port; 0 takes a free one")
    grpc_port: int | None = Field(default=-1, ge=-1, le=65535, description="this server has no gRPC interface")
    model: Path = Field(description="directory of a model in Hugging Face format")
    served_model_name: str | None = Field(default=None, description="name in requests; the directory's by default")
    max_batch: int = Field(default=64, ge=1, description="sequences decoded together")
    max_queue: int = Field(default=1024, ge=1, description="sequences that may wait; beyond, callers get 429")
    prefix_cache_mb: int = Field(
        default=512, ge=0, description="memory for sequences that have ended, for prompts that begin like them; 0: none"
    )
    threads: int = Field(default=1, ge=1, description="threads of the forward passes")
    device: str = Field(default="cpu", description="torch's name of one device: cpu, cuda:0")
    seed: int | None = Field(default=None, ge=0, description="for requests that bring no seed")
    request_timeout_s: float = Field(default=600.0, gt=0, description="how long one request may take")

    @property
    def name(self) -> str:
        """The model's name in requests."""
        return self.served_model_name or self.model.resolve().name
