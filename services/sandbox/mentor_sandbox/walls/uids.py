"""Server. A user id for every call, where this process may give ids away: as root with a container's default capabilities."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mentor_sandbox.walls import privileges

_CHOWN, _DAC_OVERRIDE = 0, 1
_NEEDED = (privileges.SETUID, privileges.SETGID, privileges.KILL, _CHOWN, _DAC_OVERRIDE)
"""To take an id, to kill what has another, and to give and remove its scratch directory."""


def state(wanted: tuple[int, int] | None, readable: Iterable[str]) -> str:
    """``on`` with the range, or why calls share the service's own user id.

    Args:
        wanted: first id and number of ids.
        readable: what calls must be able to read; it has to be open to every user.
    """
    if wanted is None:
        return "off: switched off"
    if os.geteuid() != 0:
        return "off: the service has no user ids to give"
    have = privileges.effective()
    if not all(have >> number & 1 for number in _NEEDED):
        return "off: the service may not change user ids"
    first, count = wanted
    if not _mapped(first, first + count - 1):
        return f"off: ids {first} to {first + count - 1} do not exist in this user namespace"
    for path in readable:
        if (closed := closed_to_others(Path(path))) is not None:
            return f"off: other users cannot enter {closed}, where the interpreter lies"
    return f"on (ids {first} to {first + count - 1})"


def _mapped(first: int, last: int, table: Path = Path("/proc/self/uid_map")) -> bool:
    for line in table.read_text(encoding="utf-8").splitlines():
        start, _, length = (int(field) for field in line.split())
        if start <= first and last < start + length:
            return True
    return False


def closed_to_others(path: Path) -> Path | None:
    """The first directory on the way to ``path`` that a user without rights cannot enter; None if there is none."""
    real = path.resolve()
    if not real.exists():
        return None
    directories: list[Path] = [*reversed(real.parents), *([real] if real.is_dir() else [])]
    for directory in directories:
        if not directory.stat().st_mode & stat.S_IXOTH:
            return directory
    return None
