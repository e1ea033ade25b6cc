"""Scratch directories: measured while a call runs, removed after it whatever it did to them."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

MAX_ENTRIES = 10_000


async def remove(directory: Path) -> None:
    """Remove a scratch directory; an empty one (nearly all are) at once, a full one in a thread."""
    try:
        directory.rmdir()
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
