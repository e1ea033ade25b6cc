"""Server. A child's standard output and error: memory files of the server's, so that a kill loses nothing.

What lies in them a child wrote: it is cut to what is returned, and is text at most.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mentor_sandbox.supervise.from_inside import printed_text


@dataclass(frozen=True, slots=True)
class Printed:
    """What was printed: the beginnings of both streams, and how many bytes there are of each."""

    stdout: bytes = b""
    stderr: bytes = b""
    stdout_bytes: int = 0
    stderr_bytes: int = 0

    @property
    def most(self) -> int:
        """Bytes of the longer stream."""
        return max(self.stdout_bytes, self.stderr_bytes)

    def fields(self) -> dict[str, Any]:
        """What a ``CallResult`` says of it."""
        cut = self.stdout_bytes > len(self.stdout), self.stderr_bytes > len(self.stderr)
        return {
            "stdout": printed_text(self.stdout),
            "stderr": printed_text(self.stderr),
            "truncated": cut[0] or cut[1],
            "stdout_truncated": cut[0],
            "stderr_truncated": cut[1],
        }


SILENT = Printed()


class Outputs:
    """Both memory files.

    Args:
        reused: they are written at their end, so that they can be emptied while a process has them open.

    Raises:
        OSError: this process has no descriptors left.
    """

    def __init__(self, *, reused: bool = False) -> None:
        self._stack = ExitStack()
        try:
            self.descriptors = self._open("stdout", reused), self._open("stderr", reused)
        except OSError:
            self._stack.close()
            raise

    def _open(self, name: str, reused: bool) -> int:
        descriptor = os.memfd_create(name)
        self._stack.callback(os.close, descriptor)
        if reused:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND | fcntl.fcntl(descriptor, fcntl.F_GETFL))
        return descriptor

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes in either."""
        out, err = self.descriptors
        return os.fstat(out).st_size, os.fstat(err).st_size

    def printed(self, keep: int, start: tuple[int, int] = (0, 0), end: tuple[int, int] | None = None) -> Printed:
        """What lies between ``start`` and ``end`` (None: where they end now), at most ``keep`` bytes of either."""
        end = self.sizes if end is None else end
        if start == end:
            return SILENT
        sizes = end[0] - start[0], end[1] - start[1]
        out, err = (
            os.pread(descriptor, min(size, keep), place) if size > 0 else b""
            for descriptor, size, place in zip(self.descriptors, sizes, start, strict=True)
        )
        return Printed(out, err, *sizes)

    def empty(self) -> None:
        """Forget what was printed."""
        for descriptor in self.descriptors:
            os.ftruncate(descriptor, 0)

    def close(self) -> None:
        """Give the descriptors back."""
        self._stack.close()
