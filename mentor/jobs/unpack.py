"""Unpacks a tar archive that somebody sent: plain files and folders, within bounds that hold while it is read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mentor.data.files import unwritable
from mentor.errors import UserError

MIB = 1024 * 1024
_BLOCK = 64 * 1024
_MAX_READ = MIB
"""No header is as large. A longer read would be one of an extended header, which is taken into memory whole."""
_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_ALLOWED = "plain files and folders inside the archive"


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may unpack to. ``max_ratio`` counts from ``ratio_from`` bytes on: small archives compress well."""

    max_bytes: int = 4 * 1024 * MIB
    max_entries: int = 100_000
    max_depth: int = 32
    max_ratio: int = 100
    ratio_from: int = 16 * MIB


def unpack(archive: Path, target: Path, limits: ArchiveLimits) -> Path:
    """Unpack into the new folder ``target``; returns it. What was unpacked before a refusal stays for the caller to remove.

    Raises:
        UserError: no tar archive, beyond a limit, or with something other than plain files and folders inside itself
            (links, devices, sparse files, absolute names, ``..``); or the store is full.
    """
    target.mkdir()
    try:
        with (
            _opened(archive) as raw,
            tarfile.open(fileobj=_Bounded(raw, archive.stat().st_size, limits), mode="r:") as tar,
        ):
            for number, member in enumerate(tar, start=1):
                if number > limits.max_entries:
                    raise _refused(f"more than {limits.max_entries} entries", str(limits.max_entries))
                _extract(tar, member, target, limits)
    except (tarfile.TarError, EOFError, ValueError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UserError(f"not a tar archive of a folder: {error}", field="body", allowed="a tar archive") from None
    except (IsADirectoryError, NotADirectoryError, FileExistsError):
        raise _refused("one name twice, as a file and as a folder") from None
    except OSError as error:
        raise unwritable(target, error) from error
    return target


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        magic = file.read(8)
    opener = next((opener for prefix, opener in _OPENERS if magic.startswith(prefix)), lambda path: path.open("rb"))
    opened: IO[bytes] = opener(archive)
    return opened


class _Bounded(io.RawIOBase):
    """A reader that counts what it hands out, and refuses what only an attack would ask for."""

    def __init__(self, inner: IO[bytes], packed: int, limits: ArchiveLimits) -> None:
        self._inner = inner
        self._limits = limits
        # Headers and padding come on top of contents: a block each, and a few for long names.
        headers = limits.max_entries * 4 * tarfile.BLOCKSIZE
        self._most = limits.max_bytes + headers
        self._most_unpacked = max(limits.ratio_from, packed * limits.max_ratio)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise _refused("a header that is too large")
        data = self._inner.read(size)
        self._check(self._inner.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check(offset)
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise _refused("more than it may", f"{self._limits.max_bytes} bytes")
        if position > self._most_unpacked:
            raise _refused(f"more than {self._limits.max_ratio} times what was sent", f"{self._limits.max_ratio}")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, limits: ArchiveLimits) -> None:
    path = Path(member.name)
    plain = (member.isfile() or member.isdir()) and not member.issparse()
    if not plain or path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise _refused(repr(member.name[:200]))
    if len(path.parts) > limits.max_depth:
        raise _refused(f"folders more than {limits.max_depth} deep", str(limits.max_depth))
    if member.isdir():
        (target / path).mkdir(parents=True, exist_ok=True)
        return
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is not None:
        with source, (target / path).open("wb") as file:
            while block := source.read(_BLOCK):
                file.write(block)


def _refused(what: str, allowed: str = _ALLOWED) -> UserError:
    return UserError(f"the tar archive holds {what}", field="body", allowed=allowed)
