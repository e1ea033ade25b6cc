"""Exporters: one file each. An exporter writes what a run found in a form that something else reads.

Users' own come by the entry points of ``mentor.exporters``; ``mentor eval export RUN --as NAME`` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mentor.plugins import Plugin, Registry
from mentor_evaluator.runs import Run


class Exporter(Plugin, Protocol):
    """Writes a run in another form."""

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        """Write below a folder; the files that were written.

        Raises:
            UserError: the run has nothing of that kind, or the folder cannot be written.
        """
        ...


EXPORTERS: Registry[Exporter] = Registry("exporter", "mentor_evaluator.exports", Exporter)
