"""Wait for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], within: float = 60.0, every: float = 0.05, what: str = "") -> T:
    """The condition's first true value; AssertionError if there is none within (generous) seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {within:g} s: {what or condition}")
