"""Scratch directories: measured while a call runs, removed after it whatever it did to them.

They lie in one root per server. Its lock tells a running server's root from one that a killed server left behind.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from mentor.errors import InfrastructureError, UserError

MAX_ENTRIES = 10_000
_PREFIX = "mentor-sandbox-"
_LOCK = "lock"


class ScratchRoot:
    """The directory in which one server's scratch directories lie.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, parent: Path | None) -> None:
        where = parent or Path(tempfile.gettempdir())
        try:
            where.mkdir(parents=True, exist_ok=True)
            _sweep(where)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
            fresh = self.path / "lock.part"
            self.path.chmod(0o711)
            self._lock = os.open(fresh, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            fresh.rename(self.path / _LOCK)
        except OSError as error:
            message = f"cannot make scratch directories in {where}: {error.strerror}"
            raise UserError(message, field="scratch_root") from None

    def remove(self) -> None:
        """Remove everything in it."""
        _remove_tree(self.path)
        os.close(self._lock)


def _sweep(where: Path) -> None:
    """Remove the roots of servers that are gone. One just being made has no lock file yet and is left alone."""
    for lock in where.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_tree(lock.parent)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def make(directory: Path, uid: int) -> None:
    """Make a scratch directory; with a ``uid`` of 0 or more it is that user's.

    Raises:
        InfrastructureError: it cannot be made.
    """
    try:
        directory.mkdir(0o700)
        if uid >= 0:
            os.chown(directory, uid, uid)
    except OSError as error:
        raise InfrastructureError(f"cannot make a scratch directory: {error.strerror}") from None


async def remove(directory: Path) -> None:
    """Remove a scratch directory; an empty one (nearly all are) at once, a full one in a thread."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError:
        await asyncio.to_thread(_remove_tree, directory)


def _remove_tree(directory: Path) -> None:
    """A call may have locked its own directories; links are not followed, they may point anywhere."""
    for path, directories, _ in os.walk(directory):
        for inner in (Path(path, name) for name in directories):
            if not inner.is_symlink():
                inner.chmod(stat.S_IRWXU)
    shutil.rmtree(directory, ignore_errors=True)


def exceeds(directory: Path, limit: int) -> bool:
    """Whether the files in it take more than ``limit`` bytes, or are too many to count."""
    size = entries = 0
    for path, directories, files in os.walk(directory):
        entries += len(directories) + len(files)
        for name in files:
            try:
                size += Path(path, name).lstat().st_blocks * 512
            except OSError:
                continue
        if size > limit or entries > MAX_ENTRIES:
            return True
    return False
