"""Zygote, for the child. The standard library in a call: where modes and times are afterthoughts, to keep them is no failure.

The walls let nobody change modes and times (``walls/seccomp``). ``os.chmod`` and ``os.utime`` say so; ``shutil.copy``,
``copy2``, ``copytree``, ``move`` and ``shelve`` (``dbm.dumb``) would fail after their work is done, so they go on, as on a
file system that has no modes. ``tarfile``, ``zipfile``, ``tempfile``, ``sqlite3`` and ``Path.touch`` do so by themselves.
Standard library only.
"""

from __future__ import annotations

import contextlib
import dbm.dumb
import functools
import shutil
from collections.abc import Callable
from typing import Any


def tolerate() -> None:
    """Make those functions go on."""
    shutil.copymode = _tolerant(shutil.copymode)
    shutil.copystat = _tolerant(shutil.copystat)
    database: Any = vars(dbm.dumb)["_Database"]
    database._chmod = _tolerant(database._chmod)


def _tolerant(change: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(change)
    def tolerant(*arguments: object, **options: object) -> None:
        with contextlib.suppress(PermissionError):
            change(*arguments, **options)

    return tolerant
