"""The files of an artefact where they lie, in a shared directory or a remote root, to be read in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mentor.errors import NotFoundError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.model import Artifact


@dataclass(frozen=True)
class Entry:
    """One file: its name in the artefact ("" for an artefact that is a file), its size in bytes, and how to read it."""

    name: str
    size: int
    executable: bool
    open: Callable[[], BinaryIO]


def entries_of(files: ArtifactStore, artifact: Artifact) -> list[Entry]:
    """The files in the order in which ``measure`` reads them.

    Raises:
        NotFoundError: they are gone.
    """
    found = _remote(files, artifact.path) if files.remote else local_entries(files.local / artifact.path)
    if found is None:
        raise NotFoundError(f"the file of the artefact {artifact.name!r} is gone", field="name")
    return found


def local_entries(root: Path) -> list[Entry] | None:
    """The files of a file or folder; None if there is nothing."""
    if not root.exists():
        return None
    if root.is_file():
        return [_of(root, "")]
    return [_of(file, file.relative_to(root).as_posix()) for file in sorted(root.rglob("*")) if file.is_file()]


def _of(file: Path, name: str) -> Entry:
    stat = file.stat()
    return Entry(name, stat.st_size, bool(stat.st_mode & 0o100), lambda: file.open("rb"))


def _remote(files: ArtifactStore, relative: str) -> list[Entry] | None:
    filesystem, root = files.filesystem, files.at(relative)
    if not filesystem.exists(root):
        return None
    if filesystem.isfile(root):
        return [Entry("", filesystem.size(root), False, lambda: cast(BinaryIO, filesystem.open(root, "rb")))]
    base = Path(filesystem._strip_protocol(root))
    listed = ((Path(path), info["size"]) for path, info in filesystem.find(root, detail=True).items())
    found = sorted((path, size) for path, size in listed if path.is_relative_to(base))

    def reader(path: Path) -> Callable[[], BinaryIO]:
        return lambda: cast(BinaryIO, filesystem.open(str(path), "rb"))

    return [Entry(path.relative_to(base).as_posix(), size, False, reader(path)) for path, size in found]
