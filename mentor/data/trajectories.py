"""Trajectories as JSON lines: one whole trajectory a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from mentor.data.files import check_readable, write_text
from mentor.errors import UserError
from mentor.trajectory import Trajectory


def iter_trajectories(path: str | Path, field: str = "trajectories") -> Iterator[Trajectory]:
    """Read trajectories one by one.

    A last line without an end, as a killed writer leaves it, is skipped: what it held was never committed.

    Raises:
        UserError: the file is missing or another line is malformed.
    """
    file = Path(path)
    check_readable(file, field)
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Trajectory.model_validate_json(line)
            except ValidationError as error:
                if not line.endswith("\n"):
                    return
                raise UserError(
                    f"{file}:{number} is not a trajectory: {error.errors()[0]['msg']}", field=field
                ) from error


def write_trajectories(trajectories: Iterable[Trajectory], path: str | Path) -> None:
    """Write JSON lines atomically."""
    write_text(Path(path), "".join(t.model_dump_json(exclude_defaults=True) + "\n" for t in trajectories))
