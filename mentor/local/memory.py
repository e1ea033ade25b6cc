"""Peak memory of a running stack, sampled in the background."""

from __future__ import annotations

import contextlib
import threading

import psutil

from mentor.local.layout import StackSpec
from mentor.local.stack import alive

_EVERY_SECONDS = 5.0


class MemoryWatch(threading.Thread):
    """Samples the sum of the proportional set sizes (shared pages counted once) of all processes of a stack."""

    def __init__(self, spec: StackSpec) -> None:
        super().__init__(name="mentor-memory", daemon=True)
        self.peak_bytes = 0
        self._spec = spec
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            self.peak_bytes = max(self.peak_bytes, stack_memory(self._spec))

    def stop(self) -> int:
        """End, and return the peak in bytes."""
        self._stopped.set()
        self.join()
        return self.peak_bytes


def stack_memory(spec: StackSpec) -> int:
    """Bytes that the stack's processes use now."""
    total = 0
    for process in alive(spec):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total
