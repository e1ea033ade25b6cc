"""Every seam of what is installed, found by the entry points of ``mentor.seams``."""

from __future__ import annotations

import warnings
from importlib import metadata
from typing import Any

from mentor.errors import UserError
from mentor.plugins.registry import Registry

GROUP = "mentor.seams"


def seams() -> dict[str, Registry[Any]]:
    """Registries by seam, in the order of their names. One that cannot be loaded is left out, with a warning."""
    found: dict[str, Registry[Any]] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # somebody's package; the others are as good as ever
            warnings.warn(f"the seam {entry.name} ({entry.value}) cannot be loaded: {error}", stacklevel=2)
    return found


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
