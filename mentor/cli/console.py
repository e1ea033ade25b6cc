"""Where commands print tables."""

from __future__ import annotations

from rich.console import Console

_WIDE = 160
"""Columns of what goes into a file or a pipe: nobody has to fold it."""


def wide_console(*, stderr: bool = False) -> Console:
    """The terminal as wide as it is; a wide page where there is none."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=max(console.width, _WIDE))
