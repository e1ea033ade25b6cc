"""Server. Scratch directories: measured while a call runs, removed after it whatever it did to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

from mentor.errors import InfrastructureError

log = structlog.get_logger("scratch")
MAX_ENTRIES = 10_000
MAX_PATH = 3000
_MOST_TRIES = 2
_MOVED = "moved-"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCKED = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
        await asyncio.to_thread(remove_tree, directory)
        if os.path.lexists(directory):
            log.error("a scratch directory could not be removed", directory=str(directory))


def remove_tree(directory: Path) -> None:
    """Remove a directory and what is in it. What cannot be removed stays; nothing is raised."""
    empty(directory)
    with contextlib.suppress(OSError):
        directory.rmdir()


def empty(directory: Path) -> None:
    """Remove what is in a directory.

    A call may have locked its own directories, nested them beyond every path length, and filled them with links. So
    nothing is followed, and nothing is entered deeper than one level: what lies below is moved up first.
    """
    try:
        _unlock(str(directory), str(directory))
        top = os.open(directory, DIRECTORY)
    except OSError:
        return
    try:
        numbers = itertools.count()
        stuck = 0
        while (names := _names(top)) and stuck < _MOST_TRIES:
            for name in names:
                _remove_entry(top, name, numbers)
            stuck = stuck + 1 if set(_names(top)) == set(names) else 0
    finally:
        os.close(top)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as found:
        return [entry.name for entry in found]


def _remove_entry(top: int, name: str, numbers: Iterator[int]) -> None:
    """Remove one entry of ``top``; the directories in it move up into ``top``."""
    try:
        os.unlink(name, dir_fd=top)
        return
    except OSError:
        pass
    with contextlib.suppress(OSError):
        os.chmod(name, stat.S_IRWXU, dir_fd=top)
        inner = os.open(name, DIRECTORY, dir_fd=top)
        try:
            for child in _names(inner):
                _remove_or_move(inner, child, top, f"{_MOVED}{next(numbers)}")
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)


def _remove_or_move(inner: int, child: str, top: int, name: str) -> None:
    try:
        os.unlink(child, dir_fd=inner)
    except OSError:
        os.chmod(child, stat.S_IRWXU, dir_fd=inner)
        os.rename(child, name, src_dir_fd=inner, dst_dir_fd=top)


def exceeds(directory: Path, limit: int) -> bool:
    """Whether the files in it take more than ``limit`` bytes, or are too many or too deep to count."""
    size = entries = 0
    left = [str(directory)]
    while left:
        path = left.pop()
        if len(path) > MAX_PATH:
            return True
        for entry in _entries(path, str(directory)):
            entries += 1
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
            else:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
            if size > limit or entries > MAX_ENTRIES:
                return True
    return False


def _entries(path: str, top: str) -> list[os.DirEntry[str]]:
    """What lies in a directory, at most one more than may; a locked one is unlocked; none if it is gone."""
    for _ in range(2):
        try:
            with os.scandir(path) as found:
                return list(itertools.islice(found, MAX_ENTRIES + 1))
        except PermissionError:
            with contextlib.suppress(OSError):
                _unlock(path, top)
        except OSError:
            break
    return []


def _unlock(path: str, top: str) -> None:
    """Let a directory's owner in, if it is ``top`` or lies below it.

    Its owner may be alive and put a link in the way, so the mode is changed through a descriptor, once it is known where
    that leads.
    """
    descriptor = os.open(path, _LOCKED)
    try:
        link = f"/proc/self/fd/{descriptor}"
        if Path(link).readlink().is_relative_to(Path(top).resolve()):
            Path(link).chmod(stat.S_IRWXU)
    finally:
        os.close(descriptor)
