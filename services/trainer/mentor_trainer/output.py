"""What a run's process printed: its last part, for whoever asks why it failed, and as an artefact of its job."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mentor.data import write_text
from mentor.errors import MentorError
from mentor.jobs.store import LeaseLostError
from mentor.jobs.tails import tail

LOG = "train.log"
"""Of an attempt's folder, and the artefact."""
KEPT_BYTES = 128 << 10
"""Of the artefact, about a thousand lines of verl."""
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FIRST_SECONDS = 60.0
_SHARE = 0.1
"""Renewed once a run is older by this share: every copy stays in the store, and a run of days has a hundred of them."""


def end_of(log: Path, most: int) -> str:
    """The last ``most`` bytes of a log without colours; "" where there is none."""
    if not log.is_file():
        return ""
    return _ANSI.sub("", b"".join(tail([log], most, most)).decode(errors="replace"))


class Committing(Protocol):
    """What of ``JobContext`` is needed."""

    def commit(self, name: str, path: Path) -> None: ...
    def log(self, line: str) -> None: ...


class Output:
    """The end of an attempt's log as the job's artefact ``train.log``."""

    def __init__(self, attempt: Path, context: Committing) -> None:
        self._attempt, self._context = attempt, context
        self._begun = time.monotonic()
        self._due = self._begun + _FIRST_SECONDS
        self._known = ""

    def renew(self) -> None:
        """Commit it again if that is due; cheap to call at every tick."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + max(_FIRST_SECONDS, _SHARE * (now - self._begun))
            self.commit()

    def commit(self) -> None:
        """Commit what has been printed so far, if anything is new. That it cannot be kept is said, and fails no run.

        Raises:
            LeaseLostError: the job has passed to another worker.
        """
        text = end_of(self._attempt / LOG, KEPT_BYTES)
        if text == self._known:
            return
        kept = self._attempt / f"end-of-{LOG}"
        try:
            write_text(kept, text)
            self._context.commit(LOG, kept)
        except LeaseLostError:
            raise
        except MentorError as error:
            self._context.log(f"the output of the run could not be kept: {error.message}")
        else:
            self._known = text


@contextmanager
def kept(attempt: Path, context: Committing) -> Iterator[Output]:
    """Keep the output of the block's run: while it runs, and however it ends."""
    output = Output(attempt, context)
    try:
        yield output
    finally:
        output.commit()
