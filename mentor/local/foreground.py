"""A job's work in the foreground: what the job's context is to a job, shown on a terminal; Ctrl-C keeps what is done."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from mentor.local.progress import new_progress

STOPPED = 3
"""Exit code of a command that was stopped: the same one goes on."""


class LiveContext:
    """Progress, counters and a request to stop, on the terminal.

    Args:
        label: of the bar.
        shown: makes a table of the figures that were reported; None shows the bar alone.
    """

    def __init__(
        self,
        workdir: Path,
        console: Console,
        label: str,
        shown: Callable[[dict[str, Any]], Table | None] = lambda figures: None,
    ) -> None:
        self.workdir = workdir
        self.figures: dict[str, Any] = {}
        self._stop = False
        self._table = shown
        self._bars = new_progress(console)
        self._bar = self._bars.add_task(label, total=1.0, message="")
        self.live = Live(self._shown(), console=console, refresh_per_second=4)

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None:
        self.figures |= metrics
        self._bars.update(self._bar, completed=fraction, message=message)
        if metrics:
            self.live.update(self._shown())

    def tell(self, message: str, **metrics: Any) -> None:
        """A word from beside the work: of a model server that starts, of an endpoint that is left alone."""
        self.figures |= metrics
        if message:
            self._bars.update(self._bar, message=message)

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Nobody scrapes a command."""

    def should_stop(self) -> bool:
        return self._stop

    def save(self) -> None:
        """What is journalled is on disk."""

    def commit(self, name: str, path: Path) -> None:
        """What a job would publish lies in the folder already."""

    def stop(self, *_: object) -> None:
        """Ask to stop."""
        self._stop = True

    def listen_for_stop(self) -> None:
        """Take Ctrl-C and SIGTERM as the request to stop; to be called in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)

    def _shown(self) -> Group:
        table = self._table(self.figures)
        return Group(table, self._bars) if table is not None else Group(self._bars)
