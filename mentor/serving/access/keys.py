"""API keys: one that all clients share, or a file with one per client."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

import yaml

from mentor.errors import UserError
from mentor.serving.access.principal import Principal

SHARED = "api-key"
_SHORTEST = 16


class KeyAuthenticator:
    """Knows clients by their keys. Every key is compared, in constant time, whichever fits."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = {name: key.encode() for name, key in keys.items()}

    async def principal(self, token: str) -> Principal | None:
        """The client with that key, or None."""
        given = token.encode()
        found = [name for name, key in self._keys.items() if hmac.compare_digest(key, given)]
        return Principal(found[0]) if found else None


def read_keys(path: Path) -> dict[str, str]:
    """Keys by client from a YAML file of ``client: key`` lines.

    Raises:
        UserError: unreadable, not such a mapping, or with a key that is too short to be one.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}", field="api_keys_file") from None
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(key, str) for key in loaded.values()):
        raise UserError(f"{path} holds no keys", field="api_keys_file", allowed="lines of `client: key`")
    short = [name for name, key in loaded.items() if len(key) < _SHORTEST]
    if short:
        raise UserError(
            f"the key of {short[0]} is too short", field="api_keys_file", allowed=f"{_SHORTEST} characters or more"
        )
    return {str(name): key for name, key in loaded.items()}
