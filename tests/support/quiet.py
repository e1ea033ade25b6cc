"""A job's context that keeps nothing but the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Quiet:
    """Satisfies ``mentor.rollout.solve.Progress``; tells nobody."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def save(self) -> None: ...
    def should_stop(self) -> bool:
        return False
