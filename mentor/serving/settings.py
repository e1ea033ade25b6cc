"""Settings of a service: flags over environment over YAML file, refused with one line that names the field."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mentor.errors import UserError
from mentor.rpc.credentials import read_secret

S = TypeVar("S", bound="ServiceSettings")
_yaml: ContextVar[dict[str, Any] | None] = ContextVar("mentor_yaml_settings", default=None)


class ServiceSettings(BaseSettings):
    """What every service has; subclasses set ``env_prefix`` (``MENTOR_<SERVICE>_``), ``port`` and ``grpc_port``."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="REST port; 0 takes a free one")
    grpc_port: int | None = Field(
        default=0, ge=-1, le=65535, description="gRPC port; 0 takes a free one, -1 means none"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    access_log: bool = Field(default=True, description="one log line per request")
    api_key: SecretStr | None = Field(
        default=None,
        validation_alias="MENTOR_API_KEY",
        description="the operators' key; if set, callers must send one; health, readiness and metrics stay open",
    )
    api_key_file: Path | None = Field(
        default=None, validation_alias="MENTOR_API_KEY_FILE", description="file that holds the API key"
    )
    api_keys_file: Path | None = Field(
        default=None, validation_alias="MENTOR_API_KEYS_FILE", description="YAML of `client: {key_sha256, roles}`"
    )
    oidc_issuer: str | None = Field(default=None, validation_alias="MENTOR_OIDC_ISSUER")
    oidc_audience: str | None = Field(default=None, validation_alias="MENTOR_OIDC_AUDIENCE")
    oidc_jwks_url: str | None = Field(default=None, validation_alias="MENTOR_OIDC_JWKS_URL")
    oidc_roles_claim: str = Field(
        default="mentor_roles",
        validation_alias="MENTOR_OIDC_ROLES_CLAIM",
        description="lists a caller's roles; a token without it may submit, run and search",
    )
    client_rate_per_s: float | None = Field(default=None, gt=0, description="requests a second of one client")
    client_concurrency: int | None = Field(default=None, ge=1, description="requests of one client at once")
    grpc_tls_cert: Path | None = Field(default=None, validation_alias="MENTOR_GRPC_TLS_CERT")
    grpc_tls_key: Path | None = Field(default=None, validation_alias="MENTOR_GRPC_TLS_KEY")
    grpc_tls_ca: Path | None = Field(
        default=None, validation_alias="MENTOR_GRPC_TLS_CA", description="clients must show a certificate of this CA"
    )
    admin_port: int | None = Field(
        default=None, ge=0, le=65535, description="metrics and administration listen here instead of on the REST port"
    )
    max_request_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    max_upload_bytes: int = Field(default=4 * 1024**3, ge=1024, description="of a file sent to /v1/files")
    drain_delay_s: float = Field(default=0.0, ge=0, description="not ready for so long before connections are refused")
    drain_timeout_s: float = Field(default=20.0, ge=0, description="how long requests in flight may take to finish")

    @model_validator(mode="after")
    def _secrets(self) -> Self:
        if self.api_key is None and self.api_key_file is not None:
            key = SecretStr(read_secret(self.api_key_file, "api_key_file"))
            object.__setattr__(self, "api_key", key)
        if (self.grpc_tls_cert is None) != (self.grpc_tls_key is None):
            raise ValueError("grpc_tls_cert and grpc_tls_key belong together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the YAML file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _yaml.get() or {})


def load_settings(cls: type[S], overrides: dict[str, Any] | None = None, config: Path | None = None) -> S:
    """Settings from ``overrides`` (flags), the environment and the YAML file ``config``.

    Raises:
        UserError: naming the field or the file.
    """
    token = _yaml.set(read_yaml(config) if config else {})
    try:
        return cls(**(overrides or {}))
    except ValidationError as error:
        raise setting_error(error) from None
    finally:
        _yaml.reset(token)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: the file is missing, unreadable, malformed or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", field="config") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}", field="config") from None
    if data is not None and not isinstance(data, dict):
        raise UserError(f"{path} must hold a mapping of settings, not a {type(data).__name__}", field="config")
    return data or {}


def setting_error(error: ValidationError) -> UserError:
    """The first complaint of pydantic as one line."""
    first, *others = error.errors()
    field = ".".join(str(part) for part in first["loc"]) or "settings"
    given = "" if first["type"] in ("missing", "extra_forbidden") else f", got {first['input']!r}"
    more = f" (and {len(others)} more)" if others else ""
    message = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"]
    return UserError(f"{field}: {message}{given}{more}", field=field)
