"""Resumable state, handed from attempt to attempt so that no attempt can write into the next one's files.

STORE/jobs/ID/state/FENCE        where the attempt with that fencing number works
STORE/jobs/ID/state/FENCE.left   the same once all its processes are known to be dead: the next one takes it by renaming
STORE/jobs/ID/state/FENCE.taken  the same, out of reach of an attempt of which that is not known: the next one copies it

After a lapsed lease the former attempt may only be frozen. Its paths lead nowhere once its folder has another name, but a
file that it holds open follows, so what is taken from it is copied (blocks are shared where the filesystem can).
In a remote root an attempt's saves are FENCE/ with a mark FENCE.saved; the work itself is done in the local scratch.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from mentor.errors import InfrastructureError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.places import copy_tree, discard, staging

_NAME = re.compile(r"(\d+)(\.left|\.taken|)")
_RANK = {".taken": 2, ".left": 1, "": 0}
"""Of several with one number the first is the real one: a frozen attempt that wakes may make its folder anew."""
_TRIES = 20


class Workspace:
    """The folders of one attempt at a job."""

    def __init__(self, files: ArtifactStore, job_id: str, fence: int) -> None:
        self._files = files
        self._fence = fence
        self._place = f"jobs/{job_id}/state"
        self._base = files.local / self._place
        self._legacy_place = f"jobs/{job_id}/work"  # of a worker before attempts had folders of their own
        self._own = self._base / str(fence)

    def take_over(self) -> Path:
        """This attempt's folder, with what the last attempt left in it.

        Raises:
            InfrastructureError: it is being taken away again and again.
        """
        self._base.mkdir(parents=True, exist_ok=True)
        if self._files.remote:
            self._fetch()
            return self._own
        for _ in range(_TRIES):
            source = self._latest()
            if source is None or self._move_in(source):
                # mkdir's own exist_ok raises it too, if a successor takes the folder away just then.
                with suppress(FileExistsError):
                    self._own.mkdir()
                self._clear()
                return self._own
        raise InfrastructureError(f"the state of {self._place} does not hold still")

    def save(self) -> None:
        """Make the state safe: nothing to do in a shared directory, an upload to a remote root."""
        if self._files.remote:
            self._files.filesystem.put(f"{self._own}/", self._remote("/"), recursive=True)
            self._files.filesystem.pipe_file(self._remote(".saved"), b"")

    def seal(self) -> None:
        """No process of this attempt is alive any more."""
        if self._files.remote:
            discard(self._own)
        elif self._own.exists():
            _renamed(self._own, self._own.with_name(f"{self._fence}.left"))

    def _latest(self) -> Path | None:
        """What the last attempt before this one left; an unsealed one's own name may have been made anew by it."""
        found = [(int(m[1]), _RANK[m[2]], p) for p in self._base.iterdir() if (m := _NAME.fullmatch(p.name))]
        earlier = max((entry for entry in found if entry[0] < self._fence), default=None)
        if earlier is not None:
            return earlier[2]
        legacy = self._files.local / self._legacy_place
        return legacy if legacy.exists() else None

    def _move_in(self, source: Path) -> bool:
        """Make the source our own; False if another attempt was faster, so that one has to look again."""
        if source.suffix == ".left":
            return _renamed(source, self._own)
        taken = source if source.suffix == ".taken" else self._base / f"{_number(source)}.taken"
        if source != taken and not _renamed(source, taken):
            return False
        with staging(self._files.local) as folder:
            try:
                copy_tree(taken, folder / "copy")
            except (FileNotFoundError, shutil.Error):
                if taken.exists():
                    raise
            # Who removes it renames it first: if it is still there, nothing was missing while it was copied.
            return taken.exists() and _renamed(folder / "copy", self._own)

    def _clear(self) -> None:
        """Remove what earlier attempts left: this one has what it needs."""
        with staging(self._files.local) as folder:
            for entry in self._base.iterdir():
                found = _NAME.fullmatch(entry.name)
                if found and int(found[1]) < self._fence:
                    _renamed(entry, folder / entry.name)

    def _fetch(self) -> None:
        filesystem = self._files.filesystem
        filesystem.invalidate_cache()
        marks = [Path(path).stem for path in filesystem.glob(self._files.at(f"{self._place}/*.saved"))]
        saved = max((int(mark) for mark in marks if int(mark) < self._fence), default=None)
        source = self._files.at(self._legacy_place if saved is None else f"{self._place}/{saved}")
        discard(self._own)
        with staging(self._files.local) as folder:
            if filesystem.exists(source):
                filesystem.get(source, str(folder / "copy"), recursive=True)
            (folder / "copy").mkdir(exist_ok=True)
            (folder / "copy").rename(self._own)

    def _remote(self, end: str) -> str:
        return self._files.at(f"{self._place}/{self._fence}{end}")


def _number(source: Path) -> str:
    return source.name if source.name.isdecimal() else "0"


def _renamed(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except FileNotFoundError:
        return False
    return True
