"""The best model so far, as a folder that a crash leaves either old or new."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from mentor.trajectory import Frozen
from mentor_trainer.checkpoints import put_in_place

_MARK = ".best.json"


class Best(Frozen):
    """A model that was the best when its step was looked at. ``value`` is that of the metric by which it was."""

    path: Path
    step: int
    value: float


def read(folder: Path) -> Best | None:
    """The best model in ``folder``; None where there is none yet."""
    mark = folder / _MARK
    if not mark.is_file():
        return None
    known = json.loads(mark.read_text())
    return Best(path=folder, step=known["step"], value=known["value"])


def replace(folder: Path, model: Path, step: int, value: float) -> None:
    """Make ``model`` the best: its files are linked, so that they outlive its checkpoint and cost no room."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    link_tree(model, fresh)
    (fresh / _MARK).unlink(missing_ok=True)
    (fresh / _MARK).write_text(json.dumps({"step": step, "value": value}))
    put_in_place(fresh, folder)


def link_tree(source: Path, target: Path) -> None:
    """A copy of a folder whose files are those of the source; copied where the filesystem cannot link."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link)
