"""Files that a client sends for its jobs: named by content, so that sending one twice costs nothing.

STORE/files/DIGEST/NAME holds a file or an unpacked folder; ``file:DIGEST/NAME`` in a spec names it. Clients and services
need no shared disk: the command line uploads what a spec names on the client's machine. What somebody who is no operator
sends lies in STORE/files/DIGEST-OWNER/NAME, out of everybody else's reach.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Final

from pydantic import Field

from mentor.errors import NotFoundError, UserError
from mentor.jobs.artifacts import ArtifactStore, measure
from mentor.jobs.ownership import upload_folder
from mentor.jobs.places import STAGING, discard, publish, staging
from mentor.jobs.unpack import ArchiveLimits, unpack
from mentor.trajectory import Frozen

SCHEME: Final = "file:"
_RECEIVING: Final = ".upload-"
_LOOKS = 4
_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._ -]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Upload(Frozen):
    """What was stored. ``reference`` goes into a spec."""

    name: str
    sha256: str
    bytes: int = Field(description="of a folder: of all its files")

    @property
    def reference(self) -> str:
        """``file:DIGEST/NAME``."""
        return f"{SCHEME}{self.sha256}/{self.name}"


class Uploads:
    """Uploaded files in a store, as the present caller sees them.

    Args:
        limits: what an archive may hold.
    """

    def __init__(self, files: ArtifactStore, limits: ArchiveLimits | None = None) -> None:
        self._files = files
        self._limits = limits or ArchiveLimits()

    def scratch(self) -> Path:
        """A new folder on the store's own disk, for an upload that is coming in; the caller removes it."""
        return Path(tempfile.mkdtemp(prefix=_RECEIVING, dir=self._files.local))

    def add(self, source: Path, name: str, *, folder: bool = False) -> Upload:
        """Store a received file, or with ``folder`` the folder that it is a tar archive of.

        Raises:
            UserError: the name is no plain file name, the archive is none or names a place outside itself, or the
                store is full.
        """
        if not _is_name(name):
            raise UserError(f"{name!r} is no file name", field="name", allowed="letters, digits, ., _, - and spaces")
        if folder:
            source = unpack(source, source.with_name("folder"), self._limits)
        size, digest = measure(source)
        # What is used now is not forgotten; what was forgotten at this very moment is stored again.
        while not self.known(digest, name):
            self._files.copy_in(source, _relative(digest, name))
        return Upload(name=name, sha256=digest, bytes=size)

    def path(self, reference: str, field: str) -> Path:
        """The local path of ``file:DIGEST/NAME``.

        Raises:
            UserError: it is malformed, or was never uploaded or has been forgotten, naming ``field``.
        """
        digest, _, name = reference.removeprefix(SCHEME).partition("/")
        if not _DIGEST.fullmatch(digest) or not _is_name(name):
            raise UserError(f"{field}: {reference!r} is no file reference", field=field, allowed="file:SHA256/NAME")
        try:
            path = self._found(_relative(digest, name))
        except NotFoundError:
            message = f"{field}: {name} is not in the store (uploaded again, it is)"
            raise UserError(message, field=field, allowed="a file that was uploaded") from None
        _used(path.parent)
        return path

    def _found(self, relative: str) -> Path:
        for _ in range(_LOOKS):  # ``forget`` may be looking at it
            with contextlib.suppress(NotFoundError):
                return self._files.local_path(relative)
            time.sleep(0.05)
        return self._files.local_path(relative)

    def known(self, digest: str, name: str) -> bool:
        """Whether it is here already; if so, its retention begins anew."""
        wellformed = _DIGEST.fullmatch(digest) and _is_name(name)
        if not wellformed or not self._files.has(_relative(digest, name)):
            return False
        _used(self._files.local / "files" / upload_folder(digest))
        return self._files.has(_relative(digest, name))

    def forget(self, before: float) -> list[str]:
        """Remove what nobody has used since ``before`` (Unix time), and what broke off then; returns the digests.

        Of a remote root only the copies here are removed: its own rules on ages do the rest.
        """
        root = self._files.local
        for left in (*root.glob(f"{STAGING}*"), *root.glob(f"{_RECEIVING}*")):
            if _older(left, before):
                discard(left)
        return [entry.name for entry in (root / "files").glob("*") if self._forget(entry, before)]

    def _forget(self, entry: Path, before: float) -> bool:
        """Out of reach first, then looked at again: who used it in between gets it back."""
        if not _older(entry, before):
            return False
        with staging(self._files.local) as folder:
            taken = folder / entry.name
            try:
                entry.rename(taken)
            except FileNotFoundError:  # another one forgets it
                return False
            if _older(taken, before):
                return True
            for file in taken.iterdir():
                publish(file, entry / file.name)
        return False


def _used(folder: Path) -> None:
    """Retention counts from the last use."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder)


def _older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _relative(digest: str, name: str) -> str:
    return f"files/{upload_folder(digest)}/{name}"


def _is_name(name: str) -> bool:
    """A plain file name: it leads nowhere else."""
    return _NAME.fullmatch(name) is not None and name not in (".", "..")
