"""Secrets from the environment, or from the file that a variable ending in ``_FILE`` names (Docker and Kubernetes secrets)."""

from __future__ import annotations

import os
from pathlib import Path

from mentor.errors import UserError

API_KEY_VARIABLE = "MENTOR_API_KEY"
CLIENT_KEY_VARIABLE = "MENTOR_CLIENT_KEY"
"""What a process sends, where that is less than what it asks of its own callers."""


def client_key() -> str | None:
    """The key that this process sends to services of this system; None if it has none. Raises as ``secret``."""
    return secret(CLIENT_KEY_VARIABLE) or secret(API_KEY_VARIABLE)


def secret(variable: str) -> str | None:
    """The value of ``variable``, or the content of the file that ``variable + "_FILE"`` names; None if neither is set.

    The file is read each time: a rotated secret counts at once.

    Raises:
        UserError: the file cannot be read or is empty.
    """
    if value := os.environ.get(variable):
        return value
    named = os.environ.get(f"{variable}_FILE")
    return read_secret(Path(named), f"{variable}_FILE") if named else None


def read_secret(path: Path, field: str) -> str:
    """The content of a secret's file without surrounding space; raises ``UserError`` naming ``field``."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read {path}: {reason}", field=field, allowed="a file that holds the secret") from None
    if not value:
        raise UserError(f"{path} is empty", field=field, allowed="a file that holds the secret")
    return value
