"""Every trajectory whole, in parquet: columns to look for some, and the trajectory itself as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mentor.data import atomic_path
from mentor.data.fates import FATE, WHY
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Trajectory

_SCHEMA = pa.schema(
    [
        ("question_id", pa.string()), ("sample", pa.int64()), ("model", pa.string()), ("answer", pa.string()),
        ("correct", pa.bool_()), ("fate", pa.string()), ("why", pa.string()), ("termination", pa.string()),
        ("turns", pa.int64()), ("calls", pa.int64()), ("failing_calls", pa.int64()), ("trajectory", pa.string()),
    ]
)  # fmt: skip


def write_wholes(trajectories: Sequence[Trajectory], path: Path) -> None:
    """Write them atomically."""
    rows = [
        {
            "question_id": t.question_id, "sample": t.sample, "model": t.model, "answer": t.answer,
            "correct": bool(t.metadata.get(CORRECT)), "fate": t.metadata.get(FATE), "why": t.metadata.get(WHY),
            "termination": str(t.termination), "turns": len(t.turns), "calls": len(t.observations),
            "failing_calls": sum(not seen.ok for seen in t.observations),
            "trajectory": t.model_dump_json(exclude_defaults=True),
        }
        for t in trajectories
    ]  # fmt: skip
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary, compression="zstd")
