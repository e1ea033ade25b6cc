"""All cases, class by class."""

from __future__ import annotations

from tests.hostile.case import Case
from tests.hostile.cases import channel, floods, kernel, leftovers, secrets, values

CASES: tuple[Case, ...] = (
    *floods.CASES,
    *secrets.CASES,
    *kernel.CASES,
    *leftovers.CASES,
    *channel.CASES,
    *values.CASES,
)
assert len({case.name for case in CASES}) == len(CASES)
