"""Server. Contents of files as REST has them: base64 in JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from mentor.errors import UserError


def from_base64(files: Mapping[str, str | None], field: str = "files") -> dict[str, bytes]:
    """Contents of files that came as base64; null is an empty file.

    Raises:
        UserError: one is not base64.
    """
    found: dict[str, bytes] = {}
    for path, text in files.items():
        try:
            found[path] = base64.b64decode(text or "", validate=True)
        except (binascii.Error, ValueError):
            raise UserError(f"the content of {path[:60]!r} is not base64", field=field) from None
    return found


def to_base64(files: Mapping[str, bytes]) -> dict[str, str]:
    """Contents as base64."""
    return {path: base64.b64encode(content).decode("ascii") for path, content in files.items()}
