"""Server. Files into and out of a scratch directory whose owner may be hostile and, in a session, alive.

No path is resolved by name twice: every directory on the way is opened in turn and links are never followed, so that
what a call puts in the way (a link to a file of the server's, a fifo) is refused instead of read or written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mentor.errors import ConflictError, UserError
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.files.scratch import DIRECTORY

MAX_PATH = 255
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def checked_path(path: str, field: str) -> str:
    """A relative path that stays where it is, in its shortest form.

    Raises:
        UserError: it is absolute, leaves the directory, is empty or cannot be a file's name.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    allowed = f"relative paths inside the working directory, at most {MAX_PATH} bytes"
    if path.startswith("/") or ".." in parts or not parts:
        raise UserError(f"{path!r} does not name a file in the working directory", field=field, allowed=allowed)
    try:
        raw = "/".join(parts).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{path!r} is not valid Unicode", field=field, allowed=allowed) from None
    if b"\0" in raw or len(raw) > MAX_PATH:
        raise UserError(f"{path[:60]!r} cannot name a file", field=field, allowed=allowed)
    return "/".join(parts)


def checked(files: Mapping[str, bytes], settings: SandboxSettings) -> dict[str, bytes]:
    """Files under checked paths.

    Raises:
        UserError: too many, too large, two of one name, or one where another needs a directory.
    """
    most, size = settings.max_files, settings.max_files_bytes
    if len(files) > most:
        raise UserError(f"{len(files)} files are too many", field="files", allowed=f"at most {most}")
    found = {checked_path(path, "files"): content for path, content in files.items()}
    if len(found) != len(files):
        raise UserError("two files have the same path", field="files")
    directories = {"/".join(path.split("/")[:depth]) for path in found for depth in range(1, path.count("/") + 1)}
    if clash := sorted(directories & found.keys()):
        raise UserError(f"{clash[0]!r} is both a file and a directory", field="files")
    if sum(map(len, found.values())) > size:
        raise UserError("the files are too large", field="files", allowed=f"at most {size} bytes in all")
    return found


def write(root: Path, files: Mapping[str, bytes], uid: int) -> None:
    """Put files into a scratch directory, each with the directories that it needs.

    Raises:
        ConflictError: something that the owner of the directory made is in the way.
    """
    for path, content in files.items():
        *above, name = path.split("/")
        try:
            with _directory(root, above, uid, make=True) as parent:
                descriptor = os.open(name, _WRITE, 0o600, dir_fd=parent)
                with os.fdopen(descriptor, "wb") as file:
                    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                        raise ConflictError(f"{path!r} exists and is not a regular file", field="files")
                    if uid >= 0:
                        os.fchown(descriptor, uid, uid)
                    file.write(content)
        except OSError as error:
            raise ConflictError(f"cannot write {path!r}: {error.strerror}", field="files") from None


def read(root: Path, paths: Iterable[str], limit: int) -> dict[str, bytes]:
    """Regular files among ``paths``; what is missing, a link or anything else is left out.

    Raises:
        UserError: together they are larger than ``limit`` bytes.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        *above, name = path.split("/")
        try:
            with _directory(root, above, -1, make=False) as parent:
                content = _content(parent, name, limit)
        except OSError:
            continue
        if content is not None:
            limit -= len(content)
            found[path] = content
        if limit < 0:
            raise UserError("the files asked for are too large", field="fetch_files")
    return found


def listed(root: Path, most: int) -> list[str]:
    """Paths of the regular files in a scratch directory, sorted; at most ``most``."""
    found: list[str] = []
    for path, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in names:
            mode = _mode(name, descriptor)
            if stat.S_ISREG(mode) and len(found) < most:
                found.append(str(Path(path, name).relative_to(root)))
    return sorted(found)


def _mode(name: str, directory: int) -> int:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError:
        return 0


def _content(parent: int, name: str, limit: int) -> bytes | None:
    descriptor = os.open(name, _READ, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(limit + 1)


@contextmanager
def _directory(root: Path, parts: list[str], uid: int, *, make: bool) -> Iterator[int]:
    """A descriptor of a directory below ``root``, reached without following links."""
    descriptor = os.open(root, DIRECTORY)
    try:
        for part in parts:
            if make:
                _make(part, descriptor, uid)
            inner = os.open(part, DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _make(name: str, parent: int, uid: int) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    if uid >= 0:
        os.chown(name, uid, uid, dir_fd=parent, follow_symlinks=False)
