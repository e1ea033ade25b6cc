"""Checkpoints of a run: which are whole, and which is the latest. Knows nothing of verl but its folder names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from mentor.data import write_text
from mentor.errors import UserError
from mentor.trajectory import Frozen

MANIFEST = "manifest.json"
_PREFIX = "global_step_"
_HF = Path("actor") / "huggingface"


class Checkpoint(Frozen):
    """A whole checkpoint. ``hf_model`` is its model in Hugging Face format."""

    path: Path
    step: int

    @property
    def hf_model(self) -> Path:
        """The folder that ``from_pretrained`` reads."""
        return self.path / _HF


def commit(folder: Path, step: int) -> None:
    """Declare a checkpoint whole: list its files with their sizes, last of all and atomically."""
    files = {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
    files.pop(MANIFEST, None)
    write_text(folder / MANIFEST, json.dumps({"step": step, "files": files}, indent=1))


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder``, or None if it is not whole: no manifest, or a file missing or cut short."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return None
    try:
        content = json.loads(manifest.read_text())
        whole = all((folder / name).stat().st_size == size for name, size in content["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return Checkpoint(path=folder, step=content["step"]) if whole else None


def latest(folder: Path, after: int = -1) -> Checkpoint | None:
    """The whole checkpoint with the highest step under ``folder``; of those up to ``after`` no file is looked at."""
    passed = {path for path, step in _numbered(folder) if step <= after}
    found = (read(path) for path in folder.glob(f"{_PREFIX}*") if path not in passed)
    return max((c for c in found if c is not None), key=lambda c: c.step, default=None)


def export_model(model: Path, target: Path) -> None:
    """Copy a Hugging Face model to ``target``, replacing what is there only once the copy is whole.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    staging = target.with_name(f".{target.name}.new")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(model, staging, ignore=shutil.ignore_patterns(".*"))
        put_in_place(staging, target)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise UserError(f"cannot write the model to {target}: {error}", field="output_dir") from error


def put_in_place(fresh: Path, target: Path) -> None:
    """Rename a folder that is whole to ``target``: a crash leaves what was there, or what is new, never a mixture."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the ``keep`` latest checkpoint folders, broken ones among them."""
    for path, _ in sorted(_numbered(folder), key=lambda found: found[1])[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def _numbered(folder: Path) -> list[tuple[Path, int]]:
    """Folders that are named as checkpoints are, with their steps."""
    named = ((path, path.name.removeprefix(_PREFIX)) for path in folder.glob(f"{_PREFIX}*"))
    return [(path, int(step)) for path, step in named if step.isdigit()]
