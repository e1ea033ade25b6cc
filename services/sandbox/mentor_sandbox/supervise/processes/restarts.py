"""Server. How long to wait before something that died is started again: the longer, the more often that failed."""

from __future__ import annotations

WAITS_S = (0.0, 0.1, 0.5, 1.0, 5.0)


def wait_s(failures: int, waits_s: tuple[float, ...] = WAITS_S) -> float:
    """Seconds before the next start, after so many failures in a row."""
    return waits_s[min(failures, len(waits_s) - 1)]
