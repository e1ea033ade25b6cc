"""Settings that job services and their workers share: where Redis is, where files go. Prefix ``MENTOR_JOBS_``."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import quote

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mentor.rpc.credentials import read_secret


class JobSettings(BaseSettings):
    """The same for the service that takes a job and the worker that runs it."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_JOBS_", frozen=True, extra="ignore")

    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password_file: Path | None = Field(default=None, description="its password goes into redis_url")
    store: str = Field(default=".mentor/store", description="directory or fsspec URL for job files")
    prefix: str = "mentor"
    lease_s: float = Field(default=30.0, gt=1)
    outage_s: float = Field(
        default=3600.0, ge=0, description="seconds for which a running job goes on while Redis cannot be reached"
    )
    stop_grace_s: float = Field(default=110.0, gt=0, description="seconds a job has to save itself on SIGTERM")
    republish_s: float = Field(default=15.0, gt=0, description="a queued job this old is published again")
    reap_interval_s: float = Field(default=5.0, gt=0)
    max_lapses: int = Field(default=5, ge=1, description="deaths without progress between them after which a job fails")
    retention_days: float = Field(default=30.0, gt=0)
    gpus: int = Field(default=0, ge=0, description="devices that jobs on this stack share by lease; 0: not managed")

    @model_validator(mode="after")
    def _with_password(self) -> Self:
        if self.redis_password_file is not None:
            password = quote(read_secret(self.redis_password_file, "redis_password_file"), safe="")
            scheme, _, place = self.redis_url.partition("://")
            object.__setattr__(self, "redis_url", f"{scheme}://:{password}@{place.rpartition('@')[2]}")
        return self

    @property
    def celery_url(self) -> str:
        """The broker's URL: Celery writes Unix sockets another way."""
        return self.redis_url.replace("unix://", "redis+socket://", 1)
