"""From the files that came to the file that is wanted: parts joined, gzip and zip unpacked, in constant memory."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from mentor.data.catalogue import Unpack
from mentor.data.download import CHUNK, Report, check_room, part_of
from mentor.data.files import unwritable
from mentor.errors import InfrastructureError

_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error)


class Damaged(InfrastructureError):
    """The files that came are no archive, or not all of it."""


class Joined(io.RawIOBase):
    """Several files read as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._rest = list(paths)
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from the present file, or from the next; 0 at the end of the last."""
        view = memoryview(buffer).cast("B")
        while True:
            if self._file is None:
                if not self._rest:
                    return 0
                self._file = self._rest.pop(0).open("rb", buffering=0)
            piece = self._file.read(len(view))
            if piece:
                view[: len(piece)] = piece
                return len(piece)
            self._file.close()
            self._file = None


def unpack(paths: Sequence[Path], how: Unpack, target: Path, member: str, report: Report) -> str:
    """Write ``target`` whole or not at all and return its SHA-256. An unpacking that was killed begins again.

    Raises:
        UserError: no room, or a place that cannot be written.
        Damaged: the files are no archive, or not all of it; the caller removes them.
        InfrastructureError: the archive does not hold one file with the suffix ``member``.
    """
    part = part_of(target)
    digest, done = sha256(), 0
    try:
        with _opened(paths, how, member) as (source, total), part.open("wb") as file:
            if total is not None:
                check_room(target.parent, total)
            while chunk := source.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                report(f"unpacking {target.name}", done, total)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except _DAMAGED as error:
        part.unlink(missing_ok=True)
        raise Damaged(f"{paths[0]} was removed: it cannot be unpacked ({error})") from error
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unwritable(target, error) from error
    return digest.hexdigest()


@contextmanager
def _opened(paths: Sequence[Path], how: Unpack, member: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The unpacked bytes, and how many they are if that is known."""
    if how is Unpack.ZIP:
        with zipfile.ZipFile(paths[0]) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith(member) and not info.is_dir()]
            if len(found) != 1:
                raise InfrastructureError(f"{paths[0]} holds {len(found)} files *{member}, one was expected")
            with archive.open(found[0]) as file:
                yield file, found[0].file_size
        return
    with io.BufferedReader(Joined(paths), CHUNK) as joined:
        if how is Unpack.GZIP:
            with gzip.GzipFile(fileobj=joined) as file:
                yield file, None  # type: ignore[misc]
        else:
            yield joined, sum(path.stat().st_size for path in paths)
