"""All cases, class by class."""

from __future__ import annotations

from tests.hostile.case import Case
from tests.hostile.cases import channel, floods, kernel, leftovers, metadata, secrets, values

CASES: tuple[Case, ...] = (
    *floods.CASES,
    *secrets.CASES,
    *kernel.CASES,
    *metadata.CASES,
    *leftovers.CASES,
    *channel.CASES,
    *values.CASES,
)
assert len({case.name for case in CASES}) == len(CASES)
COUNTS = {
    **{
        "arguments": 23,
        "deadline tricks": 8,
        "deep recursion": 9,
        "descriptor floods": 6,
        "disk floods": 9,
        "environment": 9,
    },
    **{"escapes": 21, "exits": 24, "forged results": 12, "fork bombs": 8, "frames and gc": 7, "host files": 32},
    **{
        "kernel interfaces": 28,
        "leftovers": 12,
        "lies": 19,
        "links": 8,
        "loops": 21,
        "memory floods": 8,
        "metadata": 53,
    },
    **{"other calls": 9, "output floods": 4, "persistence": 27, "proc": 14, "setuid attempts": 7, "signals": 10},
    **{"sockets": 16, "tracing": 9, "unicode": 14},
}
"""Cases of each class on x86-64, by hand: one that goes missing is noticed."""
