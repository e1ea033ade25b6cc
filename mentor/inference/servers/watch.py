"""Who a managed server tells how it is: the part of a job's context that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Watch(Protocol):
    """``workdir`` takes the server's log."""

    workdir: Path

    def tell(self, message: str, **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def should_stop(self) -> bool: ...
