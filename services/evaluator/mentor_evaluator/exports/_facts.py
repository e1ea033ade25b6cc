"""What several exporters say of a cell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Trajectory
from mentor_evaluator.runs import MANIFEST, CellFolder, Run


def drawn_at(run: Run) -> datetime:
    """When the run's manifest was written."""
    return datetime.fromtimestamp((run.folder / MANIFEST).stat().st_mtime, UTC).replace(microsecond=0)


def surviving(cell: CellFolder) -> list[Trajectory]:
    """Samples that infrastructure did not lose, by question in the order of asking, then by sample."""
    places = {question.id: place for place, question in enumerate(cell.questions)}
    kept = [t for t in cell.trajectories if not t.failed and t.question_id in places]
    return sorted(kept, key=lambda t: (places[t.question_id], t.sample))


def last_text(trajectory: Trajectory) -> str:
    """What the model said last."""
    return trajectory.turns[-1].text if trajectory.turns else ""


def is_right(trajectory: Trajectory) -> bool:
    """The judge's verdict."""
    return bool(trajectory.metadata.get(CORRECT))


def verdict(trajectory: Trajectory) -> dict[str, Any]:
    """What else the judge said."""
    return trajectory.metadata.get(VERDICT) or {}


def sampling(run: Run, model: str) -> dict[str, Any]:
    """How the model's samples were drawn, as far as is known."""
    spec = run.manifest.spec
    own: dict[str, Any] = next((m for m in spec.get("models", ()) if m.get("name") == model), {})
    return own.get("sampling") or spec.get("sampling") or {}
