"""Seams: the kinds of thing that anybody may add without touching what is here, and the registries that list them.

A seam is one interface, one folder in which every file is one plug-in, and one entry point group for plug-ins of others.
Whoever owns a seam announces its registry in the group ``mentor.seams`` of its own package, so the library knows the seams of
the services that are installed and imports none of them.
"""

from __future__ import annotations

from mentor.plugins.registry import Listed, Plugin, Registry
from mentor.plugins.seams import seams

__all__ = ["Listed", "Plugin", "Registry", "seams"]
