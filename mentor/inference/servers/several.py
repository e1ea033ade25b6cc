"""What replicas tell the job that started them: figures of each, and what they are together."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from mentor.inference.servers.watch import Watch


class Told:
    """Figures by their name and replica. The job hears of them in sum too."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._of: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def hear(self, replica: str, message: str, figures: dict[str, float]) -> None:
        """Pass on what one says."""
        each: dict[str, float] = {}
        for name, value in figures.items():
            self._of[name][replica] = value
            each |= {f"{name} {replica}": value, name: round(sum(self._of[name].values()), 1)}
        self.watch.tell(message, **each)

    def serving(self, number: int) -> None:
        """So many of them serve now."""
        self.watch.tell("", servers_up=number)


class OneOfSeveral:
    """The watch of one replica."""

    def __init__(self, told: Told, replica: str) -> None:
        self._told, self._replica = told, replica
        self.workdir: Path = told.watch.workdir
        self.count, self.should_stop = told.watch.count, told.watch.should_stop

    def tell(self, message: str, **metrics: Any) -> None:
        self._told.hear(self._replica, message, metrics)
