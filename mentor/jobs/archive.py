"""A file, or a folder as a tar file, read from any offset: nothing is packed, and where each byte comes from is reckoned.

A folder's archive is the same for the same content: names in the order in which ``measure`` reads them, no times or owners.
So a download goes on where it broke off, and who has it checks it against the artefact's digest without unpacking it.
"""

from __future__ import annotations

import bisect
import hashlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.entries import Entry, entries_of, local_entries
from mentor.jobs.model import Artifact

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Part:
    """Bytes of an archive: given ones, or those of a file."""

    size: int
    given: bytes | None = None
    open: Callable[[], BinaryIO] | None = None


class Content:
    """An artefact's bytes as they are sent.

    Attributes:
        size: in bytes.
        name: of the file that they make.
    """

    def __init__(self, parts: Sequence[_Part], name: str) -> None:
        self._parts = parts
        self._starts = [0]
        for part in parts:
            self._starts.append(self._starts[-1] + part.size)
        self.size = self._starts[-1]
        self.name = name

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes from ``start`` to before ``stop``, in blocks.

        Raises:
            OSError: a file is gone or shorter than it was.
        """
        number = bisect.bisect_right(self._starts, start) - 1
        while start < stop:
            end = min(stop, self._starts[number + 1])
            yield from _blocks(self._parts[number], start - self._starts[number], end - start)
            start, number = end, number + 1


def _blocks(part: _Part, offset: int, number: int) -> Iterator[bytes]:
    if part.given is not None:
        yield part.given[offset : offset + number]
        return
    assert part.open is not None
    with part.open() as file:
        file.seek(offset)
        while number:
            block = file.read(min(BLOCK_BYTES, number))
            if not block:
                raise OSError("a file of the artefact is shorter than it was")
            number -= len(block)
            yield block


def content(files: ArtifactStore, artifact: Artifact) -> Content:
    """What is sent of an artefact; raises ``NotFoundError`` if its files are gone."""
    return _content(entries_of(files, artifact), Path(artifact.name).name)


def content_of(path: Path) -> Content:
    """What is sent of a file or folder here."""
    return _content(local_entries(path) or [], path.name)


def _content(entries: Sequence[Entry], name: str) -> Content:
    if len(entries) == 1 and entries[0].name == "":
        return Content([_Part(entries[0].size, open=entries[0].open)], name)
    parts = [part for entry in entries for part in _member(entry)]
    parts.append(_Part(2 * tarfile.BLOCKSIZE, bytes(2 * tarfile.BLOCKSIZE)))
    return Content([part for part in parts if part.size], f"{name}.tar")


def _member(entry: Entry) -> Iterator[_Part]:
    member = tarfile.TarInfo(entry.name)
    member.size, member.mode = entry.size, 0o755 if entry.executable else 0o644
    header = member.tobuf(tarfile.PAX_FORMAT)
    yield _Part(len(header), header)
    yield _Part(entry.size, open=entry.open)
    padding = -entry.size % tarfile.BLOCKSIZE
    yield _Part(padding, bytes(padding))


def digest_of(path: Path) -> str:
    """The digest that ``measure`` gives to the folder whose archive this is.

    Raises:
        tarfile.TarError: it is no archive, or cut short.
    """
    digest = hashlib.sha256()
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            digest.update(member.name.encode() + b"\0")
            file = tar.extractfile(member)
            while file is not None and (block := file.read(BLOCK_BYTES)):
                digest.update(block)
    return digest.hexdigest()
