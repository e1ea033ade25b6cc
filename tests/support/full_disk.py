"""A small disk of its own that a test can fill: a file system in memory, which root alone may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_BLOCK = b"\0" * (1 << 16)


@contextmanager
def small_disk(folder: Path, mebibytes: int = 160) -> Iterator[Path]:
    """Mounted at ``folder`` for the duration of the block."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(_BLOCK):
            pass
