"""The clock of leases, and how a guardian is told until when a job may live. Imports nothing, so that it starts fast."""

from __future__ import annotations

import struct
import time

DEADLINE = struct.Struct("<d")
"""A deadline in the pipe: seconds of ``clock``."""


def clock() -> float:
    """Seconds that go on while the machine sleeps, the same for all processes of a machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
