"""Files and folders that come and go whole, however many processes and machines do the same at the same time.

What is put somewhere is copied beside, made durable and moved there in one step. A place is named by content or by an
attempt's fencing number, so it is filled once and never overwritten: who finds it filled is done.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STAGING = ".staging-"
_FILLED = (errno.ENOTEMPTY, errno.EEXIST)
_FICLONE = 0x40049409
_TRIES = 100


@contextlib.contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A new folder on the root's own disk, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=root))
    try:
        yield folder
    finally:
        discard(folder)


def copy_whole(source: Path, target: Path, root: Path) -> None:
    """Copy a file or folder to ``target``, under ``root``, unless it is there already. Durable when this returns.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    if target.exists():
        return
    with staging(root) as folder:
        copy = folder / "copy"
        copy_tree(source, copy)
        sync_tree(copy)
        publish(copy, target)


def publish(made: Path, target: Path) -> None:
    """Move what was made elsewhere on the same disk to its place; the first one to come fills it.

    Raises:
        OSError: the place cannot be written.
    """
    for _ in range(_TRIES):  # the folder above may be removed between its making and its use
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _FILLED:
                raise
        with contextlib.suppress(FileNotFoundError):
            _sync(target.parent)
        return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target))


def discard(path: Path) -> None:
    """Delete a file or folder, or what is left of it: others may be deleting it too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unless_gone)
    else:
        path.unlink(missing_ok=True)


def _unless_gone(_: Any, __: str, failure: Any) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def copy_tree(source: Path, target: Path) -> None:
    """Copy a file or folder; blocks are shared where the filesystem can, so that a checkpoint's copy costs nothing."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_copy_file)
    else:
        _copy_file(str(source), str(target))


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:  # another disk, or a filesystem without shared blocks
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copymode(source, target)


def sync_tree(path: Path) -> None:
    """Make a file, or all of a folder, durable."""
    if path.is_dir():
        for inner in path.iterdir():
            sync_tree(inner)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
