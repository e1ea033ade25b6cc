"""What each filter dropped, by example, and how tools were used in what was kept: read from the index's trajectories."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentor.analysis import ToolUsage, tool_usage
from mentor.data.fates import KEPT, WHY, fate
from mentor.errors import NotFoundError
from mentor.trajectory import Trajectory
from mentor_console.index.stored import load

_MOST = 2000
_EXAMPLES = 3
_LONGEST = 600


@dataclass
class Seen:
    """``read``: trajectories that were looked at, of ``indexed``. ``usage``: of those that were kept."""

    read: int = 0
    indexed: int = 0
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    usage: ToolUsage | None = None


def dropped(connection: sqlite3.Connection, folder: Path, job: str) -> Seen:
    """Look through a job's trajectories, the first ones of a large set."""
    rows = connection.execute("SELECT key FROM trajectories WHERE job = ? ORDER BY id LIMIT ?", (job, _MOST)).fetchall()
    indexed = connection.execute("SELECT count(*) FROM trajectories WHERE job = ?", (job,)).fetchone()[0]
    seen, kept, examples = Seen(indexed=indexed), list[Trajectory](), defaultdict[str, list[dict[str, Any]]](list)
    for row in rows:
        try:
            found = load(connection, folder, row[0]).trajectory
        except NotFoundError:
            continue
        seen.read += 1
        name = fate(found) if found is not None else None
        if found is None or name is None:
            continue
        if name == KEPT:
            kept.append(found)
        elif len(examples[name]) < _EXAMPLES:
            examples[name].append(_example(str(row[0]), found))
    seen.examples = dict(examples)
    seen.usage = tool_usage(kept) if kept else None
    return seen


def _example(key: str, trajectory: Trajectory) -> dict[str, Any]:
    said = trajectory.turns[-1].text if trajectory.turns else trajectory.error or ""
    return {
        "key": key, "question": trajectory.question[:_LONGEST], "id": trajectory.question_id,
        "why": str(trajectory.metadata.get(WHY, ""))[:_LONGEST], "said": said[:_LONGEST], "answer": trajectory.answer,
    }  # fmt: skip
