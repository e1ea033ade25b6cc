"""Where a job's files live: a shared directory, or any fsspec URL.

STORE/jobs/ID/work/             resumable state, kept over attempts
STORE/jobs/ID/logs/ATTEMPT.log  the attempt's output
STORE/jobs/ID/artifacts/FENCE/  committed files; which one counts is in Redis, under the fencing number
STORE/files/DIGEST/             what clients uploaded (``mentor.jobs.uploads``)
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import fsspec

from mentor.data.files import unwritable, within
from mentor.errors import NotFoundError, UserError
from mentor.jobs.model import Artifact


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
            probe = self.local / f".probe-{os.getpid()}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            raise unwritable(self.local, error) from error
        if self.remote:
            try:
                self.filesystem, self._prefix = fsspec.core.url_to_fs(self.root)
            except (ValueError, ImportError) as error:
                raise UserError(f"{root}: {error}", field="store", allowed="a directory or an fsspec URL") from error

    def work(self, job_id: str) -> Path:
        """Folder for a job's resumable state; brought here from a remote root where it is not yet."""
        folder = self._folder(job_id, "work")
        if self.remote and not folder.exists():
            remote = f"{self._prefix}/jobs/{job_id}/work"
            if self.filesystem.exists(remote):
                self.filesystem.get(remote, str(folder), recursive=True)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save_work(self, job_id: str) -> None:
        """Make resumable state safe: nothing to do in a shared directory, an upload to a remote root."""
        if self.remote:
            source = self._folder(job_id, "work")
            self.filesystem.put(f"{source}/", f"{self._prefix}/jobs/{job_id}/work/", recursive=True)

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
        relative = f"jobs/{job_id}/artifacts/{fence}/{name}"
        size, digest = measure(source)
        self.copy_in(source, relative)
        return Artifact(name=name, path=relative, bytes=size, sha256=digest, fence=fence)

    def copy_in(self, source: Path, relative: str) -> None:
        """Copy a file or folder to a place under the root, whole or not at all.

        Raises:
            UserError: the store cannot be written or is full.
        """
        try:
            self._copy(source, relative)
        except OSError as error:
            raise unwritable(self.local / relative, error) from error

    def has(self, relative: str) -> bool:
        """Whether there is something at that place under the root."""
        return bool(
            self.filesystem.exists(f"{self._prefix}/{relative}") if self.remote else (self.local / relative).exists()
        )

    def discard(self, relative: str) -> None:
        """Delete what is at that place."""
        _discard(self.local / relative)
        if self.remote and self.filesystem.exists(f"{self._prefix}/{relative}"):
            self.filesystem.rm(f"{self._prefix}/{relative}", recursive=True)

    def _copy(self, source: Path, relative: str) -> None:
        if self.remote:
            self.filesystem.put(str(source), f"{self._prefix}/{relative}", recursive=source.is_dir())
            return
        target = self.local / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        _discard(partial)
        if source.is_dir():
            shutil.copytree(source, partial)
        else:
            shutil.copyfile(source, partial)
        _discard(target)
        partial.replace(target)

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
        if self.remote and not path.exists() and self.has(relative):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.filesystem.get(f"{self._prefix}/{relative}", str(path), recursive=True)
        if not path.exists():
            raise NotFoundError(f"there is nothing at {relative}", field="name")
        return path

    def remove(self, job_id: str) -> None:
        """Delete all of a job's files."""
        self.discard(f"jobs/{job_id}")

    def _folder(self, job_id: str, part: str) -> Path:
        return self.local / "jobs" / job_id / part


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
