"""Importers: one file each. An importer turns a file of somebody into questions, and its traces into references.

Users' own come by the entry points of ``mentor.importers``; ``importer: NAME`` in a teacher's spec takes them, and
``mentor teach import`` writes a data set from them without asking any model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry
from mentor.trajectory import Frozen, Question, Trajectory


class Imported(Frozen):
    """What a file held.

    ``trajectories``: whole traces of these questions, each with its verdict in ``metadata.correct``. ``rejected``: rows that
    could not be taken, as ``PLACE: REASON``.
    """

    questions: tuple[Question, ...]
    trajectories: tuple[Trajectory, ...] = ()
    rejected: tuple[str, ...] = ()


class Importer(Plugin, Protocol):
    """Reads one kind of file."""

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        """The questions in file order, with ids that occur once.

        Args:
            options: the importer's own, by name.

        Raises:
            UserError: the file cannot be read or is none of this kind, or an option is unknown. A row that is malformed is
                rejected, or refused with its line or row, as the importer has it.
        """
        ...


IMPORTERS: Registry[Importer] = Registry("importer", "mentor_teacher.importers", Importer)

ImporterName = Annotated[str, AfterValidator(IMPORTERS.check)]
"""Type of a spec's field that names an importer."""
