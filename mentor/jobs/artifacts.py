"""Where a job's files live: a shared directory, or any fsspec URL.

STORE/jobs/ID/state/FENCE/      resumable state, handed from attempt to attempt (``mentor.jobs.workspace``)
STORE/jobs/ID/beat-FENCE        a worker's sign of life while it cannot reach Redis (``mentor.jobs.lease``)
STORE/jobs/ID/logs/ATTEMPT.log  the attempt's output
STORE/jobs/ID/artifacts/FENCE/  committed files, named by content; which one counts is in Redis, under the fencing number
STORE/files/DIGEST/             what clients uploaded (``mentor.jobs.uploads``)
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path

import fsspec

from mentor.data.files import unwritable, within
from mentor.errors import InfrastructureError, NotFoundError, UserError
from mentor.jobs.model import Artifact
from mentor.jobs.places import copy_whole, discard, publish, staging

_WHOLE = ".whole"
"""Ends the name of what says, in a remote root, that a file or folder was copied whole: a folder comes file by file."""


class ArtifactStore:
    """Files of jobs under one root.

    Args:
        root: a directory, or an fsspec URL such as ``s3://bucket/prefix``.
        scratch: local folder for work in progress where the root is remote.

    Raises:
        UserError: the root cannot be written.
    """

    def __init__(self, root: str, scratch: str | None = None) -> None:
        self.root = root.rstrip("/")
        self.remote = "://" in root and not root.startswith("file://")
        self.local = (
            Path(scratch or "/tmp/mentor-store") if self.remote else Path(root.removeprefix("file://")).resolve()
        )
        try:
            self.local.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.local) as probe:
                probe.write(b"x" * 4096)
        except OSError as error:
            raise unwritable(self.local, error) from error
        if self.remote:
            try:
                self.filesystem, self._prefix = fsspec.core.url_to_fs(self.root)
            except (ValueError, ImportError) as error:
                raise UserError(f"{root}: {error}", field="store", allowed="a directory or an fsspec URL") from error

    def write_beat(self, job_id: str, fence: int, beat: str) -> None:
        """A sign of life, for reapers that may not hear of it through Redis; raises ``OSError``."""
        place = f"jobs/{job_id}/beat-{fence}"
        if self.remote:
            self.filesystem.pipe_file(self.at(place), beat.encode())
        else:
            (self.local / place).write_text(beat)

    def read_beat(self, job_id: str, fence: int) -> str:
        """The last sign of life of an attempt, "" if it gave none.

        Raises:
            InfrastructureError: the store cannot be read.
        """
        place = f"jobs/{job_id}/beat-{fence}"
        try:
            if self.remote:
                return str(self.filesystem.cat_file(self.at(place)).decode())
            return (self.local / place).read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise InfrastructureError(f"the store cannot be read: {error}") from error

    def log_path(self, job_id: str, attempt: int) -> Path:
        """The file that an attempt's output goes to."""
        folder = self._folder(job_id, "logs")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{attempt:04d}.log"

    def logs(self, job_id: str) -> list[Path]:
        """Logs of all attempts, oldest first."""
        return sorted(self._folder(job_id, "logs").glob("*.log"))

    def put(self, job_id: str, name: str, source: Path, fence: int) -> Artifact:
        """Copy a file or folder in as an artefact; it counts only once it is registered under ``fence``.

        Raises:
            UserError: the name is not a plain relative path, or the store is full.
        """
        if not name or name.startswith("/") or ".." in Path(name).parts:
            raise UserError(f"{name!r} is no artefact name", field="name", allowed="a relative path without ..")
        size, digest = measure(source)
        relative = f"jobs/{job_id}/artifacts/{fence}/{digest[:16]}/{name}"
        self.copy_in(source, relative)
        return Artifact(name=name, path=relative, bytes=size, sha256=digest, fence=fence)

    def copy_in(self, source: Path, relative: str) -> None:
        """Copy a file or folder to a place under the root that its content names: whole or not at all, durable, once.

        Raises:
            UserError: the store cannot be written or is full.
        """
        try:
            if self.remote:
                self.filesystem.put(str(source), self.at(relative), recursive=source.is_dir())
                self.filesystem.pipe_file(self.at(relative) + _WHOLE, b"")
            else:
                copy_whole(source, self.local / relative, self.local)
        except OSError as error:
            raise unwritable(self.local / relative, error) from error

    def has(self, relative: str) -> bool:
        """Whether something was copied in, whole, at that place."""
        if self.remote:
            return bool(self.filesystem.exists(self.at(relative) + _WHOLE))
        return (self.local / relative).exists()

    def discard(self, relative: str) -> None:
        """Delete what is at that place; others may do the same."""
        discard(self.local / relative)
        if self.remote:
            with contextlib.suppress(FileNotFoundError):
                self.filesystem.rm(self.at(relative), recursive=True)

    def at(self, relative: str) -> str:
        """The path of a place in a remote root."""
        return f"{self._prefix}/{relative}"

    def open_path(self, artifact: Artifact) -> Path:
        """The artefact as a local path, fetched first where the root is remote; raises ``NotFoundError``."""
        try:
            return self.local_path(artifact.path)
        except NotFoundError:
            raise NotFoundError(f"the file of the artefact {artifact.name!r} is gone", field="name") from None

    def local_path(self, relative: str) -> Path:
        """What is at that place under the root, fetched first where the root is remote; raises ``NotFoundError``."""
        path = self.local / relative
        if not within(path, self.local):
            raise NotFoundError(f"there is nothing at {relative}", field="name")
        if self.remote and not path.exists() and self.filesystem.exists(self.at(relative)):
            with staging(self.local) as folder:
                self.filesystem.get(self.at(relative), str(folder / "copy"), recursive=True)
                publish(folder / "copy", path)
        if not path.exists():
            raise NotFoundError(f"there is nothing at {relative}", field="name")
        return path

    def remove(self, job_id: str) -> None:
        """Delete all of a job's files."""
        self.discard(f"jobs/{job_id}")

    def _folder(self, job_id: str, part: str) -> Path:
        return self.local / "jobs" / job_id / part


def measure(source: Path) -> tuple[int, str]:
    """Bytes and SHA-256: of a folder, over relative names and contents in sorted order."""
    digest, size = hashlib.sha256(), 0
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    for file in files:
        if source.is_dir():
            digest.update(str(file.relative_to(source)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                size += len(block)
    return size, digest.hexdigest()
