"""Every seam of what is installed, found by the entry points of ``mentor.seams``."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from mentor.errors import UserError
from mentor.plugins.registry import Registry

GROUP = "mentor.seams"


def seams() -> dict[str, Registry[Any]]:
    """Registries by seam, in the order of their names."""
    entries = sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in entries}


def seam(name: str) -> Registry[Any]:
    """One registry.

    Raises:
        UserError: no installed package has such a seam.
    """
    known = seams()
    if name not in known:
        raise UserError(
            f"nothing installed here takes plug-ins of kind {name!r}", field="kind", allowed=", ".join(known)
        )
    return known[name]
