"""Where each document of a jsonl file begins: found once, kept beside the file, memory-mapped afterwards.

``CORPUS.offsets`` is a NumPy array file of int64, ``documents + 1`` long (the last is the end of the last document);
``CORPUS.offsets.json`` says which file it belongs to: its size, its time of change, its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger("corpus")
Check = Callable[[int, bytes], None]
"""Looks at a line (its number from 1, its bytes) and raises if it is no document."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Offsets:
    """``starts``: int64, shape [documents + 1]; ``sha256`` of the whole file."""

    starts: NDArray[np.int64]
    sha256: str


@dataclass(frozen=True)
class _Origin:
    bytes: int
    changed_ns: int
    sha256: str


def find_offsets(path: Path, check: Check) -> Offsets:
    """The kept offsets if they belong to the file as it is, else a scan that is kept for the next time.

    A file that was moved or copied (same size, another time) is hashed, not scanned.
    """
    return _kept(path) or _scanned(path, check)


def _kept(path: Path) -> Offsets | None:
    array, described = _places(path)
    try:
        origin = _Origin(**json.loads(described.read_text(encoding="utf-8")))
        now = path.stat()
        if origin.bytes != now.st_size:
            return None
        if origin.changed_ns != now.st_mtime_ns:
            if _sha256(path) != origin.sha256:
                return None
            _describe(path, origin.sha256)
        return Offsets(_mapped(array), origin.sha256)
    except (OSError, EOFError, ValueError, TypeError):
        return None


def _scanned(path: Path, check: Check) -> Offsets:
    array, _ = _places(path)
    fresh = array.with_name(f"{array.name}.{os.getpid()}.part")
    try:
        with fresh.open("wb") as out:
            documents, sha256 = _scan(path, check, _Spill(out))
        _finish(fresh, documents)
        fresh.replace(array)
        _describe(path, sha256)
        return Offsets(_mapped(array), sha256)
    except OSError as error:
        log.warning("offsets are not kept, every start scans the corpus", path=str(array), reason=error.strerror)
        kept: list[NDArray[np.int64]] = []
        _, sha256 = _scan(path, check, kept.append)
        return Offsets(np.concatenate(kept), sha256)
    finally:
        with suppress(OSError):  # on a read-only mount even what is not there cannot be removed
            fresh.unlink()


class _Spill:
    """Writes blocks of offsets behind a header that is filled in at the end."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        out.write(_header(0))

    def __call__(self, block: NDArray[np.int64]) -> None:
        self._out.write(block.tobytes())


def _scan(path: Path, check: Check, keep: Callable[[NDArray[np.int64]], None]) -> tuple[int, str]:
    """Check every line and hand over the offsets in blocks; returns (documents, sha256)."""
    digest, position, documents = hashlib.sha256(), 0, 0
    starts: list[int] = []
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            digest.update(line)
            if line.strip():
                check(number, line)
                starts.append(position)
                documents += 1
                end = position + len(line)
                if len(starts) == _BLOCK:
                    keep(np.asarray(starts, dtype=np.int64))
                    starts.clear()
            position += len(line)
    keep(np.asarray([*starts, end], dtype=np.int64))
    return documents, digest.hexdigest()


def _header(entries: int) -> bytes:
    """A NumPy header of constant length, so that it can be written before the number is known."""
    described = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({entries:>20},), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + described.ljust(117).encode() + b"\n"


def _finish(path: Path, documents: int) -> None:
    with path.open("r+b") as file:
        file.write(_header(documents + 1))
        file.flush()
        os.fsync(file.fileno())


def _describe(path: Path, sha256: str) -> None:
    now = path.stat()
    _, described = _places(path)
    fresh = described.with_name(f"{described.name}.{os.getpid()}.part")
    fresh.write_text(json.dumps(asdict(_Origin(now.st_size, now.st_mtime_ns, sha256))), encoding="utf-8")
    fresh.replace(described)


def _mapped(array: Path) -> NDArray[np.int64]:
    return np.asarray(np.load(array, mmap_mode="r"))  # a plain view: a memmap object is slow to index


def _places(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}.offsets"), path.with_name(f"{path.name}.offsets.json")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
