"""Server. The directory in which one server's scratch directories lie: tried, mended, and swept when its server is gone.

Its lock tells a running server's root from one that a killed server left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from mentor.errors import InfrastructureError, UserError
from mentor_sandbox.supervise.files.scratch import make, remove_tree
from mentor_sandbox.walls.uids import closed_to_others

log = structlog.get_logger("scratch")
_PREFIX = "mentor-sandbox-"
_LOCK = "lock"
_MODE = 0o711
MODES, NEW_ROOT = "modes", "new_root"
"""How a root was mended: its own mode was restored, or another took its place."""


class ScratchRoot:
    """Makes scratch directories.

    Args:
        parent: where the root lies; None: the system's folder for temporary files.
        uid: a user id that calls get, for trying; -1 where they have the server's own.
        mended: told how the root was mended.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, parent: Path | None, uid: int = -1, mended: Callable[[str], None] = lambda how: None) -> None:
        self._where = parent or Path(tempfile.gettempdir())
        self._uid = uid
        self._mended = mended
        self._old: list[_Root] = []
        try:
            self._where.mkdir(parents=True, exist_ok=True)
            _sweep(self._where)
            self._root = _Root(self._where)
        except OSError as error:
            message = f"cannot make scratch directories in {self._where}: {error.strerror}"
            raise UserError(message, field="scratch_root") from None

    @property
    def path(self) -> Path:
        """Where directories are made at present."""
        return self._root.path

    def new(self, kind: str, uid: int) -> Path:
        """A new directory; with a ``uid`` of 0 or more it is that user's. A root in which none can be made is mended.

        Raises:
            InfrastructureError: it cannot be made.
        """
        try:
            return self._make(kind, uid)
        except InfrastructureError as error:
            if not self._mend(error.message):
                raise
            return self._make(kind, uid)

    def trouble(self) -> str | None:
        """Why calls get no directory to work in, None if they do: one is made, entered and removed. Mends what it can."""
        reason = self._try()
        if reason is None or self._mend(reason):
            return None
        return reason

    def remove(self) -> None:
        """Remove everything in it."""
        for root in (self._root, *self._old):
            root.remove()

    def _make(self, kind: str, uid: int) -> Path:
        directory = self.path / f"{kind}-{secrets.token_hex(8)}"
        make(directory, uid)
        return directory

    def _try(self) -> str | None:
        try:
            directory = self._make("probe", self._uid)
            (directory / "in").mkdir()
            (directory / "in").rmdir()
            directory.rmdir()
            closed = closed_to_others(self.path) if self._uid >= 0 else None
        except InfrastructureError as error:
            return error.message
        except OSError as error:
            return f"cannot work in a scratch directory: {error.strerror}"
        return None if closed is None else f"calls cannot enter {closed}, where scratch directories lie"

    def _mend(self, reason: str) -> bool:
        """Give the root its mode back, else take a new one; whether that helped."""
        how = MODES if self._root.restore() and self._try() is None else self._replace()
        if how is None:
            return False
        log.warning("scratch root mended", how=how, reason=reason, path=str(self.path))
        self._mended(how)
        return True

    def _replace(self) -> str | None:
        """What runs keeps its directory in the old root, as far as that exists; it is removed with the new one."""
        before = self._root
        try:
            self._root = _Root(self._where)
        except OSError:
            return None
        if self._try() is not None:
            self._root.remove()
            self._root = before
            return None
        self._old.append(before)
        return NEW_ROOT


class _Root:
    """One root with its lock.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, where: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
        self.path.chmod(_MODE)
        self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fresh = self.path / "lock.part"
        self._lock = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self.path / _LOCK)

    def restore(self) -> bool:
        """Give it its mode back; False if another directory, or none, has its name."""
        try:
            os.fchmod(self._directory, _MODE)
            return os.path.samestat(os.fstat(self._directory), os.lstat(self.path))
        except OSError:
            return False

    def remove(self) -> None:
        """Remove it and everything in it."""
        if self.restore():
            remove_tree(self.path)
        os.close(self._directory)
        os.close(self._lock)


def _sweep(where: Path) -> None:
    """Remove the roots of servers that are gone. One just being made has no lock file yet and is left alone."""
    for root in where.glob(f"{_PREFIX}*"):
        _unlock_own(root)
        try:
            descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(root)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _unlock_own(root: Path) -> None:
    """A root of ours whose mode somebody took away gets it back."""
    with contextlib.suppress(OSError):
        found = root.lstat()
        if (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == os.geteuid()
            and found.st_mode & stat.S_IRWXU != stat.S_IRWXU
        ):
            root.chmod(_MODE)
