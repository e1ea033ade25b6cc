"""What a running experiment shows: a bar for every job and one for all runs on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from mentor.experiment.plan import Step
from mentor.local.progress import new_progress


class Board:
    """Shows steps as they run; every method may be called in any thread."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._bars: Progress | None = new_progress(console) if console.is_terminal else None
        self._rows: dict[str, TaskID] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()
        self._all = self._bars.add_task("runs", total=total, message="") if self._bars else None

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def begin(self, step: Step) -> None:
        """A step starts."""
        with self._lock:
            self._since[step.content] = time.monotonic()
            if self._bars:
                self._rows[step.content] = self._bars.add_task(step.label, total=1.0, message="")

    def move(self, step: Step, fraction: float, message: str) -> None:
        """A step has come so far, 0 to 1."""
        if self._bars and step.content in self._rows:
            self._bars.update(self._rows[step.content], completed=fraction, message=escape(message))

    def end(self, step: Step, how: str) -> None:
        """A step has ended."""
        with self._lock:
            seconds = time.monotonic() - self._since.pop(step.content)
            row = self._rows.pop(step.content, None)
            if self._bars and row is not None:
                self._bars.remove_task(row)
        self.say(f"{how} {step.label} ({seconds:.0f} s)")

    def runs(self, through: int, failed: int, seconds_left: float | None) -> None:
        """How many runs are through, and how long the others may take."""
        left = "" if seconds_left is None else f", about {duration(seconds_left)} left"
        told = f"{through} of {self._total} runs done, {failed} failed{left}"
        if self._bars and self._all is not None:
            self._bars.update(self._all, completed=through + failed, message=told)
        else:
            self.say(told)

    def say(self, line: str) -> None:
        """A line for people."""
        self._console.print(f"{time.strftime('%H:%M:%S')} {escape(line)}", highlight=False)


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
