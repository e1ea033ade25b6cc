"""The work folder: what every finished step left, by digest, and why runs failed.

WORK/steps/CONTENT-CODE/       a finished step: its files and ``step.json``; the folder is whole or absent
WORK/failures/LABEL.json       why a run failed the last time it was tried
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentor.data.files import unwritable, write_text
from mentor.experiment.keys import code_version
from mentor.experiment.plan import Step
from mentor.experiment.records import RunId
from mentor.jobs.places import STAGING, discard, publish, staging, sync_tree
from mentor.trajectory import Frozen

_META = "step.json"
_STALE_SECONDS = 24 * 3600.0
_CONTENT, _CODE = 32, 12
"""Characters of the digests in names of folders."""


class StepMeta(Frozen):
    """What is written down of a finished step.

    ``codes``: versions of the code that made it and what it was made from. ``seconds``: of the job, waiting excluded;
    ``tokens``: generated ones.
    """

    kind: str
    label: str
    content: str
    codes: tuple[str, ...]
    job: str | None = None
    seconds: float = 0.0
    tokens: float = 0.0


class Failure(Frozen):
    """Why a run is not there."""

    run: RunId
    step: str
    error: str
    job: str | None = None
    time: str = ""


class Work:
    """A work folder.

    Args:
        code: the code's version.
        any_code: steps that another version made will do too.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, root: Path, code: str, *, any_code: bool = False) -> None:
        self.root, self.code, self._any_code = root, code, any_code
        self._steps = root / "steps"
        try:
            self._steps.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(root, error) from error
        self._sweep()

    def place(self, content: str) -> Path:
        """Where a step's folder belongs."""
        return self._steps / f"{content[:_CONTENT]}-{self.code[:_CODE]}"

    def find(self, content: str) -> Path | None:
        """The folder of a finished step, or None."""
        own = self.place(content)
        if own.is_dir():
            return own
        others = sorted(self._steps.glob(f"{content[:_CONTENT]}-*")) if self._any_code else []
        return others[0] if others else None

    def output(self, content: str, name: str) -> Path:
        """What a finished step left under a name; it may not exist."""
        folder = self.find(content)
        return (folder or self.place(content)) / name

    def meta(self, content: str) -> StepMeta:
        """What is known of a finished step."""
        return StepMeta.model_validate_json(self.output(content, _META).read_text())

    def codes(self, step: Step) -> tuple[str, ...]:
        """Versions of the code in what a step takes, the session's, and the present one: sources may have changed."""
        taken = {code for need in step.needs for code in self.meta(need).codes}
        return tuple(sorted(taken | {self.code, code_version()}))

    @contextmanager
    def making(self, step: Step) -> Iterator[tuple[Path, dict[str, Any]]]:
        """A new folder and facts for ``step.json``; both are published in one move when the block ends well.

        Raises:
            UserError: the folder cannot be written.
        """
        facts: dict[str, Any] = {}
        try:
            with staging(self.root) as folder:
                made = folder / "made"
                made.mkdir()
                yield made, facts
                meta = StepMeta(kind=step.kind, label=step.label, content=step.content, codes=self.codes(step), **facts)
                (made / _META).write_text(meta.model_dump_json(indent=2) + "\n")
                sync_tree(made)
                publish(made, self.place(step.content))
        except OSError as error:
            raise unwritable(self.root, error) from error

    def forget(self, content: str) -> None:
        """Remove a finished step, that it may be made anew."""
        discard(self.place(content))

    def fail(self, failure: Failure) -> None:
        """Write down why a run failed."""
        timed = failure.model_copy(update={"time": now()})
        write_text(self._failure(failure.run), timed.model_dump_json(indent=2) + "\n")

    def succeed(self, run: RunId) -> None:
        """The run has not failed any more."""
        self._failure(run).unlink(missing_ok=True)

    def failure(self, run: RunId) -> Failure | None:
        """Why a run failed the last time, or None."""
        with suppress(OSError, ValidationError):
            return Failure.model_validate_json(self._failure(run).read_text())
        return None

    def _failure(self, run: RunId) -> Path:
        return self.root / "failures" / f"{run.label}.json"

    def _sweep(self) -> None:
        """Remove what killed runners left; what is young may be somebody's."""
        for left in self.root.glob(f"{STAGING}*"):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                discard(left)


def now() -> str:
    """The time, UTC, as it is written down."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
