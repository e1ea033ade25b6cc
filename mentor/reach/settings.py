"""Lists of what may be reached, written by operators: ``MENTOR_ALLOW_<NAME>``, entries separated by commas."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_HOSTS = "HOST, HOST:PORT or HOST:*, the host may begin with `*.`; `*` is any; without a port the scheme's own"


class ReachSettings(BaseSettings):
    """A list that is given binds everybody, operators too; an empty one allows nothing.

    A list that is not given leaves operators free, and allows others nothing beyond this deployment's own services, the
    files they own, and keys whose variables begin with ``MENTOR_MODEL_KEY_``.
    """

    model_config = SettingsConfigDict(env_prefix="MENTOR_ALLOW_", frozen=True, extra="ignore")

    model_hosts: str | None = Field(default=None, description=f"of model servers: {_HOSTS}")
    service_hosts: str | None = Field(default=None, description="of sandboxes and retrievers beside our own, likewise")
    ray_hosts: str | None = Field(default=None, description="of Ray's job servers, likewise")
    path_roots: str | None = Field(default=None, description="folders below which a spec may name files")
    key_variables: str | None = Field(
        default=None, description="VARIABLE or VARIABLE@HOST:PORT: keys for model servers; the name may end in `*`"
    )

    def entries(self, name: str) -> tuple[str, ...] | None:
        """A list's entries; None where it is not given."""
        given: str | None = getattr(self, name)
        return None if given is None else tuple(part.strip() for part in given.split(",") if part.strip())


def variable(name: str) -> str:
    """The environment variable of a setting, for error messages."""
    return f"MENTOR_ALLOW_{name.upper()}"
