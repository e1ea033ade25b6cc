"""The end of logs, read from the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

BLOCK_BYTES = 1 << 16
MAX_BYTES = 16 << 20


def tail(paths: Sequence[Path], lines: int, most: int = MAX_BYTES) -> Iterator[bytes]:
    """The last lines of files that follow one another, as blocks of at most 64 KiB.

    Args:
        paths: oldest first.
        most: bytes; the first line is cut where there would be more.
    """
    spans: list[tuple[Path, int, int]] = []
    for path in reversed(paths):
        start, stop, lines = _last(path, lines, most)
        spans.append((path, start, stop))
        most -= stop - start
        if lines <= 0 or most <= 0:
            break
    for path, start, stop in reversed(spans):
        yield from _read(path, start, stop)


def _last(path: Path, lines: int, most: int) -> tuple[int, int, int]:
    """Where the last lines of a file begin and end, and how many lines are still wanted of the files before it."""
    with path.open("rb") as file:
        stop = position = file.seek(0, 2)
        ends = position - 1  # an end of line that ends the file begins no line
        while position > max(0, stop - most):
            begin = max(0, stop - most, position - BLOCK_BYTES)
            file.seek(begin)
            block = file.read(position - begin)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                if begin + at < ends and (lines := lines - 1) == 0:
                    return begin + at + 1, stop, 0
            position = begin
    return position, stop, lines - (stop > 0)


def _read(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (block := file.read(min(BLOCK_BYTES, stop - start))):
            start += len(block)
            yield block
