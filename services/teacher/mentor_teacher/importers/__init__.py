"""Importers: one file each. An importer turns somebody's file into questions, with references where the file has traces.

Users' own come by the entry points of ``mentor.importers``; ``importer: NAME`` in a teacher's spec takes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry
from mentor.trajectory import Question


class Importer(Plugin, Protocol):
    """Reads one kind of file."""

    def read(self, path: Path) -> list[Question]:
        """The questions in file order, with ids that occur once.

        Raises:
            UserError: the file cannot be read or is malformed; it names the line or row.
        """
        ...


IMPORTERS: Registry[Importer] = Registry("importer", "mentor_teacher.importers", Importer)

ImporterName = Annotated[str, AfterValidator(IMPORTERS.check)]
"""Type of a spec's field that names an importer."""
