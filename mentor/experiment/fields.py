"""Fields of jobs as a grid file gives them: paths in them as files known by content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.experiment.keys import Digests, File
from mentor.experiment.spec import Fields

_PATHS = {
    "teacher": ("tools", "model.path", "model.tokenizer"),
    "evaluate": ("tools", "reference", "model.path", "model.tokenizer"),
    "train": ("reward", "distil_model", "val_files", "pass_rate_files"),
}
"""Fields of each kind of job that may name a file of the world's."""


class Paths:
    """Looks for what fields name in folders, in turn.

    Args:
        folders: the world's, then the grid file's.
    """

    def __init__(self, folders: Sequence[Path], digests: Digests) -> None:
        self._folders = folders
        self._digests = digests

    def file(self, value: str) -> File | str:
        """The file or folder that is meant; a text that names none here stays as it is (a model's name at the hub)."""
        for folder in self._folders:
            path = folder / value
            if path.exists():
                return self._digests.file(path.resolve())
        return value

    def found(self, kind: str, fields: Fields) -> Fields:
        """The fields of a job with every path in them looked for."""
        for name in _PATHS[kind]:
            fields = self._at(name.split("."), fields)
        return fields

    def _at(self, names: Sequence[str], fields: Fields) -> Fields:
        name, *rest = names
        value = fields.get(name)
        if value is None or (rest and not isinstance(value, dict)):
            return fields
        return {**fields, name: self._at(rest, value) if rest else self._files(name, value)}

    def _files(self, name: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._files(name, inner) for inner in value]
        if name == "reward" and not str(value).endswith((".yaml", ".yml")):
            return value  # a preset's name
        return self.file(str(value))
