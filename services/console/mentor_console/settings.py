"""Settings of the console."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mentor.serving import ServiceSettings

JOB_SERVICES = ("teacher", "trainer", "evaluator")


class ConsoleSettings(ServiceSettings):
    """Prefix ``MENTOR_CONSOLE_``. Where the services are; the console needs nothing else of a deployment."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_CONSOLE_")

    port: int = Field(default=8085, ge=0, le=65535)
    grpc_port: int | None = Field(default=-1, ge=-1, le=65535, description="the console has no gRPC interface")
    teacher_url: str = "http://127.0.0.1:8082"
    trainer_url: str = "http://127.0.0.1:8083"
    evaluator_url: str = "http://127.0.0.1:8084"
    sandbox_url: str = "http://127.0.0.1:5000"
    retriever_url: str = "http://127.0.0.1:8081"
    models: dict[str, str] = Field(default_factory=dict, description="model servers of the playground: URL by name")
    student: str = Field(
        default="", description="model folder with which a first training run begins, as the trainer's workers see it"
    )
    cache: Path = Field(default=Path(".mentor/console"), description="index and trajectories that it has fetched")
    cache_gb: float = Field(
        default=20.0,
        gt=0,
        description="GB of the cache: beyond, trajectories leave it, of the job that ended longest ago first",
    )
    key_file: Path | None = Field(
        default=None,
        description="a key with which it gathers trajectories by itself; without, it gathers for who reads, with theirs",
    )
    gather_s: float = Field(default=5.0, gt=0, description="seconds between two looks for new trajectories")
    session_hours: float = Field(default=12.0, gt=0, description="how long a sign-in lasts")
    hosts: tuple[str, ...] = Field(
        default=(), description="names under which browsers reach it, beside loopback; * allows any"
    )
    secure_cookie: bool = Field(default=False, description="behind TLS: the cookie is sent over TLS alone")

    def url(self, service: str) -> str:
        """REST URL of a service."""
        return str(getattr(self, f"{service}_url")).rstrip("/")
