"""API keys: one for operators, and a file of clients with a key and roles each.

The file is YAML, one client a line::

    alice: {key_sha256: 9f86d0…, roles: [submit, run, search], owner: team-a}
    sandbox: {key_file: /run/secrets/search_key, roles: [search]}
    bob: bobs-key-in-the-clear        # the default roles

Clients of one ``owner`` share their jobs and files; without it a client owns its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mentor.errors import UserError
from mentor.rpc.credentials import read_secret
from mentor.rpc.principal import ALL_ROLES, Principal, Role

DEFAULT_ROLES = frozenset({Role.SEARCH, Role.RUN, Role.SUBMIT})
"""Of clients whose roles nobody stated: everything but operating."""
SHARED = Principal("key:operator", ALL_ROLES)
"""Whoever sends the one key of ``MENTOR_API_KEY``."""
_SHORTEST = 16


class Client(BaseModel):
    """An entry of the file: exactly one of ``key``, ``key_sha256`` (hexadecimal) and ``key_file``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    key_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    key_file: Path | None = None
    roles: frozenset[Role] = DEFAULT_ROLES
    owner: str | None = Field(default=None, min_length=1, max_length=128)

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if sum(given is not None for given in (self.key, self.key_sha256, self.key_file)) != 1:
            raise ValueError("give exactly one of key, key_sha256 and key_file")
        return self


class KeyAuthenticator:
    """Knows clients by the SHA-256 of their keys. Every one is compared, in constant time, whichever fits."""

    def __init__(self, clients: Sequence[tuple[str, Principal]]) -> None:
        self._clients = [(bytes.fromhex(digest), principal) for digest, principal in clients]

    async def principal(self, token: str) -> Principal | None:
        """The client with that key, or None."""
        given = hashlib.sha256(token.encode()).digest()
        found = [principal for digest, principal in self._clients if hmac.compare_digest(digest, given)]
        return found[0] if found else None


def digest_of(key: str) -> str:
    """What ``key_sha256`` says of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[tuple[str, Principal]]:
    """The digest of each client's key in a file, and who it is.

    Raises:
        UserError: unreadable, not such a mapping, a key that is too short to be one, or one key for two clients.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}", field="api_keys_file") from None
    if not isinstance(loaded, dict) or not loaded:
        raise UserError(f"{path} holds no keys", field="api_keys_file", allowed="lines of `client: {key, roles}`")
    found = [_client(path, str(name), entry) for name, entry in loaded.items()]
    if len({digest for digest, _ in found}) < len(found):
        raise UserError(f"{path} gives one key to two clients", field="api_keys_file", allowed="a key for each")
    return found


def _client(path: Path, name: str, entry: Any) -> tuple[str, Principal]:
    given = {"key": entry} if isinstance(entry, str) else entry
    if not isinstance(given, Mapping):
        raise UserError(f"{path} holds no keys for {name}", field="api_keys_file", allowed="`client: {key, roles}`")
    try:
        client = Client.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((name, *map(str, first["loc"])))
        message = f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}"
        raise UserError(message, field="api_keys_file", allowed=", ".join(Role)) from None
    return _digest(name, client), Principal(f"key:{client.owner or name}", client.roles)


def _digest(name: str, client: Client) -> str:
    if client.key_sha256 is not None:
        return client.key_sha256
    key = client.key if client.key_file is None else read_secret(client.key_file, "api_keys_file")
    if key is None or len(key) < _SHORTEST:
        raise UserError(
            f"the key of {name} is too short", field="api_keys_file", allowed=f"{_SHORTEST} characters or more"
        )
    return digest_of(key)
